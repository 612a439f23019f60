//! The atlas: many kernels on many hosts, as one table and one page.

mod faults;
mod markdown;
mod page;
mod table;

use serde::Deserialize;

use super::record::Measured;
use super::verdicts::{Judged, Verdicts};
use vtick_contract::{Clause, Meaning};
use vtick_core::Host;
use vtick_latency::Irqchip;

pub use markdown::markdown;
pub use page::page;
pub use table::table;

const FORMAT: &str = "vtick-matrix";
const VERSION: u32 = 1;

/// The runs of a matrix, in its order.
#[derive(Debug)]
pub struct Atlas {
    runs: Vec<Run>,
}

/// One kernel on one host.
#[derive(Debug)]
struct Run {
    /// The kernel as it was asked for.
    kernel: String,
    /// The host, in a few words.
    host: String,
    /// Why there is no record, or no complete one.
    problem: Option<String>,
    checks: Vec<Judged>,
    /// Median instructions or nanoseconds from the deadline to the handler: spinning, and in WFI.
    spinning: Option<u64>,
    in_wfi: Option<u64>,
    unit: &'static str,
}

/// The index of a matrix, as `cargo xtask matrix` writes it.
#[derive(Deserialize)]
struct Index {
    format: String,
    version: u32,
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    kernel: String,
    mode: String,
    host_gic: String,
    host_cpus: String,
    problem: Option<String>,
    checks: Option<String>,
    latency: Option<String>,
}

impl Atlas {
    /// Whether this JSON is the index of a matrix.
    pub fn is_index(json: &str) -> bool {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        serde_json::from_str::<Head>(json).is_ok_and(|head| head.format == FORMAT)
    }

    /// Reads a matrix from its index; `read` gives the text of a record that the index names. The error says what is
    /// wrong, and where.
    pub fn from_json(json: &str, read: impl Fn(&str) -> Result<String, String>) -> Result<Atlas, String> {
        let index: Index = serde_json::from_str(json).map_err(|e| e.to_string())?;
        if index.format != FORMAT || index.version != VERSION {
            return Err(format!("not the index of a matrix of version {VERSION}"));
        }
        let runs = index.cells.into_iter().map(|cell| Run::new(cell, &read)).collect::<Result<_, _>>()?;
        Ok(Atlas { runs })
    }
}

impl Run {
    fn new(cell: Cell, read: &impl Fn(&str) -> Result<String, String>) -> Result<Run, String> {
        let of = |file: &str| read(file).map_err(|e| format!("{file}: {e}"));
        let checks = match &cell.checks {
            Some(file) => Some(Verdicts::judged_from_json(&of(file)?).map_err(|e| format!("{file}: {e}"))?),
            None => None,
        };
        let latency = match &cell.latency {
            Some(file) => Some(Measured::from_json(&of(file)?).map_err(|e| format!("{file}: {e}"))?),
            None => None,
        };
        let median = |name: &str| {
            let record = latency.as_ref()?;
            let outcome = record.latency.iter().find(|o| o.scenario.name == name && o.irqchip == Irqchip::User)?;
            outcome.deadline_to_handler.as_ref().map(|summary| record.host.in_unit(summary.p50))
        };
        let known: Option<&Host> = checks.as_ref().map(|run| &run.host).or(latency.as_ref().map(|run| &run.host));
        let cpus = if cell.host_cpus == "1" { "1 CPU".to_owned() } else { format!("{} CPUs", cell.host_cpus) };
        let host = match known {
            Some(host) => format!("{}, {}, {cpus}", host.kvm_mode, host.gic),
            None => format!("{}, GIC {}, {cpus}", cell.mode, cell.host_gic),
        };
        Ok(Run {
            spinning: median("vtimer-spin"),
            in_wfi: median("vtimer-wfi"),
            unit: latency.as_ref().map_or("", |record| record.host.unit.name()),
            checks: checks.map_or_else(Vec::new, |run| run.checks),
            kernel: cell.kernel,
            host,
            problem: cell.problem,
        })
    }

    fn count(&self, meaning: Meaning) -> usize {
        self.checks.iter().filter(|check| check.meaning() == meaning).count()
    }

    fn of_clause(&self, clause: Clause) -> impl Iterator<Item = &Judged> {
        self.checks.iter().filter(move |check| check.clause == clause)
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdicts::example;
    use super::*;

    /// A kernel with its faults, one of its kind later that has not been mended, one that has, and one that did not
    /// boot.
    pub(super) fn atlas() -> Atlas {
        let json = r#"{ "format": "vtick-matrix", "version": 1, "cells": [
            { "kernel": "6.1", "mode": "vhe", "host_gic": "3", "host_cpus": "1", "checks": "a" },
            { "kernel": "6.2<", "mode": "vhe", "host_gic": "3", "host_cpus": "1", "checks": "a" },
            { "kernel": "6.3", "mode": "vhe", "host_gic": "3", "host_cpus": "1", "checks": "mended" },
            { "kernel": "6.4", "mode": "nvhe", "host_gic": "none", "host_cpus": "2", "problem": "it & did not boot" }
        ] }"#;
        let record = |file: &str| {
            let mut json = example("6.1");
            if file == "mended" {
                json = json.replacen("\"violated\", \"reason\": \"1 &", "\"held\", \"reason\": \"1 &", 1);
            }
            Ok(json)
        };
        Atlas::from_json(json, record).unwrap()
    }

    #[test]
    fn a_run_without_a_record_has_its_reason_and_others_their_checks() {
        let atlas = atlas();
        assert_eq!(atlas.runs[0].host, "VHE, GICv3, 1 CPU");
        assert_eq!((atlas.runs[0].count(Meaning::Fail), atlas.runs[2].count(Meaning::Fail)), (1, 0));
        assert_eq!(atlas.runs[3].host, "nvhe, GIC none, 2 CPUs");
        assert_eq!(atlas.runs[3].problem.as_deref(), Some("it & did not boot"));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named() {
        let json = r#"{ "format": "vtick-matrix", "version": 1, "cells": [
            { "kernel": "6.1", "mode": "vhe", "host_gic": "3", "host_cpus": "1", "checks": "gone.json" } ] }"#;
        let error = Atlas::from_json(json, |_| Err("no such file".to_owned())).unwrap_err();
        assert_eq!(error, "gone.json: no such file");
        assert!(Atlas::is_index(json) && !Atlas::is_index("{}"));
    }
}
