//! First process of a Linux guest of vtick's demonstration.
//!
//! It puts timers and inter-processor interrupts to work on every CPU, sleeps until the real-time clock's alarm, counts
//! and samples cycles. It prints the kernel's own count of interrupts before and behind, and everything that the kernel
//! warned of. Where all is well it says `demo: ok`, otherwise `demo: failed` with the reason; then it switches the machine
//! off.
//!
//! On the kernel's command line: `demo.rounds=N` says how much of the work there is to be; `demo.interactive` is a prompt
//! in place of it.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod alarm;
#[cfg(any(target_os = "linux", test))]
mod interrupts;
#[cfg(any(target_os = "linux", test))]
mod kernel_log;
#[cfg(any(target_os = "linux", test))]
mod options;
#[cfg(target_os = "linux")]
mod pmu;
#[cfg(target_os = "linux")]
mod prompt;
#[cfg(target_os = "linux")]
mod verdict;
#[cfg(target_os = "linux")]
mod work;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io;

    use rustix::mount::{MountFlags, mount};
    use rustix::system::{RebootCommand, reboot};
    use rustix::termios::tcdrain;

    use crate::options::Options;
    use crate::{prompt, verdict};

    /// What is mounted: source and type, and place.
    const MOUNTS: [(&str, &str); 3] = [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")];

    pub(crate) fn main() {
        // Anywhere but in a guest, switching the machine off would be a bad surprise.
        if std::process::id() != 1 {
            eprintln!("vtick-demo is the first process of a guest and runs nowhere else");
            std::process::exit(2);
        }
        let next = match run() {
            Ok(prompt::Next::Restart) => RebootCommand::Restart,
            Ok(prompt::Next::PowerOff) => {
                println!("demo: ok");
                RebootCommand::PowerOff
            }
            // Whoever watches the console knows that it has failed.
            Err(error) => {
                println!("demo: failed: {error}");
                RebootCommand::PowerOff
            }
        };
        let _unreportable = tcdrain(io::stdout());
        let failed = reboot(next);
        // Ending the first process makes the kernel panic, which ends the machine as well.
        println!("demo: failed: the machine cannot be left: {failed:?}");
    }

    fn run() -> io::Result<prompt::Next> {
        for (kind, place) in MOUNTS {
            match mount(kind, place, kind, MountFlags::empty(), None) {
                // Built with CONFIG_DEVTMPFS_MOUNT.
                Ok(()) | Err(rustix::io::Errno::BUSY) => {}
                Err(error) => return Err(io::Error::other(format!("mount {kind} on {place}: {error}"))),
            }
        }
        let options = Options::parse(&fs::read_to_string("/proc/cmdline")?);
        println!("demo: Linux {} is up", rustix::system::uname().release().to_string_lossy());
        if options.interactive {
            return prompt::run();
        }
        verdict::reach(options.rounds).map(|()| prompt::Next::PowerOff)
    }
}
