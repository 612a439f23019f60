//! What the kernel warned of, from /dev/kmsg (Documentation/ABI/testing/dev-kmsg).

use std::io;

/// Levels up to this one are warnings, errors and worse.
const WARNING: u32 = 4;
/// What a warning about interrupts and timers has in it, in small letters.
const OURS: [&str; 10] =
    ["gic", "timer", "irq", "interrupt", "clock", "rcu", "stall", "ipi", "warning:", "nobody cared"];

/// Except this one: whoever runs the guest let the CPU wait in the middle of it, as a host with fewer CPUs than the guest
/// will. The interrupt came when it was due.
const WAITED: &str = "hrtimer: interrupt took ";

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// Its text.
    pub(crate) text: String,
    /// It is about interrupts or timers.
    pub(crate) ours: bool,
}

/// A record's warning, if it is one: `prefix,sequence,microseconds,flags;text`, where the prefix holds facility and level.
/// What programs have written there is not the kernel's.
pub(crate) fn parse(record: &[u8]) -> Option<Warning> {
    let record = String::from_utf8_lossy(record);
    let (head, text) = record.split_once(';')?;
    let prefix: u32 = head.split(',').next()?.parse().ok()?;
    if prefix >> 3 != 0 || prefix & 7 > WARNING {
        return None;
    }
    let text = text.lines().next().unwrap_or_default().to_owned();
    let small = text.to_lowercase();
    let ours = OURS.iter().any(|word| small.contains(word)) && !text.starts_with(WAITED);
    Some(Warning { text, ours })
}

/// Everything the kernel has warned of since its start.
#[cfg(target_os = "linux")]
pub(crate) fn warnings() -> io::Result<Vec<Warning>> {
    use std::fs::OpenOptions;
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    use rustix::io::Errno;

    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let mut device = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg")?;
    let mut warnings = Vec::new();
    let mut record = [0; 8192];
    loop {
        match device.read(&mut record) {
            Ok(length) if length > 0 => warnings.extend(parse(&record[..length])),
            // Overwritten before it was read: nothing can be said of those.
            Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {
                warnings.push(Warning { text: "the kernel log overflowed".to_owned(), ours: true });
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => return Ok(warnings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(record: &str) -> Option<(String, bool)> {
        parse(record.as_bytes()).map(|warning| (warning.text, warning.ours))
    }

    #[test]
    fn warnings_and_worse_are_found_and_sorted_by_what_they_are_about() {
        assert_eq!(parsed("4,1,2,-;GICv2: bad\n SUBSYSTEM=x\n"), Some(("GICv2: bad".into(), true)));
        assert_eq!(parsed("3,1,2,-;irq 11: nobody cared\n"), Some(("irq 11: nobody cared".into(), true)));
        assert_eq!(parsed("4,1,2,-;hrtimer: none").map(|(_, ours)| ours), Some(true));
        assert_eq!(parsed("4,1,2,-;hrtimer: interrupt took 23986794 ns").map(|(_, ours)| ours), Some(false));
        assert_eq!(parsed("4,1,2,-;cacheinfo: none\n"), Some(("cacheinfo: none".into(), false)));
    }

    #[test]
    fn what_is_no_warning_or_not_the_kernels_is_none() {
        assert_eq!(parsed("6,1,2,-;GICv2: fine\n"), None);
        assert_eq!(parsed("12,1,2,-;a program's words about the GIC\n"), None);
        assert_eq!(parsed("GICv2"), None);
    }
}
