//! JSON lines: what is known of a run while it is under way, one event on each line. Every line says which kernel it is
//! of, because those of several runs may come one after the other. Lines may get more fields; whoever reads them skips
//! events and fields that are new.

use serde::Serialize;
use vtick_contract::Meaning;
use vtick_core::Unit;

use vtick_contract::{CheckRecord, Clause, Tally, Verdict};
use vtick_core::Host;
use vtick_core::cause::Cause;
use vtick_latency::{Hop, HopSummary, Irqchip, Outcome, Summary};

/// An event of a run.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    /// The run begins, or goes on, on this host.
    Host { host: &'a Host },
    /// A check begins.
    Begin { check: &'a str, clause: Clause },
    /// It has its verdict.
    Verdict {
        check: &'a str,
        clause: Clause,
        verdict: Verdict,
        reason: &'a str,
        /// Whether the run fails because of it.
        fails: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
    /// A measurement was made.
    Measured {
        scenario: &'a str,
        irqchip: Irqchip,
        expected: u64,
        delivered: u64,
        lost: u64,
        spurious: u64,
        /// In the host's unit.
        unit: Unit,
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline_to_handler: Option<Figures>,
        #[serde(skip_serializing_if = "Option::is_none")]
        whole: Option<Figures>,
        hops: Vec<HopFigures>,
        faults: Vec<String>,
    },
    /// All checks have been run.
    Summary {
        checks: usize,
        held: usize,
        violated: usize,
        /// Of the violated ones.
        expected: usize,
        not_exercised: usize,
        disturbed: usize,
        harness_errors: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        incomplete: Option<&'a str>,
    },
}

/// A distribution in short.
#[derive(Serialize)]
struct Figures {
    min: u64,
    p50: u64,
    p99: u64,
    max: u64,
}

/// What a hop took.
#[derive(Serialize)]
struct HopFigures {
    hop: Hop,
    #[serde(flatten)]
    ticks: Figures,
}

fn line(host: &Host, event: &Event<'_>) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        kernel: &'a str,
        #[serde(flatten)]
        event: &'a Event<'a>,
    }
    serde_json::to_string(&Line { kernel: &host.kernel, event }).expect("strings, words and numbers")
}

/// The run begins on this host.
pub fn host(host: &Host) -> String {
    line(host, &Event::Host { host })
}

/// A check begins.
pub fn begin(host: &Host, check: &str, clause: Clause) -> String {
    line(host, &Event::Begin { check, clause })
}

/// A check has its verdict.
pub fn verdict(host: &Host, check: &CheckRecord) -> String {
    let event = Event::Verdict {
        check: &check.name,
        clause: check.clause,
        verdict: check.judgement.verdict,
        reason: &check.judgement.reason,
        fails: check.meaning() == Meaning::Fail,
        expected: check.expected,
        cause: check.cause,
    };
    line(host, &event)
}

/// A measurement was made.
pub fn measured(host: &Host, outcome: &Outcome) -> String {
    let figures = |ticks: &Summary| {
        let [min, p50, p99, max] = [ticks.min, ticks.p50, ticks.p99, ticks.max].map(|ticks| host.in_unit(ticks));
        Figures { min, p50, p99, max }
    };
    let counts = &outcome.counts;
    let event = Event::Measured {
        scenario: &outcome.scenario.name,
        irqchip: outcome.irqchip,
        expected: counts.expected,
        delivered: counts.delivered,
        lost: counts.lost,
        spurious: counts.spurious,
        unit: host.unit,
        deadline_to_handler: outcome.deadline_to_handler.as_ref().map(figures),
        whole: outcome.whole.as_ref().map(figures),
        hops: outcome
            .hops
            .iter()
            .map(|HopSummary { hop, ticks }| HopFigures { hop: *hop, ticks: figures(ticks) })
            .collect(),
        faults: outcome.faults(),
    };
    line(host, &event)
}

/// All checks have been run, or, for the reason `incomplete`, no more are.
pub fn summary(host: &Host, tally: &Tally, incomplete: Option<&str>) -> String {
    let &Tally { held, violated, expected, not_exercised, disturbed, harness_errors, .. } = tally;
    let event = Event::Summary {
        checks: tally.all(),
        held,
        violated,
        expected,
        not_exercised,
        disturbed,
        harness_errors,
        incomplete,
    };
    line(host, &event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use vtick_contract::{self, Case, Judgement, checks};
    use vtick_latency::{Measurement, SCENARIOS};

    fn read(line: &str) -> Value {
        assert!(!line.contains('\n'), "one line each: {line}");
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn each_line_is_an_event_of_its_kernel_and_a_verdict_says_whether_the_run_fails_of_it() {
        let host = Host { kernel: "6.1.0-47".to_owned(), ..Host::default() };
        let check = checks::all().next().unwrap();
        let line = read(&begin(&host, check.name, check.clause));
        assert_eq!(
            (&line["kernel"], &line["event"], &line["check"]),
            (&"6.1.0-47".into(), &"begin".into(), &check.name.into())
        );
        let reason = "two\nlines".to_owned();
        for (word, due, fails) in [(Verdict::Held, "held", false), (Verdict::Violated, "violated", true)] {
            let judgement = Judgement { verdict: word, reason: reason.clone() };
            let line = read(&verdict(&host, &vtick_contract::past(&Case::Check(check), &host, judgement, None)));
            assert_eq!((&line["verdict"], &line["fails"]), (&due.into(), &fails.into()));
            assert_eq!(line["reason"], reason);
        }
    }

    #[test]
    fn the_summary_counts_and_says_why_a_run_is_incomplete() {
        let tally = Tally { held: 3, violated: 2, expected: 1, ..Tally::default() };
        let line = read(&summary(&Host::default(), &tally, Some("silent")));
        assert_eq!((&line["checks"], &line["expected"], &line["incomplete"]), (&5.into(), &1.into(), &"silent".into()));
        assert!(read(&summary(&Host::default(), &tally, None)).get("incomplete").is_none());
    }

    #[test]
    fn a_measurement_tells_its_scenario_and_what_was_lost() {
        let outcome = Measurement::new(&SCENARIOS[0], Irqchip::User).outcome();
        let line = read(&measured(&Host::default(), &outcome));
        assert_eq!((&line["scenario"], &line["irqchip"]), (&"vtimer-spin".into(), &"user".into()));
        assert_eq!((&line["lost"], &line["unit"]), (&0.into(), &"instructions".into()));
    }
}
