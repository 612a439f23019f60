//! Verdicts as a report for KCIDB, the kernel community's database of test results. vtick writes the file and never
//! sends it. [KCIDB] kcidb-io, schema 5.3.

use serde_json::{Value, json};

use super::{Judged, Verdicts};
use vtick_contract::Meaning;

/// Where a report belongs in KCIDB.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The CI system that reports: lowercase letters, digits and underscores.
    pub origin: &'a str,
    /// The build that was tested, "ORIGIN:NAME".
    pub build: &'a str,
}

impl Place<'_> {
    /// What is wrong with it, as one line for a person.
    pub fn check(&self) -> Result<(), String> {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.origin.is_empty() || !self.origin.chars().all(word) {
            return Err(format!("--kcidb-origin {}: lowercase letters, digits and _ are possible", self.origin));
        }
        match self.build.split_once(':') {
            Some((origin, name)) if !origin.is_empty() && origin.chars().all(word) && !name.is_empty() => Ok(()),
            _ => Err(format!("--kcidb-build {}: ORIGIN:NAME is needed, the id of a build in KCIDB", self.build)),
        }
    }
}

/// Runs as a report: a test per check and run. Ids follow from the run, so the same record makes the same report.
pub fn kcidb(runs: &[Verdicts], place: &Place<'_>) -> String {
    let tests: Vec<Value> =
        runs.iter().flat_map(|run| run.checks.iter().map(move |check| test(run, check, place))).collect();
    let report = json!({ "version": { "major": 5, "minor": 3 }, "tests": tests });
    let mut text = serde_json::to_string_pretty(&report).expect("a report has only strings for keys");
    text.push('\n');
    text
}

fn test(run: &Verdicts, check: &Judged, place: &Place<'_>) -> Value {
    let host = &run.host;
    let (status, comment) = match check.meaning() {
        Meaning::Pass | Meaning::Mended | Meaning::NotObserved => ("PASS", None),
        Meaning::Fail => ("FAIL", Some(check.evidence().join("\n"))),
        // KCIDB has no word for a failure that is known: the test ran, and reports nothing new of the kernel.
        Meaning::ExpectedFail => ("DONE", Some(format!("known deviation: {}", check.judgement.reason))),
        Meaning::Skip | Meaning::Disturbed => ("SKIP", Some(check.judgement.reason.clone())),
        Meaning::HarnessError => ("ERROR", Some(check.judgement.reason.clone())),
    };
    let words = [&host.kernel, &host.kvm_mode, &host.gic, &host.cpu, &check.name];
    let id: String = words.iter().map(|word| word.replace(' ', "-")).collect::<Vec<_>>().join("/");
    let mut test = json!({
        "id": format!("{}:{id}/{}-cpus", place.origin, host.cpus),
        "origin": place.origin,
        "build_id": place.build,
        "path": format!("vtick.{}.{}", check.clause, check.name),
        "comment": check.claim,
        "status": status,
        "environment": { "comment": format!("{}, KVM {}, {}, {} CPUs", host.cpu, host.kvm_mode, host.gic, host.cpus) },
        "misc": { "kernel": host.kernel, "clause": check.clause.to_string() },
    });
    if let Some(comment) = comment {
        test["misc"]["reason"] = Value::String(comment);
    }
    if let Some(cause) = &check.cause {
        test["misc"]["looks_like"] = Value::String(cause.what.clone());
        if let Some(commit) = &cause.fixed_by {
            test["misc"]["fixed_by"] = Value::String(commit.clone());
        }
    }
    test
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    const PLACE: Place<'_> = Place { origin: "mylab", build: "mylab:1" };

    #[test]
    fn each_check_is_a_test_with_kcidbs_word_for_its_verdict() {
        let report: Value = serde_json::from_str(&kcidb(&[run("6.12")], &PLACE)).unwrap();
        let words: Vec<_> =
            report["tests"].as_array().unwrap().iter().map(|test| test["status"].as_str().unwrap()).collect();
        assert_eq!(words, ["PASS", "FAIL", "DONE", "SKIP", "SKIP", "ERROR"]);
        assert_eq!(report["tests"][1]["path"], "vtick.C3.b-fails");
        assert_eq!(report["tests"][1]["misc"]["fixed_by"], "0123");
    }

    #[test]
    fn ids_differ_within_a_report() {
        let report: Value = serde_json::from_str(&kcidb(&[run("6.1"), run("6.12")], &PLACE)).unwrap();
        let ids: std::collections::BTreeSet<_> =
            report["tests"].as_array().unwrap().iter().map(|test| test["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 12);
    }

    #[test]
    fn a_place_that_kcidb_would_refuse_is_refused_here() {
        assert_eq!(PLACE.check(), Ok(()));
        let wrong = Place { origin: "My Lab", ..PLACE };
        assert_eq!(wrong.check().unwrap_err(), "--kcidb-origin My Lab: lowercase letters, digits and _ are possible");
        assert!(Place { build: "1", ..PLACE }.check().is_err());
    }
}
