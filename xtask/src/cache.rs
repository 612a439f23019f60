//! The folder in which everything fetched is kept: `$XDG_CACHE_HOME/vtick`, otherwise `~/.cache/vtick`.
//!
//! An entry is a folder that appears complete or not at all: it is filled under another name, written to the disk and
//! renamed. A lock per entry makes a second run wait for the first instead of doing the same work; what a killed run
//! left half done is thrown away by the next one that wants the same. What is not as it was made ([`manifest`]) is named,
//! and made again.

mod manifest;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};

use crate::process::{ATTENTION, check_interrupted};
use crate::progress::Step;
use manifest::Manifest;

/// The cache folder.
#[derive(Clone, Debug)]
pub(crate) struct Cache(PathBuf);

/// How an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It isn't there.
    Absent,
    /// It is as it was made.
    Intact,
    /// It is not, and in what.
    Damaged(String),
}

/// Whether this can be an entry's name: a file in which a name was kept may hold anything by now.
fn is_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-+~:".contains(c))
    };
    name.split('/').all(plain)
}

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

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
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

    /// How the entry of this name is.
    pub(crate) fn state(&self, name: &str) -> Result<State> {
        let place = self.0.join(name);
        if !is_name(name) || !place.is_dir() {
            return Ok(State::Absent);
        }
        let manifest = fs::read_to_string(self.path(&self.manifest(name))).ok().as_deref().and_then(Manifest::parse);
        // An entry that an older vtick made may have been damaged since, and nothing would show it.
        let unknown = || "no manifest says what it was made of".to_owned();
        let checked = manifest.ok_or_else(unknown).and_then(|manifest| manifest.check(&place));
        Ok(checked.map_or_else(State::Damaged, |()| State::Intact))
    }

    fn manifest(&self, name: &str) -> String {
        format!("manifests/{}", name.replace('/', "-"))
    }

    /// The entry of this name, filled first if it isn't there or isn't what it was.
    pub(crate) fn entry(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let place = self.0.join(name);
        if self.state(name)? == State::Intact {
            return Ok(place);
        }
        let _lock = self.lock(name)?;
        let state = self.state(name)?;
        match &state {
            State::Intact => return Ok(place),
            State::Absent => {}
            State::Damaged(what) => eprintln!("{name} in the cache is damaged and is made again: {what}"),
        }
        let unfinished = self.0.join("unfinished").join(name.replace('/', "-"));
        remove(&unfinished)?;
        fs::create_dir_all(&unfinished)?;
        fs::create_dir_all(place.parent().unwrap_or(&self.0))?;
        let filled = fill(&unfinished).and_then(|()| Manifest::of(&unfinished));
        let manifest = match filled {
            Ok(manifest) => manifest,
            Err(error) => {
                remove(&unfinished)?;
                return Err(self.unfilled(name, &state, error));
            }
        };
        // Only what has reached the disk may bear the final name, or a power cut could leave an empty entry behind it.
        rustix::fs::syncfs(File::open(&unfinished)?)?;
        remove(&place)?;
        fs::rename(&unfinished, &place).with_context(|| format!("cannot put {} in place", place.display()))?;
        self.write(&self.manifest(name), &manifest.to_string())?;
        Ok(place)
    }

    /// Removes all entries of a folder but the `most` whose folders were modified last.
    pub(crate) fn keep_latest(&self, folder: &str, most: usize) -> Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.0.join(folder))? {
            let entry = entry?;
            entries.push((entry.metadata()?.modified()?, format!("{folder}/{}", entry.file_name().to_string_lossy())));
        }
        entries.sort_unstable();
        let surplus = entries.len().saturating_sub(most);
        for (_, name) in entries.drain(..surplus) {
            remove(&self.0.join(&name))?;
            fs::remove_file(self.path(&self.manifest(&name))).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(())
    }

    /// Why an entry is not there, with what else is to be known of it.
    fn unfilled(&self, name: &str, state: &State, error: Error) -> Error {
        let error = if error.downcast_ref::<std::io::Error>().is_some() {
            error.context(format!("cannot write to the cache {}", self.0.display()))
        } else {
            error
        };
        match state {
            State::Damaged(what) if !error.is::<crate::process::Interrupted>() => {
                error.context(format!("{name} in the cache is damaged ({what}) and cannot be made again"))
            }
            _ => error,
        }
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
    fn of_the_entries_of_a_folder_the_latest_are_kept() {
        let (_folder, cache) = cache();
        for (name, age) in [("hosts/a", 3), ("hosts/b", 1), ("hosts/c", 2), ("kernels/x", 9)] {
            let place = cache.entry(name, |place| Ok(fs::write(place.join("state"), name)?)).unwrap();
            let time = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
            File::open(place).unwrap().set_modified(time).unwrap();
        }
        cache.keep_latest("hosts", 2).unwrap();
        let states = ["hosts/a", "hosts/b", "hosts/c", "kernels/x"].map(|name| cache.state(name).unwrap());
        assert_eq!(states, [State::Absent, State::Intact, State::Intact, State::Intact]);
        assert!(!cache.path("manifests/hosts-a").exists());
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

    #[test]
    fn an_entry_that_was_cut_emptied_changed_or_deleted_is_made_again_and_one_that_was_touched_is_not() {
        let (_folder, cache) = cache();
        let fills = AtomicUsize::new(0);
        let obtain = || {
            cache.entry("kernels/x", |place| {
                fills.fetch_add(1, Ordering::Relaxed);
                fs::create_dir(place.join("sub"))?;
                fs::write(place.join("sub/Image"), b"0123456789")?;
                Ok(std::os::unix::fs::symlink("sub/Image", place.join("link"))?)
            })
        };
        let image = obtain().unwrap().join("sub/Image");
        let damages: [fn(&Path); 4] = [
            |image| fs::write(image, b"01234").unwrap(),
            |image| fs::write(image, b"").unwrap(),
            |image| fs::write(image, b"012345678X").unwrap(),
            |image| fs::remove_file(image).unwrap(),
        ];
        for (n, damage) in damages.into_iter().enumerate() {
            damage(&image);
            assert!(matches!(cache.state("kernels/x").unwrap(), State::Damaged(what) if what.contains("Image")), "{n}");
            obtain().unwrap();
            assert_eq!((fs::read(&image).unwrap(), fills.load(Ordering::Relaxed)), (b"0123456789".to_vec(), n + 2));
        }
        File::options().append(true).open(&image).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        fs::remove_file(image.with_file_name("../link")).unwrap();
        assert!(matches!(cache.state("kernels/x").unwrap(), State::Damaged(what) if what.contains("link")));
        obtain().unwrap();
        File::options().append(true).open(&image).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(cache.state("kernels/x").unwrap(), State::Intact, "the contents are the same");
    }

    #[test]
    fn a_damaged_entry_that_cannot_be_made_again_stays_and_is_named() {
        let (_folder, cache) = cache();
        let place = cache.entry("kernels/x", |place| Ok(fs::write(place.join("Image"), "whole")?)).unwrap();
        fs::write(place.join("Image"), "").unwrap();
        let error = format!("{:#}", cache.entry("kernels/x", |_| anyhow::bail!("no network")).unwrap_err());
        assert_eq!(
            error,
            "kernels/x in the cache is damaged (Image has 0 bytes and had 5) and cannot be made again: no network"
        );
        assert!(place.join("Image").exists());
    }

    #[test]
    fn what_is_no_entrys_name_is_no_entry() {
        let (_folder, cache) = cache();
        for name in ["", "kernels/", "kernels/../..", "kernels/\0", "kernels/a b", "/etc"] {
            assert_eq!(cache.state(name).unwrap(), State::Absent, "{name:?}");
        }
    }

    #[test]
    fn an_entry_without_a_manifest_or_with_garbage_for_one_is_made_again() {
        let (_folder, cache) = cache();
        let obtain = || cache.entry("kernels/x", |place| Ok(fs::write(place.join("Image"), "whole")?)).unwrap();
        let place = obtain();
        let manifest = cache.path("manifests/kernels-x");
        let older = fs::read_to_string(&manifest).unwrap().replace("manifest 2", "manifest 1");
        for garbage in ["", "no manifest\n", "\u{fffd}", &older] {
            fs::write(&manifest, garbage).unwrap();
            fs::write(place.join("Image"), "of an older vtick, and cut").unwrap();
            assert!(matches!(cache.state("kernels/x").unwrap(), State::Damaged(_)), "{garbage:?}");
            obtain();
            assert_eq!(fs::read_to_string(place.join("Image")).unwrap(), "whole");
            assert_eq!(cache.state("kernels/x").unwrap(), State::Intact);
        }
    }
}
