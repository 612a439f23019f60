//! A cell with all that is known of it before the run.

use super::cell::{Cell, What};
use super::entry::Entry;

/// A cell that is to be run, or was.
pub(super) struct Planned {
    pub(super) cell: Cell,
    /// Digest of all that its result depends on; empty where there is no kernel.
    pub(super) key: String,
    /// Its result, where it is known.
    pub(super) kept: Option<Entry>,
    pub(super) steps: Vec<(What, Vec<String>)>,
}
