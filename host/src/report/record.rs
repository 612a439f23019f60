//! The record of a run, as `--output` writes it. It holds no time of day: two runs that measured the same are the same.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::damage;
use super::meaning::Meaning;
use crate::contract::{Cause, Clause, Costs, Judgement, SecondOpinion, Transcript};
use crate::latency::Outcome;

/// What a record says it is.
const FORMAT: &str = "vtick";
/// Version of the record's layout. Changes whenever a field changes its meaning or goes.
pub(super) const VERSION: u32 = 4;

/// Everything there is to say of a run.
#[derive(Debug, Serialize)]
pub struct Record {
    /// "vtick".
    pub format: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// The machine.
    pub host: Host,
    /// What it takes for what programs do, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
    /// The seed of what disturbed the programs, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disturb: Option<u64>,
    /// The contract checks that were run, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRecord>,
    /// The measurements that were made, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<Outcome>,
    /// Why the run did not come to its end, if it did not: checks that it did not come to are not exercised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

impl Record {
    /// An empty record of a run on `host`.
    pub fn new(host: Host) -> Record {
        Record {
            format: FORMAT,
            version: VERSION,
            host,
            costs: None,
            disturb: None,
            checks: Vec::new(),
            latency: Vec::new(),
            incomplete: None,
        }
    }

    /// The record as JSON.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("a record has string keys alone");
        json.push('\n');
        json
    }
}

/// The measurements of a record that was written before.
#[derive(Clone, Debug, Deserialize)]
pub struct Measured {
    /// The machine.
    pub host: Host,
    /// The measurements, in order.
    #[serde(default)]
    pub latency: Vec<Outcome>,
}

impl Measured {
    /// Reads a record's measurements. The error says what is wrong with it.
    pub fn from_json(json: &str) -> Result<Measured, String> {
        let measured: Measured = parse(json)?;
        let sound = measured.latency.iter().try_for_each(damage::of_measurement);
        sound.map_err(|what| format!("a damaged record: {what}"))?;
        Ok(measured)
    }
}

/// What a record of this version holds. The error says what is wrong with it.
pub(super) fn parse<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
        version: u32,
    }
    // On one line, whatever of the file the parser quotes.
    let printable = |text: String| text.replace(char::is_control, "?");
    let not_one = |e: serde_json::Error| printable(format!("not a record of vtick: {e}"));
    let head: Head = serde_json::from_str(json).map_err(not_one)?;
    if head.format != FORMAT {
        return Err(printable(format!("not a record of vtick, but of {}", head.format)));
    }
    if head.version != VERSION {
        return Err(format!(
            "a record of version {}; this vtick reads version {VERSION}: measure again, or use the vtick that wrote it",
            head.version
        ));
    }
    let damaged = |what: String| printable(format!("a damaged record: {what}"));
    let whole = serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?;
    damage::of_texts(&whole).map_err(damaged)?;
    let host: Host = serde_json::from_value(whole["host"].clone()).map_err(|e| damaged(e.to_string()))?;
    damage::of_host(&host).and_then(|()| damage::of_numbers(&whole["latency"])).map_err(damaged)?;
    serde_json::from_str(json).map_err(|e| damaged(e.to_string()))
}

/// What a tick of the counter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// One instruction of an instruction-counted emulator. Never to be read as time.
    #[default]
    Instructions,
    /// The counter's period, on silicon, converted to nanoseconds.
    Nanoseconds,
}

impl Unit {
    /// For a person.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Instructions => "instructions",
            Unit::Nanoseconds => "ns",
        }
    }
}

/// The machine a run was made on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// uname -r.
    pub kernel: String,
    /// uname -v.
    pub build: String,
    /// "VHE", "nVHE", "protected" or "unknown".
    pub kvm_mode: String,
    /// Whether only the kernel's log says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mode_by_log: bool,
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
    /// The CPU frequency governor and the idle states that are on, as far as the kernel says: they move figures on
    /// silicon.
    pub power: String,
    /// What of its settings moves the figures of every system call.
    #[serde(default)]
    pub settings: String,
    /// What the kernel was told when it booted that changes how it behaves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// The CPUs that were named for vCPUs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<usize>,
    /// Whether two runs print the same digits.
    pub deterministic: bool,
}

/// No time is longer, in nanoseconds: 36 years.
const LONGEST: u64 = 1 << 60;

