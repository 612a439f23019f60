//! The host kernel's log, while a program runs.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

/// A place in the log; `None`: the log may not be read.
pub struct Log(Option<File>);

impl Log {
    /// The oldest record that is still there.
    pub(super) fn oldest() -> Log {
        Log(OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").ok())
    }

    /// The end of the log as it is now.
    pub(super) fn mark() -> Log {
        let file = Log::oldest().0;
        Log(file.and_then(|mut file| file.seek(SeekFrom::End(0)).ok().map(|_| file)))
    }

    /// The next record; `None`: there is none yet.
    pub(super) fn record(&mut self) -> Option<String> {
        let file = self.0.as_mut()?;
        let mut record = [0; 8192];
        loop {
            match file.read(&mut record) {
                Ok(0) => return None,
                Ok(len) => return Some(String::from_utf8_lossy(&record[..len]).into_owned()),
                // Some records were overwritten before they were read.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                Err(_) => return None,
            }
        }
    }

    /// What the kernel has warned of since, or since this was asked before, about KVM; `None`: the log may not be read.
    pub fn warnings(&mut self) -> Option<Vec<String>> {
        self.0.as_ref()?;
        let records = std::iter::from_fn(|| self.record());
        let first_lines = records.filter_map(|record| Some(record.split_once(';')?.1.lines().next()?.to_owned()));
        Some(first_lines.filter(|line| is_warning(line)).collect())
    }
}

/// Says something in the kernel's log.
pub(super) fn say(text: &str) -> std::io::Result<()> {
    OpenOptions::new().write(true).open("/dev/kmsg")?.write_all(text.as_bytes())
}

/// Whether a line starts a report of something that must not be (WARN, BUG, lock-up), about KVM where it names a place.
fn is_warning(line: &str) -> bool {
    // The counters of a guest's PMU are the host's: what KVM does wrong with them, the host's driver (arm_pmu) finds. The
    // locks that KVM did not release are found when a VM is gone, by what cleans them up (SRCU).
    let of_kvm = ["kvm", "arm_pmu", "armpmu", "srcu"].iter().any(|place| line.contains(place));
    (line.starts_with("WARNING:") && of_kvm) || line.starts_with("kernel BUG") || line.contains("lockup")
}

#[cfg(test)]
mod tests {
    use super::is_warning;

    #[test]
    fn a_warning_counts_where_it_is_about_kvm_or_its_counters() {
        for (line, counts) in [
            ("WARNING: CPU: 0 PID: 71 at arch/arm64/kvm/arch_timer.c:459 kvm_timer_update_irq+0x8c/0x90", true),
            ("WARNING: CPU: 0 PID: 71 at drivers/perf/arm_pmu.c:284 armpmu_start+0x74/0x80", true),
            ("WARNING: CPU: 0 PID: 71 at kernel/rcu/srcutree.c:677 cleanup_srcu_struct+0x10c/0x130", true),
            ("WARNING: CPU: 0 PID: 71 at drivers/net/tun.c:1 tun_open+0x4/0x8", false),
            ("kernel BUG at mm/slub.c:1!", true),
            ("kvm [1]: VHE mode initialized successfully", false),
        ] {
            assert_eq!(is_warning(line), counts, "{line}");
        }
    }
}
