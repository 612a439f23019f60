//! The record of a run, as `--output` writes it. It holds no time of day: two runs that measured the same are the same.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::damage;
use vtick_contract::{CheckRecord, Costs};
use vtick_core::Host;
use vtick_latency::Outcome;

/// What a record says it is.
const FORMAT: &str = "vtick";
/// Version of the record's layout. Changes whenever a field changes its meaning or goes.
pub(super) const VERSION: u32 = 4;

/// The record of a run of vtick, as `--output` writes it: everything there is to say of the run.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// "vtick".
    #[cfg_attr(feature = "schema", schemars(extend("const" = FORMAT)))]
    pub format: &'static str,
    /// Version of the record's layout. Changes whenever a field changes its meaning or goes.
    #[cfg_attr(feature = "schema", schemars(extend("const" = VERSION)))]
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
        let mut json = serde_json::to_string_pretty(self).expect("a record has only string keys");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_numbers_that_no_machine_has_is_called_damaged() {
        use vtick_latency::{Irqchip, Measurement, SCENARIOS};
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
        use vtick_latency::{Irqchip, Measurement, SCENARIOS};
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
