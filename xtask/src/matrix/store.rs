//! Results of cells that are kept from one matrix to the next.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::cell::Cell;
use super::entry::Entry;
use super::wanted::Wanted;
use crate::artifacts::Programs;
use crate::cache::Cache;
use crate::digest::{sha256, sha256_of_file};
use crate::kernel::Kernel;

/// The folder of kept cells.
pub(super) struct Store {
    cache: Cache,
    /// Digest of the runner and of the emulated host's first process.
    programs: String,
    fresh: bool,
}

const FOLDER: &str = "matrix";

impl Store {
    pub(super) fn open(cache: &Cache, programs: &Programs, fresh: bool) -> Result<Store> {
        let digests = [&programs.vtick, &programs.agent].map(|path| sha256_of_file(path).map(short));
        let [vtick, agent] = digests;
        fs::create_dir_all(cache.path(FOLDER))?;
        Ok(Store { cache: cache.clone(), programs: format!("{}{}", vtick?, agent?), fresh })
    }

    /// Where records are, relative to which entries name them.
    pub(super) fn folder(&self) -> PathBuf {
        self.cache.path(FOLDER)
    }

    /// Digest of all that a cell's result depends on. `kernel`: [`Store::of_kernel`].
    pub(super) fn key(&self, cell: &Cell, kernel: &str, wanted: &Wanted) -> String {
        let what = format!("{:?} {:?}", cell.host, wanted.steps());
        short(sha256(format!("{}{kernel}{what}", self.programs).as_bytes()))
    }

    /// Digest of a kernel.
    pub(super) fn of_kernel(kernel: &Kernel) -> Result<String> {
        sha256_of_file(&kernel.image).map(short)
    }

    /// What came of this cell before.
    pub(super) fn kept(&self, cell: &Cell, key: &str) -> Option<Entry> {
        if self.fresh {
            return None;
        }
        let json = fs::read_to_string(self.folder().join(entry_name(key))).ok()?;
        let mut kept: Entry = serde_json::from_str(&json).ok()?;
        kept.moved_to(cell);
        let complete = kept.records().all(|file| self.folder().join(file).is_file());
        complete.then_some(kept)
    }

    /// Keeps what came of a cell.
    pub(super) fn keep(&self, key: &str, entry: &Entry) -> Result<()> {
        let json = serde_json::to_string(entry)?;
        self.cache.write(&format!("{FOLDER}/{}", entry_name(key)), &json)
    }
}

fn entry_name(key: &str) -> String {
    format!("{key}.json")
}

/// The part of a digest that tells entries apart: names of files stay short.
fn short(mut digest: String) -> String {
    digest.truncate(32);
    digest
}
