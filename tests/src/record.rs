//! A record, as `--output` writes it.

use std::path::Path;

use serde_json::Value;

/// The record at `place`, which docs/record.schema.json has to describe.
pub fn described(place: &Path) -> String {
    let schema = include_str!("../../docs/record.schema.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("the schema is one of draft 2020-12");
    let text = std::fs::read_to_string(place).expect("a record was written");
    let record: Value = serde_json::from_str(&text).expect("a record is JSON");
    let errors: Vec<String> =
        schema.iter_errors(&record).take(5).map(|error| format!("{}: {error:.500}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{} is not what docs/record.schema.json says:\n{}", place.display(), errors.join("\n"));
    text
}

/// One measurement of a record.
#[derive(Clone, Debug)]
pub struct Measured(Value);

/// The measurement of `scenario` with `irqchip` in the record at `place`.
pub fn measured(place: &Path, scenario: &str, irqchip: &str) -> Measured {
    let text = std::fs::read_to_string(place).expect("a record was written");
    let record: Value = serde_json::from_str(&text).expect("a record is JSON");
    let all = record["latency"].as_array().expect("a record of measurements");
    let found = all.iter().find(|m| m["scenario"]["name"] == scenario && m["irqchip"] == irqchip);
    Measured(found.unwrap_or_else(|| panic!("no {scenario} on {irqchip} in {}", place.display())).clone())
}

impl Measured {
    /// The number at this place in it, such as `counts/lost`.
    pub fn number(&self, place: &str) -> u64 {
        let found = self.0.pointer(&format!("/{place}")).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no number {place} in {}", self.0))
    }

    /// Returns of KVM_RUN and calls of KVM_IRQ_LINE for one interrupt.
    pub fn system_calls(&self) -> f64 {
        let calls =
            ["level_exits", "gic_reads", "gic_writes", "lines"].map(|kind| self.number(&format!("ledger/{kind}")));
        calls.iter().sum::<u64>() as f64 / self.number("counts/delivered") as f64
    }

    /// The CPUs that its vCPUs were pinned to.
    pub fn pinned(&self) -> Vec<u64> {
        let cpus = self.0["conditions"]["pinned"].as_array().expect("a list of CPUs");
        cpus.iter().filter_map(Value::as_u64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "\"host\" is a required property")]
    fn a_record_without_a_host_is_not_what_the_schema_describes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{ "format": "vtick", "version": 4 }"#).unwrap();
        described(file.path());
    }
}
