//! First process of the emulated host.
//!
//! It makes the few file systems a program expects, lets the host come to rest (where the host may be saved: [`handover`]),
//! runs the one command its [`Job`](vtick_frame::Job) names, brings output, files, exit status and the kernel log back over the console, and
//! switches the machine off. It knows nothing of what it runs.
//!
//! While the command runs it sleeps until there is output: no timer, no heartbeat, nothing that would show in a
//! measurement. Kernel messages are therefore only fetched when the command has just said something, and at the end.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod handover;
#[cfg(target_os = "linux")]
mod input;
#[cfg(target_os = "linux")]
mod kmsg;
#[cfg(target_os = "linux")]
mod wire;

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
    use vtick_frame::{Job, Message};

    use crate::command;
    use crate::handover;
    use crate::wire::Wire;

    /// Mount points, by source name, type and place. A host without debugfs is still a host.
    const MOUNTS: [(&str, &str); 7] = [
        ("devtmpfs", "/dev"),
        ("devpts", "/dev/pts"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
        ("debugfs", "/sys/kernel/debug"),
    ];

    pub(crate) fn main() {
        // Anywhere but in the emulated host, switching the machine off would be a bad surprise.
        if std::process::id() != 1 {
            eprintln!("vtick-agent is the first process of the emulated host and runs nowhere else");
            std::process::exit(2);
        }
        let mounted = mount_all();
        match Wire::open() {
            Ok(mut wire) => {
                let outcome = mounted.and_then(|()| work(&mut wire));
                if let Err(error) = outcome {
                    wire.send(&Message::Trouble(error.to_string()));
                }
                wire.finish();
            }
            // The kernel gave this process a console, however little else there is.
            Err(error) => eprintln!("vtick-agent: cannot open the console: {error}"),
        }
        let failed = reboot(RebootCommand::PowerOff);
        // Ending the first process makes the kernel panic, which ends the machine as well.
        eprintln!("vtick-agent: cannot power off: {failed:?}");
    }

    fn mount_all() -> io::Result<()> {
        for (kind, place) in MOUNTS {
            if place != "/sys/kernel/debug" {
                fs::create_dir_all(place)?;
            }
            match mount(kind, place, kind, MountFlags::empty(), None) {
                // Built with CONFIG_DEVTMPFS_MOUNT, or without debugfs.
                Err(rustix::io::Errno::BUSY) => {}
                Err(_) if kind == "debugfs" => {}
                done => done
                    .map_err(|e| io::Error::new(io::Error::from(e).kind(), format!("mount {kind} on {place}: {e}")))?,
            }
        }
        Ok(())
    }

    fn read_job() -> io::Result<Job> {
        Job::decode(&fs::read(Job::PATH)?).map_err(io::Error::other)
    }

    fn work(wire: &mut Wire) -> io::Result<()> {
        handover::prepare();
        let mut job = read_job()?;
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        wire.send(&Message::Hello(release));
        wire.send_kernel_log();
        wire.drain();
        std::thread::sleep(job.settle);
        handover::at_rest();
        let handed = handover::take().map_err(io::Error::other)?;
        if !handed.is_empty() {
            for (path, contents) in handed {
                fs::write(path, contents)?;
            }
            job = read_job()?;
        }
        wire.send(&Message::Start);
        wire.drain();
        let exit = command::run(&job, wire)?;
        wire.send_kernel_log();
        for path in &job.collect {
            match fs::read(path) {
                Ok(contents) => wire.send(&Message::File { path: path.clone(), contents }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => wire.send(&Message::Trouble(format!("{path}: {error}"))),
            }
        }
        wire.send(&Message::Exit(exit));
        Ok(())
    }
}
