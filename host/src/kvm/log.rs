//! The host kernel's log, while a program runs.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

/// A place in the log.
pub struct Log(Option<File>);

impl Log {
    /// The end of the log as it is now.
    pub(super) fn mark() -> Log {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
        Log(file.ok().and_then(|mut file| file.seek(SeekFrom::End(0)).ok().map(|_| file)))
    }

    /// What the kernel has warned of since, or since this was asked before, about KVM; `None`: the log may not be read.
    pub fn warnings(&mut self) -> Option<Vec<String>> {
        let file = self.0.as_mut()?;
        let mut warnings = Vec::new();
        let mut record = [0; 8192];
        // Each read is one record; EPIPE says that some were overwritten, anything else that there are no more.
        loop {
            match file.read(&mut record) {
                Ok(len) if len > 0 => {
                    let text = String::from_utf8_lossy(&record[..len]);
                    let message = text.split_once(';').map_or("", |(_, message)| message);
                    let first = message.lines().next().unwrap_or("");
                    if is_warning(first) {
                        warnings.push(first.to_owned());
                    }
                }
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                _ => return Some(warnings),
            }
        }
    }
}

/// Says something in the kernel's log.
pub(super) fn say(text: &str) -> std::io::Result<()> {
    OpenOptions::new().write(true).open("/dev/kmsg")?.write_all(text.as_bytes())
}

/// Whether a line starts a report of something that must not be (WARN, BUG, lock-up), about KVM where it names a place.
fn is_warning(line: &str) -> bool {
    (line.starts_with("WARNING:") && line.contains("kvm")) || line.starts_with("kernel BUG") || line.contains("lockup")
}
