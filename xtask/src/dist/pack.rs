//! Files in one archive, and their sums: in order of their names, all of one time and of nobody.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use crate::digest::sha256_of_file;

/// All files below `folder`, as seen from there, in a fixed order.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).unwrap_or(&path).to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Writes these files of `folder` to `archive`, in a folder `name` there, dated `time` (seconds since 1970).
pub(super) fn archive(folder: &Path, name: &str, files: &[PathBuf], time: u64, archive: &Path) -> Result<()> {
    let file = File::create(archive).with_context(|| format!("cannot write {}", archive.display()))?;
    let mut tar = tar::Builder::new(GzBuilder::new().write(file, Compression::best()));
    for path in files {
        let here = folder.join(path);
        let bytes = fs::read(&here).with_context(|| format!("cannot read {}", here.display()))?;
        let executable = fs::metadata(&here)?.permissions().mode() & 0o100 != 0;
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(if executable { 0o755 } else { 0o644 });
        header.set_mtime(time);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, Path::new(name).join(path), &bytes[..])?;
    }
    let finished = tar.into_inner().and_then(flate2::write::GzEncoder::finish);
    finished.map(|_| ()).with_context(|| format!("cannot write {}", archive.display()))
}

/// Lines for `sha256sum --check`, of files of `folder`.
pub(super) fn sums(folder: &Path, files: impl Iterator<Item = PathBuf>) -> Result<String> {
    let line = |file: PathBuf| Ok(format!("{}  {}\n", sha256_of_file(&folder.join(&file))?, file.display()));
    files.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(order: &[&str], made: u64) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        for name in order {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(made);
            File::options().append(true).open(&path).unwrap().set_modified(made).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(if *name == "vtick" { 0o700 } else { 0o600 }))
                .unwrap();
        }
        let out = tempfile::NamedTempFile::new().unwrap();
        archive(folder.path(), "v", &files(folder.path()).unwrap(), 1_800_000_000, out.path()).unwrap();
        fs::read(out.path()).unwrap()
    }

    #[test]
    fn the_order_and_the_time_in_which_files_were_made_do_not_show() {
        let one = packed(&["vtick", "man/man1/vtick.1", "BUILD.txt"], 1);
        assert_eq!(one, packed(&["BUILD.txt", "man/man1/vtick.1", "vtick"], 1_000_000));
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&one[..]));
        let entries = tar.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.mtime().unwrap())
        });
        let due = [("v/BUILD.txt", 0o644), ("v/man/man1/vtick.1", 0o644), ("v/vtick", 0o755)];
        let due = due.map(|(name, mode)| (name.to_owned(), mode, 1_800_000_000));
        assert_eq!(entries.collect::<Vec<_>>(), due);
    }

    #[test]
    fn sums_are_those_that_sha256sum_knows() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "abc").unwrap();
        let sums = sums(folder.path(), [PathBuf::from("a")].into_iter()).unwrap();
        assert_eq!(sums, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n");
    }
}