impl Host {
    /// Ticks in the unit of this host.
    pub fn in_unit(&self, ticks: u64) -> u64 {
        match self.unit {
            Unit::Instructions => ticks,
            Unit::Nanoseconds => {
                // Bounded for sums' sake: a slow counter's ticks are long.
                let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(self.cntfrq.max(1));
                u64::try_from(nanoseconds).map_or(LONGEST, |nanoseconds| nanoseconds.min(LONGEST))
            }
        }
    }
}

/// A check, or a program of a file, and what came of it.
#[derive(Debug, Serialize)]
pub struct CheckRecord {
    /// The check's name.
    pub name: String,
    /// Its clause.
    pub clause: Clause,
    /// The claim.
    pub claim: String,
    /// Verdict and reason.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// Why a violation is expected of this kernel, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<&'static str>,
    /// The known kernel fault that a violation looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What the model has against the transcript, in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objections: Vec<SecondOpinion>,
    /// Whether something disturbed the run that this is of.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shaken: bool,
    /// By how much the program's spans were multiplied in the run that this is of.
    #[serde(skip_serializing_if = "is_one")]
    pub scale: u64,
    /// Everything that happened; none if the host died of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Transcript>,
    /// The transcript as text.
    #[serde(skip)]
    pub timeline: Vec<String>,
}

fn is_one(scale: &u64) -> bool {
    *scale == 1
}

impl CheckRecord {
    /// What the verdict means.
    pub fn meaning(&self) -> Meaning {
        Meaning::of(self.judgement.verdict, self.expected.is_some(), !self.shaken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_never_converted_to_time() {
        let host = |unit| Host { cntfrq: 25_000_000, unit, ..Host::default() };
        assert_eq!(host(Unit::Instructions).in_unit(7277), 7277);
        assert_eq!(host(Unit::Nanoseconds).in_unit(7277), 291_080);
        assert_eq!(Host { cntfrq: 0, unit: Unit::Nanoseconds, ..Host::default() }.in_unit(u64::MAX), LONGEST);
    }

    #[test]
    fn a_record_with_numbers_that_no_machine_has_is_called_damaged() {
        use crate::latency::{Irqchip, Measurement, SCENARIOS};
        let mut record = Record::new(Host { cntfrq: 1_000_000_000, ..Host::default() });
        record.latency.push(Measurement::new(&SCENARIOS[0], Irqchip::User).outcome());
        let json = record.to_json();
        Measured::from_json(&json).unwrap();
        for (what, with, due) in [
            ("\"cntfrq\": 1000000000", "\"cntfrq\": 0", "a damaged record: a counter of 0 Hz"),
            ("\"delivered\": 0", "\"delivered\": 18446744073709551615", "18446744073709551615 in delivered"),
            ("\"cpus\": 0", "\"cpus\": 1000000000", "a host with 1000000000 CPUs"),
            ("\"lost\": 0", "\"lost\": -1", "-1 in lost"),
            ("\"vtimer-spin\"", "\"\\u001b[2J\"", "the control character '\\u{1b}' in a text"),
        ] {
            let damaged = json.replacen(what, with, 1);
            assert_ne!(damaged, json, "{what} is not in the record");
            let error = Measured::from_json(&damaged).unwrap_err();
            assert!(error.contains(due), "{error}");
        }
    }

    #[test]
    fn a_record_of_measurements_reads_back_as_it_was_written() {
        use crate::latency::{Irqchip, Measurement, SCENARIOS};
        let host = Host { kernel: "6.12".to_owned(), cntfrq: 1_000_000_000, ..Host::default() };
        let mut record = Record::new(host);
        let outcomes = SCENARIOS.iter().map(|scenario| Measurement::new(scenario, Irqchip::Vgicv3).outcome());
        record.latency.extend(outcomes);
        let json = record.to_json();
        let read = Measured::from_json(&json).unwrap();
        let again = Record { latency: read.latency, ..Record::new(read.host) }.to_json();
        assert_eq!(json, again);
    }

    #[test]
    fn what_is_no_record_of_this_version_is_refused_with_the_reason() {
        let refusal = |json| Measured::from_json(json).unwrap_err();
        assert!(refusal("{}").starts_with("not a record of vtick"));
        assert_eq!(
            refusal(r#"{"format":"vtick","version":2}"#),
            "a record of version 2; this vtick reads version 4: measure again, or use the vtick that wrote it"
        );
    }
}
