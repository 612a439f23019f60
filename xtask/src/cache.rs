//! The folder in which everything fetched is kept: `$XDG_CACHE_HOME/vtick`, otherwise `~/.cache/vtick`.
//!
//! An entry is a folder that appears complete or not at all: it is filled under another name, written to the disk and
//! renamed. A lock per entry makes a second run wait for the first instead of doing the same work; what a killed run
//! left half done is thrown away by the next one that wants the same.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{ATTENTION, check_interrupted};
use crate::progress::Step;

/// The cache folder.
#[derive(Clone, Debug)]
pub(crate) struct Cache(PathBuf);

/// Held while a part of the cache is changed; the kernel frees it even if this process is killed.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file is what frees the lock")] File);

impl Cache {
    /// Finds the folder, and makes it.
    pub(crate) fn open() -> Result<Self> {
        let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| Path::new(value).is_absolute()) {
            Some(base) => PathBuf::from(base),
            None => std::env::home_dir().context("neither XDG_CACHE_HOME nor HOME is set")?.join(".cache"),
        };
        Self::at(&base.join("vtick"))
    }

    /// The same, in a given folder.
    pub(crate) fn at(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the cache folder {}", folder.display()))?;
        Ok(Self(folder.canonicalize()?))
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Waits until no other process holds the lock of this name.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.0.join("locks").join(name.replace('/', "-"));
        fs::create_dir_all(self.0.join("locks"))?;
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut waiting = None;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::WouldBlock) => {
                    waiting.get_or_insert_with(|| Step::new(format!("Waiting for another run that fetches {name}")));
                    check_interrupted()?;
                    std::thread::sleep(ATTENTION);
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
    }

    /// The entry of this name, filled first if it isn't there.
    pub(crate) fn entry(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let place = self.0.join(name);
        if place.exists() {
            return Ok(place);
        }
        let _lock = self.lock(name)?;
        if place.exists() {
            return Ok(place);
        }
        let unfinished = self.0.join("unfinished").join(name.replace('/', "-"));
        remove(&unfinished)?;
        fs::create_dir_all(&unfinished)?;
        fs::create_dir_all(place.parent().unwrap_or(&self.0))?;
        let filled = fill(&unfinished);
        if let Err(error) = filled {
            remove(&unfinished)?;
            return Err(error);
        }
        // Only what has reached the disk may bear the final name, or a power cut could leave an empty entry behind it.
        rustix::fs::syncfs(File::open(&unfinished)?)?;
        fs::rename(&unfinished, &place).with_context(|| format!("cannot put {} in place", place.display()))?;
        Ok(place)
    }

    /// Writes a small file so that a reader finds the old or the new contents.
    pub(crate) fn write(&self, name: &str, contents: &str) -> Result<()> {
        let place = self.0.join(name);
        let folder = place.parent().unwrap_or(&self.0);
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, contents.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&place).with_context(|| format!("cannot write {}", place.display()))?;
        Ok(())
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        (folder, cache)
    }

    #[test]
    fn an_entry_that_could_not_be_filled_is_not_there_and_the_next_try_starts_afresh() {
        let (_folder, cache) = cache();
        let failed = cache.entry("kernels/x", |place| {
            fs::write(place.join("half"), "")?;
            anyhow::bail!("no network")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no network");
        assert!(!cache.path("kernels/x").exists());
        // As after a kill: the unfinished folder is still there.
        fs::create_dir_all(cache.path("unfinished/kernels-x/half")).unwrap();
        let place = cache.entry("kernels/x", |place| Ok(fs::write(place.join("whole"), "")?)).unwrap();
        assert!(place.join("whole").exists() && !place.join("half").exists());
    }

    #[test]
    fn two_at_once_fill_an_entry_once() {
        let (_folder, cache) = cache();
        let filled = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let entry = cache.entry("toolchain", |place| {
                        std::thread::sleep(ATTENTION);
                        filled.fetch_add(1, Ordering::Relaxed);
                        Ok(fs::write(place.join("rustc"), "")?)
                    });
                    assert!(entry.unwrap().join("rustc").exists());
                });
            }
        });
        assert_eq!(filled.into_inner(), 1);
    }
}
