//! The verdicts of a run, read back from its record, and what other tools take them as.

mod junit;
mod kcidb;
mod ktap;
mod lava;
mod markdown;
mod matrix;
mod tap;

use serde::Deserialize;

use super::record;
use super::terminal::MOST_LINES;
use vtick_contract::{CheckRecord, Clause, Judgement, Meaning, Tally, Transcript, checks, shorten};
use vtick_core::Host;

pub use junit::junit;
pub use kcidb::{Place, kcidb};
pub use ktap::ktap;
pub use lava::{checks as lava_checks, measurements as lava_measurements};
pub use markdown::markdown;
pub(crate) use markdown::plain;
pub use matrix::{Absent, matrix, reasons};
pub use tap::tap;

/// A run's verdicts.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdicts {
    /// The machine.
    pub host: Host,
    /// The checks, in order.
    #[serde(default)]
    pub checks: Vec<Judged>,
}

/// A check, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Judged {
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
    pub expected: Option<String>,
    /// The known kernel fault that a violation looks like.
    pub cause: Option<KnownCause>,
    /// Whether something disturbed the run that this is of.
    #[serde(default)]
    pub shaken: bool,
    /// By how much the program's spans were multiplied.
    #[serde(default = "one")]
    scale: u64,
    /// Everything that happened; none if the host died of it.
    #[serde(default)]
    transcript: Option<Transcript>,
    /// The transcript as text.
    #[serde(skip)]
    pub timeline: Vec<String>,
}

fn one() -> u64 {
    1
}

/// A known fault of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KnownCause {
    /// The commit that repairs it, if there is one.
    pub fixed_by: Option<String>,
    /// What it is.
    pub what: String,
}

impl Verdicts {
    /// Reads a record's verdicts. The error says what is wrong with it.
    pub fn from_json(json: &str) -> Result<Verdicts, String> {
        let mut run = Verdicts::judged_from_json(json)?;
        let cntfrq = run.host.cntfrq;
        for judged in &mut run.checks {
            let check = checks::all().find(|check| check.name == judged.name);
            if let (Some(check), Some(transcript)) = (check, judged.transcript.take()) {
                judged.timeline = transcript.timeline(&check.build_paced(cntfrq, judged.scale).0);
            }
        }
        Ok(run)
    }

    /// How many mean what.
    pub fn tally(&self) -> Tally {
        Tally::of(self.checks.iter().map(Judged::meaning))
    }

    /// The same without the transcripts' timelines, which takes less time where there are many records.
    pub(crate) fn judged_from_json(json: &str) -> Result<Verdicts, String> {
        record::parse(json)
    }

    /// The verdicts of a run that has just ended.
    pub fn of(host: &Host, checks: &[CheckRecord]) -> Verdicts {
        Verdicts { host: host.clone(), checks: checks.iter().map(Judged::of).collect() }
    }
}

impl Judged {
    fn of(check: &CheckRecord) -> Judged {
        let cause = check
            .cause
            .map(|cause| KnownCause { fixed_by: cause.fixed_by.map(str::to_owned), what: cause.what.to_owned() });
        Judged {
            name: check.name.clone(),
            clause: check.clause,
            claim: check.claim.clone(),
            judgement: check.judgement.clone(),
            expected: check.expected.map(str::to_owned),
            cause,
            shaken: check.shaken,
            scale: check.scale,
            transcript: None,
            timeline: check.timeline.clone(),
        }
    }

    /// What the verdict means.
    pub fn meaning(&self) -> Meaning {
        Meaning::of(self.judgement.verdict, self.expected.is_some(), !self.shaken)
    }

    /// Everything that is said below the verdict: reason, expectation, cause and, of a failure, what happened.
    fn evidence(&self) -> Vec<String> {
        let mut lines = vec![self.judgement.reason.clone()];
        lines.extend(self.expected.iter().map(|why| format!("a violation is expected of this kernel: {why}")));
        lines.extend(self.cause.iter().map(|cause| match &cause.fixed_by {
            Some(commit) => format!("looks like: {}; fixed by commit {commit}", cause.what),
            None => format!("looks like: {}", cause.what),
        }));
        if self.meaning() == Meaning::Fail {
            lines.extend(shorten(&self.timeline, MOST_LINES));
        }
        lines
    }
}

#[cfg(test)]
pub(crate) use tests::example;

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of a run on `kernel`: a check of each meaning but mended.
    pub(crate) fn example(kernel: &str) -> String {
        let json = r##"{
            "format": "vtick", "version": VERSION,
            "host": { "kernel": "KERNEL", "build": "#1", "kvm_mode": "VHE", "gic": "GICv3", "cpu": "N1", "cpus": 1,
                      "cntfrq": 1000000000, "unit": "instructions", "power": "", "deterministic": true },
            "checks": [
              { "name": "a-holds", "clause": "C3", "claim": "A.", "verdict": "held", "reason": "seen" },
              { "name": "b-fails", "clause": "C3", "claim": "B.", "verdict": "violated", "reason": "1 & 2 <due>",
                "cause": { "what": "a fault", "fixed_by": "0123" } },
              { "name": "c-deviates", "clause": "C9", "claim": "C.", "verdict": "violated", "reason": "odd",
                "expected": "so it is" },
              { "name": "d-is-not-there", "clause": "C14", "claim": "D.", "verdict": "not-exercised", "reason": "no PMU" },
              { "name": "e-was-late", "clause": "C14", "claim": "E.", "verdict": "disturbed", "reason": "too late" },
              { "name": "f-failed", "clause": "C14", "claim": "F.", "verdict": "harness-error", "reason": "no memory" }
            ] }"##;
        json.replace("KERNEL", kernel).replace("VERSION", &record::VERSION.to_string())
    }

    /// The run of that record.
    pub(super) fn run(kernel: &str) -> Verdicts {
        let mut run = Verdicts::from_json(&example(kernel)).unwrap();
        run.checks[1].timeline = ["+0  vCPU 0", "+9  vCPU 0"].map(str::to_owned).into();
        run
    }

    #[test]
    fn a_verdict_means_what_was_expected_and_what_came() {
        let run = run("6.12");
        let meanings: Vec<_> = run.checks.iter().map(Judged::meaning).collect();
        let due = [Meaning::Pass, Meaning::Fail, Meaning::ExpectedFail, Meaning::Skip];
        assert_eq!(meanings, [&due[..], &[Meaning::Disturbed, Meaning::HarnessError]].concat());
        let surprise = Judged { expected: Some("why".to_owned()), ..run.checks[0].clone() };
        assert_eq!(surprise.meaning(), Meaning::Mended);
    }

    #[test]
    fn a_failure_carries_its_evidence_and_others_their_reason_alone() {
        let run = run("6.12");
        let due = ["1 & 2 <due>", "looks like: a fault; fixed by commit 0123", "+0  vCPU 0", "+9  vCPU 0"];
        assert_eq!(run.checks[1].evidence(), due);
        assert_eq!(run.checks[3].evidence(), ["no PMU"]);
    }
}
