//! The emulated host's file system: an uncompressed cpio archive in the "newc" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst), the same bytes for the same contents.

use std::io;

use cpio::newc::{Builder, ModeFileType, trailer};

/// An archive under construction.
#[derive(Debug, Default)]
pub(crate) struct Initramfs {
    archive: Vec<u8>,
    inode: u32,
}

impl Initramfs {
    /// An archive with the folders and the one device that the first process needs before it can make its own.
    pub(crate) fn new() -> io::Result<Self> {
        let mut archive = Self::default();
        for folder in ["dev", "proc", "sys", "run", "tmp", "bin"] {
            archive.add(folder, ModeFileType::Directory, 0o755, &[])?;
        }
        // Without it the kernel starts the first process with no standard output at all.
        let console = archive.next("dev/console").rdev_major(5).rdev_minor(1);
        archive.write(console.mode(0o600).set_mode_file_type(ModeFileType::Char), &[])?;
        Ok(archive)
    }

    /// A file; its path without a slash at the start.
    pub(crate) fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        self.add(path, ModeFileType::Regular, mode, contents)
    }

    /// The archive's bytes.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        trailer(&mut self.archive)?;
        Ok(self.archive)
    }

    fn add(&mut self, path: &str, kind: ModeFileType, mode: u32, contents: &[u8]) -> io::Result<()> {
        let entry = self.next(path).mode(mode).set_mode_file_type(kind);
        self.write(entry, contents)
    }

    /// Inode numbers count up and times are zero, so that nothing of this machine gets in.
    fn next(&mut self, path: &str) -> Builder {
        self.inode += 1;
        Builder::new(path).ino(self.inode).mtime(0).uid(0).gid(0)
    }

    fn write(&mut self, entry: Builder, contents: &[u8]) -> io::Result<()> {
        let length = u32::try_from(contents.len()).map_err(io::Error::other)?;
        let mut writer = entry.write(&mut self.archive, length);
        io::Write::write_all(&mut writer, contents)?;
        writer.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Initramfs::new().unwrap();
        archive.file("init", 0o755, b"program").unwrap();
        archive.file("odd", 0o644, b"12345").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn the_same_contents_give_the_same_bytes() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn files_folders_and_the_console_are_where_the_kernel_expects_them() {
        let archive = sample();
        let mut rest = io::Cursor::new(archive);
        let mut seen = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let entry = reader.entry().clone();
            let mut contents = Vec::new();
            io::Read::read_to_end(&mut reader, &mut contents).unwrap();
            seen.push((entry.name().to_owned(), entry.mode(), entry.mtime(), contents));
            rest = reader.finish().unwrap();
        }
        assert!(seen.contains(&("init".into(), 0o100_755, 0, b"program".to_vec())), "{seen:?}");
        assert!(seen.contains(&("odd".into(), 0o100_644, 0, b"12345".to_vec())), "{seen:?}");
        assert!(seen.contains(&("dev".into(), 0o040_755, 0, Vec::new())), "{seen:?}");
        assert!(seen.contains(&("dev/console".into(), 0o020_600, 0, Vec::new())), "{seen:?}");
    }
}
