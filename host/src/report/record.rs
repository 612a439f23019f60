//! The record of a run, as `--output` writes it. It holds no time of day: two runs that measured the same are the same.

use serde::Serialize;

use crate::contract::{Cause, Clause, Judgement, Transcript, Verdict};
use crate::latency::Outcome;

/// Version of the record's layout. Changes whenever a field changes its meaning or goes.
const VERSION: u32 = 1;

/// Everything there is to say of a run.
#[derive(Debug, Serialize)]
pub struct Record {
    /// "vtick".
    pub format: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// The machine.
    pub host: Host,
    /// The contract checks that were run, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRecord>,
    /// The measurements that were made, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<Outcome>,
}

impl Record {
    /// An empty record of a run on `host`.
    pub fn new(host: Host) -> Record {
        Record { format: "vtick", version: VERSION, host, checks: Vec::new(), latency: Vec::new() }
    }

    /// The record as JSON.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("a record has string keys alone");
        json.push('\n');
        json
    }
}

/// What a tick of the counter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// One instruction of an instruction-counted emulator. Never to be read as time.
    Instructions,
    /// The counter's period, on silicon, converted to nanoseconds.
    Nanoseconds,
}

/// The machine a run was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// uname -r.
    pub kernel: String,
    /// uname -v.
    pub build: String,
    /// "VHE", "nVHE", "protected" or "unknown".
    pub kvm_mode: String,
    /// The host's interrupt controller.
    pub gic: String,
    /// CPU model.
    pub cpu: String,
    /// CPUs this process may run on.
    pub cpus: usize,
    /// Counter frequency in Hz.
    pub cntfrq: u64,
    /// What a tick is.
    pub unit: Unit,
    /// Whether two runs print the same digits.
    pub deterministic: bool,
}

impl Host {
    /// Ticks in the unit of this host.
    pub fn in_unit(&self, ticks: u64) -> u64 {
        match self.unit {
            Unit::Instructions => ticks,
            Unit::Nanoseconds => (u128::from(ticks) * 1_000_000_000 / u128::from(self.cntfrq)) as u64,
        }
    }
}

/// A check and what came of it.
#[derive(Debug, Serialize)]
pub struct CheckRecord {
    /// The check's name.
    pub name: &'static str,
    /// Its clause.
    pub clause: Clause,
    /// The claim.
    pub claim: &'static str,
    /// Verdict and reason.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// Why a violation is expected of this kernel, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<&'static str>,
    /// The known kernel fault that a violation looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Everything that happened; none if the guest could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Transcript>,
    /// The transcript as text.
    #[serde(skip)]
    pub timeline: Vec<String>,
}

impl CheckRecord {
    /// Whether the verdict is one that nobody has to look into: held where nothing else is expected, violated where
    /// that is, or not exercised.
    pub fn is_as_expected(&self) -> bool {
        match self.judgement.verdict {
            Verdict::Held => self.expected.is_none(),
            Verdict::Violated => self.expected.is_some(),
            Verdict::NotExercised => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_never_converted_to_time() {
        let host = |unit| Host {
            kernel: String::new(),
            build: String::new(),
            kvm_mode: String::new(),
            gic: String::new(),
            cpu: String::new(),
            cpus: 1,
            cntfrq: 25_000_000,
            unit,
            deterministic: unit == Unit::Instructions,
        };
        assert_eq!(host(Unit::Instructions).in_unit(7277), 7277);
        assert_eq!(host(Unit::Nanoseconds).in_unit(7277), 291_080);
    }
}
