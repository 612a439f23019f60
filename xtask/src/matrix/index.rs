//! The index of a matrix: what came of each cell, and where its records are. `vtick report` reads it.

use crate::vtick::CANNOT_RUN;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::store::Store;

/// Name of the index in its folder.
pub(super) const FILE: &str = "matrix.json";
const FORMAT: &str = "vtick-matrix";
const VERSION: u32 = 1;

/// All cells, in the order of their places.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    format: String,
    version: u32,
    pub(super) cells: Vec<Entry>,
}

impl Index {
    /// The cells, put in order.
    pub(super) fn new(mut cells: Vec<Entry>) -> Index {
        cells.sort_by_key(|cell| cell.place);
        Index { format: FORMAT.to_owned(), version: VERSION, cells }
    }

    /// 1 if a check is violated anywhere, otherwise 2 if a cell could not be run, otherwise 0.
    pub(super) fn status(&self) -> i32 {
        let any = |of: fn(&Entry) -> bool| self.cells.iter().any(of);
        match () {
            () if any(|cell| cell.status == 1) => 1,
            () if any(|cell| cell.problem.is_some()) => CANNOT_RUN,
            () => 0,
        }
    }

    /// Writes the index and the records of its cells.
    pub(super) fn write(&self, folder: &Path, store: &Store) -> Result<()> {
        for file in self.cells.iter().flat_map(Entry::records) {
            copy(&store.folder().join(file), &folder.join(file))?;
        }
        self.write_alone(folder)
    }

    fn write_alone(&self, folder: &Path) -> Result<()> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        let place = folder.join(FILE);
        fs::write(&place, json).with_context(|| format!("cannot write {}", place.display()))
    }

    fn read(folder: &Path) -> Result<Index> {
        let place = folder.join(FILE);
        let json = vtick_shell::read_text("the matrix's index", &place).map_err(anyhow::Error::msg)?;
        let index: Index = serde_json::from_str(&json).with_context(|| format!("{} is no index", place.display()))?;
        if index.format != FORMAT || index.version != VERSION {
            bail!("{}: not an index of a matrix of version {VERSION}", place.display());
        }
        Ok(index)
    }

    /// The index whose shards are in `folders`, written to `output` with all records.
    pub(super) fn merge(folders: &[PathBuf], output: &Path) -> Result<Index> {
        let mut cells: Vec<Entry> = Vec::new();
        for folder in folders {
            for cell in Index::read(folder)?.cells {
                match cells.iter().find(|known| known.place == cell.place) {
                    Some(known) if *known == cell => continue,
                    Some(known) => bail!(
                        "{}: cell {} is {} here and {} in a folder before: these are no shards of one matrix",
                        folder.display(),
                        cell.place,
                        cell.kernel,
                        known.kernel
                    ),
                    None => {}
                }
                for file in cell.records() {
                    copy(&folder.join(file), &output.join(file))?;
                }
                cells.push(cell);
            }
        }
        let index = Index::new(cells);
        index.write_alone(output)?;
        Ok(index)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).map(|_| ()).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::super::cell::Host;
    use super::*;
    use crate::matrix::cell::{Cell, What};

    fn entry(place: usize, folder: &Path) -> Entry {
        let host = Host { mode: "vhe".into(), gic: "3".into(), cpus: "1".into() };
        let cell = Cell { place, kernel: format!("debian:6.{place}"), host };
        let mut entry = Entry::new(&cell, i32::from(place == 2), None);
        let file = format!("records/{place}.json");
        fs::create_dir_all(folder.join("records")).unwrap();
        fs::write(folder.join(&file), format!("record {place}")).unwrap();
        entry.has_record(What::Checks, file);
        entry
    }

    fn write(folder: &Path, places: &[usize]) {
        let cells = places.iter().map(|&place| entry(place, folder)).collect();
        Index::new(cells).write_alone(folder).unwrap();
    }

    #[test]
    fn merged_shards_are_the_whole_to_the_byte() {
        let folders: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
        let [whole, first, second, merged] = [0, 1, 2, 3].map(|n| folders[n].path().to_owned());
        write(&whole, &[0, 1, 2, 3]);
        write(&first, &[0, 2]);
        write(&second, &[3, 1]);
        let index = Index::merge(&[second, first.clone(), first], &merged).unwrap();
        assert_eq!(index.status(), 1);
        for file in [FILE, "records/0.json", "records/3.json"] {
            assert_eq!(fs::read(whole.join(file)).unwrap(), fs::read(merged.join(file)).unwrap(), "{file}");
        }
    }

    #[test]
    fn shards_of_two_matrices_are_refused() {
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        write(folders[0].path(), &[0]);
        let mut other = entry(0, folders[1].path());
        other.kernel = "7.3".to_owned();
        Index::new(vec![other]).write_alone(folders[1].path()).unwrap();
        let shards = [folders[0].path().to_owned(), folders[1].path().to_owned()];
        let error = Index::merge(&shards, folders[2].path()).unwrap_err().to_string();
        assert!(error.contains("cell 0 is 7.3 here and 6.0 in a folder before"), "{error}");
    }

    #[test]
    fn a_cell_that_could_not_be_run_is_no_violation() {
        let folder = tempfile::tempdir().unwrap();
        let cell =
            Cell { place: 5, kernel: "x".into(), host: Host { mode: "vhe".into(), gic: "3".into(), cpus: "1".into() } };
        let lost = Entry::without_kernel(&cell, "no such kernel");
        assert_eq!(Index::new(vec![entry(1, folder.path()), lost.clone()]).status(), CANNOT_RUN);
        assert_eq!(Index::new(vec![entry(2, folder.path()), lost]).status(), 1);
    }
}
