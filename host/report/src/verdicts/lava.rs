//! Verdicts and measurements as LAVA's test case signals, which its dispatcher reads from the console.
//! [LAVA] "Writing a LAVA test definition", lava-test-case.

use std::fmt::Write;

use super::Verdicts;
use crate::Measured;
use crate::latency::latency;
use vtick_contract::Meaning;

/// A signal per check.
pub fn checks(runs: &[Verdicts]) -> String {
    let mut out = String::new();
    for check in runs.iter().flat_map(|run| &run.checks) {
        let result = match check.meaning() {
            Meaning::Pass | Meaning::Mended | Meaning::NotObserved | Meaning::ExpectedFail => "pass",
            Meaning::Fail => "fail",
            Meaning::Skip | Meaning::Disturbed => "skip",
            Meaning::HarnessError => "unknown",
        };
        signal(&mut out, &format!("{}.{}", check.clause, check.name), result, None);
    }
    out
}

/// A signal per measurement, with its median from the deadline to the handler.
pub fn measurements(records: &[Measured]) -> String {
    let mut out = String::new();
    for record in records {
        for outcome in &record.latency {
            let lost = !outcome.faults().is_empty();
            let median = latency(outcome).map(|ticks| (record.host.in_unit(ticks), record.host.unit.name()));
            let name = format!("{}.{}", outcome.scenario.name, outcome.irqchip);
            signal(&mut out, &name, if lost { "fail" } else { "pass" }, median);
        }
    }
    out
}

fn signal(out: &mut String, name: &str, result: &str, measured: Option<(u64, &str)>) {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let measured = measured.map_or_else(String::new, |(value, unit)| format!(" MEASUREMENT={value} UNITS={unit}"));
    let _infallible = writeln!(out, "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={name} RESULT={result}{measured}>");
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;
    use vtick_core::Host;
    use vtick_latency::{Irqchip, Measurement, SCENARIOS};

    #[test]
    fn each_check_is_a_signal_with_lavas_word_for_its_verdict() {
        let text = checks(&[run("6.12")]);
        assert!(text.starts_with("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=C3.a-holds RESULT=pass>\n"), "{text}");
        let words: Vec<_> = text.lines().filter_map(|line| line.split("RESULT=").nth(1)).collect();
        assert_eq!(words, ["pass>", "fail>", "pass>", "skip>", "skip>", "unknown>"]);
    }

    #[test]
    fn a_measurement_without_a_median_has_no_number() {
        let outcome = Measurement::new(&SCENARIOS[0], Irqchip::User).outcome();
        let text = measurements(&[Measured { host: Host::default(), latency: vec![outcome] }]);
        assert!(text.contains("RESULT=") && !text.contains("MEASUREMENT"), "{text}");
    }
}
