//! The result of a cell, as the index has it.

use serde::{Deserialize, Serialize};

use super::cell::{Cell, What};
use crate::vtick::CANNOT_RUN;

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) place: usize,
    pub(super) kernel: String,
    pub(super) mode: String,
    pub(super) host_gic: String,
    pub(super) host_cpus: String,
    /// Status of the checks.
    pub(super) status: i32,
    /// Why there is no record, or no complete one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    /// The record of the checks, relative to the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checks: Option<String>,
    /// The record of the measurements, relative to the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) latency: Option<String>,
}

impl Entry {
    /// A cell of which nothing is known yet.
    pub(super) fn new(cell: &Cell, status: i32, problem: Option<String>) -> Entry {
        Entry {
            place: cell.place,
            kernel: cell.kernel.trim_start_matches("debian:").to_owned(),
            mode: cell.host.mode.clone(),
            host_gic: cell.host.gic.clone(),
            host_cpus: cell.host.cpus.clone(),
            status,
            problem,
            checks: None,
            latency: None,
        }
    }

    /// A cell whose kernel cannot be had.
    pub(super) fn without_kernel(cell: &Cell, problem: &str) -> Entry {
        Entry::new(cell, CANNOT_RUN, Some(problem.to_owned()))
    }

    /// Notes where a record is.
    pub(super) fn has_record(&mut self, what: What, file: String) {
        *self.record_mut(what) = Some(file);
    }

    /// Notes why a record is missing.
    pub(super) fn lacks_record(&mut self, what: What, why: &str) {
        let why = if why.is_empty() { "the run said nothing" } else { why };
        let problem = format!("no {}: {why}", what.record());
        self.problem = Some(self.problem.take().map_or(problem.clone(), |before| format!("{before}; {problem}")));
    }

    /// Notes how the checks ended.
    pub(super) fn ended(&mut self, status: i32) {
        self.status = status;
    }

    /// Whether every record is there.
    pub(super) fn is_complete(&self) -> bool {
        self.problem.is_none()
    }

    /// The same result at the place that a cell has in another matrix.
    pub(super) fn moved_to(&mut self, cell: &Cell) {
        self.place = cell.place;
        cell.kernel.trim_start_matches("debian:").clone_into(&mut self.kernel);
    }

    /// In a few words, for whoever watches.
    pub(super) fn outcome(&self) -> String {
        match (&self.problem, self.status) {
            (Some(problem), _) => problem.clone(),
            (None, 0) => "as expected".to_owned(),
            (None, 1) => "VIOLATED".to_owned(),
            (None, status) => format!("status {status}"),
        }
    }

    pub(super) fn record_mut(&mut self, what: What) -> &mut Option<String> {
        match what {
            What::Checks => &mut self.checks,
            What::Latency => &mut self.latency,
        }
    }

    /// Where its records are.
    pub(super) fn records(&self) -> impl Iterator<Item = &String> {
        self.checks.iter().chain(&self.latency)
    }
}
