//! The kernel log, from /dev/kmsg (Documentation/ABI/testing/dev-kmsg): one record per read,
//! `prefix,sequence,microseconds,flags;text`, where the prefix holds facility and level.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// Reads the kernel log from its beginning, a part at a time.
#[derive(Debug)]
pub(crate) struct Kmsg {
    device: File,
    /// Messages of a lower level than this go to the console.
    console_level: u32,
    /// How many of those have been read so far.
    pub(crate) on_console: usize,
}

impl Kmsg {
    pub(crate) fn open() -> io::Result<Self> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        let device = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg")?;
        let printk = std::fs::read_to_string("/proc/sys/kernel/printk").unwrap_or_default();
        // Where it can't be known, every message counts as one that reached the console.
        let console_level = printk.split_whitespace().next().and_then(|level| level.parse().ok()).unwrap_or(8);
        Ok(Self { device, console_level, on_console: 0 })
    }

    /// What has been logged since the last call, as text in the form of dmesg.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.device.read(&mut record) {
                Ok(length) if length > 0 => {
                    if let Some((level, line)) = parse(&record[..length]) {
                        self.on_console += usize::from(level < self.console_level);
                        text.extend_from_slice(line.as_bytes());
                    }
                }
                // Records were overwritten before they were read: go on with the oldest that is left.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {
                    text.extend_from_slice(b"[... lost: the kernel log overflowed ...]\n");
                }
                Ok(_) | Err(_) => return text,
            }
        }
    }
}

/// A record's level and its text with the usual time stamp.
fn parse(record: &[u8]) -> Option<(u32, String)> {
    let record = String::from_utf8_lossy(record);
    let (head, text) = record.split_once(';')?;
    let mut fields = head.split(',');
    let prefix: u32 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    // Indented lines behind the first are the dictionary (SUBSYSTEM=..., DEVICE=...).
    // In the first, a line end of the message's own is written like this.
    let text = text.lines().next().unwrap_or_default().replace("\\x0a", "\n");
    Some((prefix & 7, format!("[{:5}.{:06}] {text}\n", micros / 1_000_000, micros % 1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_a_line_of_dmesg_without_its_dictionary() {
        let record = b"3,339,5140900,-;NET: a failure\n SUBSYSTEM=net\n DEVICE=n1\n";
        assert_eq!(parse(record), Some((3, "[    5.140900] NET: a failure\n".to_owned())));
    }

    #[test]
    fn the_facility_is_no_part_of_the_level() {
        assert_eq!(parse(b"30,1,2,-;x\n").map(|(level, _)| level), Some(6));
    }

    #[test]
    fn what_is_no_record_is_none() {
        assert_eq!(parse(b"plain text"), None);
        assert_eq!(parse(b"a,b,c;text"), None);
    }
}
