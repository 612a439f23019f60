//! What an entry of the cache consists of: so that one that was cut, emptied or changed since is found out.
//!
//! A line for each file: its checksum, size, time of modification and path. The time saves most of the reading: a file
//! whose size and time are what they were is taken for what it was, unless the whole entry is small.

use std::fmt::{Display, Formatter};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Entries of so many bytes are read whole each time: it takes a moment.
const SMALL: u64 = 128 << 20;
/// The first line. Manifests of version 1 were also made of entries that nobody had checked.
const HEAD: &str = "vtick manifest 2";

/// The files of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest(Vec<Item>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    /// CRC-32 of the contents, or of where a link leads.
    checksum: u32,
    size: u64,
    /// Nanoseconds since 1970; 0 for a link.
    modified: i128,
    /// From the entry's folder.
    path: String,
}

impl Manifest {
    /// Of an entry as it is now.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let mut items = Vec::new();
        gather(folder, "", &mut items)?;
        items.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(Self(items))
    }

    /// Reads what was written; `None`: it is none, or damaged itself.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return None;
        }
        let item = |line: &str| {
            let mut words = line.splitn(4, ' ');
            Some(Item {
                checksum: u32::from_str_radix(words.next()?, 16).ok()?,
                size: words.next()?.parse().ok()?,
                modified: words.next()?.parse().ok()?,
                path: words.next()?.to_owned(),
            })
        };
        lines.map(item).collect::<Option<Vec<_>>>().filter(|items| !items.is_empty()).map(Self)
    }

    /// Whether the entry is what it was. The error says in what it is not.
    pub(super) fn check(&self, folder: &Path) -> Result<(), String> {
        let small = self.0.iter().map(|item| item.size).sum::<u64>() <= SMALL;
        self.0.iter().try_for_each(|item| item.check(folder, small))
    }
}

impl Item {
    fn check(&self, folder: &Path, whole: bool) -> Result<(), String> {
        let path = &self.path;
        let of_error = |error: std::io::Error| format!("{path}: {error}");
        let metadata = fs::symlink_metadata(folder.join(path)).map_err(of_error)?;
        let now = item(folder, path, &metadata, false).map_err(|error| format!("{path}: {error:#}"))?;
        if now.size != self.size {
            return Err(format!("{path} has {} bytes and had {}", now.size, self.size));
        }
        if now.modified == self.modified && !whole {
            return Ok(());
        }
        let now = item(folder, path, &metadata, true).map_err(|error| format!("{path}: {error:#}"))?;
        if now.checksum == self.checksum { Ok(()) } else { Err(format!("{path} has other contents than it had")) }
    }
}

impl Display for Manifest {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEAD}")?;
        self.0.iter().try_for_each(|Item { checksum, size, modified, path }| {
            writeln!(f, "{checksum:08x} {size} {modified} {path}")
        })
    }
}

fn gather(folder: &Path, inside: &str, items: &mut Vec<Item>) -> Result<()> {
    for entry in fs::read_dir(folder.join(inside))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        let metadata = fs::symlink_metadata(entry.path())?;
        if metadata.is_dir() {
            gather(folder, &path, items)?;
        } else {
            items.push(item(folder, &path, &metadata, true)?);
        }
    }
    Ok(())
}

/// A file as it is; `read`: with its checksum.
fn item(folder: &Path, path: &str, metadata: &fs::Metadata, read: bool) -> Result<Item> {
    let place = folder.join(path);
    let mut crc = flate2::Crc::new();
    let is_link = metadata.is_symlink();
    if is_link {
        crc.update(fs::read_link(&place)?.as_os_str().as_encoded_bytes());
    } else if metadata.is_file() && read {
        let mut file = fs::File::open(&place).with_context(|| format!("cannot read {}", place.display()))?;
        let mut buffer = vec![0; 1 << 16];
        while let length @ 1.. = file.read(&mut buffer)? {
            crc.update(&buffer[..length]);
        }
    }
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let modified = if is_link { 0 } else { modified };
    Ok(Item { checksum: crc.sum(), size: metadata.len(), modified, path: path.to_owned() })
}
