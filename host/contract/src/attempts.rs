//! How often a check's program is run until there is a verdict.
//!
//! On a host where two runs are the same, a violation is one. Where they may differ, something else on the host can be the
//! cause of one, and the judges cannot know of everything: then it takes a second violation, in runs that nothing
//! disturbed as far as their transcripts show, or one in every run. Each run has more patience than the one before.

use super::case::Case;
use super::check::{second_opinion, verdict_of, with_second_opinion};
use super::pace::Terms;
use super::program::Program;
use super::record::record;
use super::transcript::{Ending, Transcript};
use super::verdict::{Judged, Judgement, Unheld};
use super::{cause, diagnosis};
use crate::CheckRecord;
use vtick_core::Host;

/// The most runs of a program.
const MOST: u32 = 10;
/// Spans are doubled from run to run so often.
const DOUBLINGS: u32 = 4;
/// Violations that are one verdict, seen in runs that nothing disturbed.
const CALM_VIOLATIONS: u32 = 2;
/// Asleep past a deadline for so long, in microseconds, while its thread did not wait for a CPU, a vCPU sleeps for good.
const LONG_US: u64 = 100_000;
/// The same, in runs of which each was disturbed, and no other came to anything else.
const ANY_VIOLATIONS: u32 = 5;

/// Builds the program, has `execute` run it on `host`, and judges the transcript, as often as it takes; the model does,
/// too, if asked. Where vtick itself fails, that is this check's result and no other's: the others still have theirs.
pub fn run<E: std::fmt::Display>(
    case: &Case,
    host: &Host,
    terms: Terms,
    mut execute: impl FnMut(&Program) -> Result<Transcript, E>,
) -> CheckRecord {
    let mut seen = Seen::default();
    for attempt in 0..MOST {
        let scale = terms.scale << attempt.min(DOUBLINGS);
        let (mut program, judge) = case.build_paced(host.cntfrq, scale);
        program.setup.aloud = case.endangers(host);
        program.setup.disturb = terms.disturb.map(|seed| seed_of(seed, case.name(), attempt));
        let transcript = match execute(&program) {
            Ok(transcript) => transcript,
            Err(error) => {
                let judgement = Judgement::from(Err(Unheld::HarnessError(error.to_string())));
                return record(case, host, scale, judgement, None);
            }
        };
        // The model does not know why a signal came, or that a thread waited for its CPU.
        let undisturbed = !terms.varies || transcript.is_calm(&program);
        let opinions = match terms.ask_the_model && undisturbed {
            true => second_opinion(host, &program, &transcript),
            false => Vec::new(),
        };
        let sane = if matches!(case, Case::File(_)) { diagnosis::no_panic(&transcript) } else { Ok(()) };
        let judged = sane.and_then(|()| verdict_of(&program, &judge, &transcript));
        let judged = with_second_opinion(judged, &opinions);
        let lag = transcript.timer_lag().filter(|_| terms.time_is_real);
        let proof = Proof::of(&transcript, &program, terms);
        if let Some(verdict) = seen.take(judged, proof, lag) {
            let shaken = matches!(proof, Proof::Disturbed | Proof::Interfered);
            let record = record(case, host, scale, verdict.into(), Some(transcript));
            return CheckRecord { shaken, objections: opinions, ..record };
        }
        if attempt == MOST - 1 {
            let record = record(case, host, scale, seen.give_up().into(), Some(transcript));
            return CheckRecord { shaken: true, objections: opinions, ..record };
        }
    }
    unreachable!("the last run has a verdict")
}

/// What a violation in a run is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// It cannot have come of anything but the kernel.
    Certain,
    /// Nothing else can be seen from which it came.
    Calm,
    /// Something else may be the cause.
    Disturbed,
    /// A vCPU was sent a signal, which ends a WFI: nothing of it may have come from the kernel.
    Interfered,
}

impl Proof {
    fn of(transcript: &Transcript, program: &Program, terms: Terms) -> Proof {
        let broke = |ending: &Ending| {
            matches!(ending, Ending::Storm(_) | Ending::Stuck { .. } | Ending::Refused | Ending::Failed { .. })
        };
        if !terms.varies || transcript.endings.iter().any(broke) || transcript.refusals().next().is_some() {
            Proof::Certain
        } else if transcript.was_interfered_with() {
            Proof::Interfered
        } else if transcript.is_calm(program) || cause::has_overslept(transcript, program.us(LONG_US)) {
            Proof::Calm
        } else {
            Proof::Disturbed
        }
    }
}

/// What the runs so far came to.
#[derive(Default)]
struct Seen {
    runs: u32,
    held: u32,
    calm: u32,
    violated: u32,
    violation: Option<String>,
    disturbance: Option<String>,
    /// Violations in runs in which a timer's ISTATUS lagged behind its counter.
    lagged: u32,
}

impl Seen {
    /// Takes in a run, in which ISTATUS was seen clear so many ticks after a deadline, if it was. `Some`: that is the
    /// verdict.
    fn take(&mut self, judged: Judged, proof: Proof, lag: Option<u64>) -> Option<Judged> {
        self.runs += 1;
        match (judged, lag) {
            // A level that is missing may be the CPU's fault: the guest itself has seen that its timer was late.
            (Err(Unheld::Violated(reason)), Some(lag)) if proof != Proof::Certain => {
                self.lagged += 1;
                self.take_one(
                    Err(Unheld::Disturbed(format!("ISTATUS was clear {lag} ticks after the deadline: {reason}"))),
                    proof,
                )
            }
            (judged, _) => self.take_one(judged, proof),
        }
    }

    fn take_one(&mut self, judged: Judged, proof: Proof) -> Option<Judged> {
        match judged {
            Ok(_) if self.calm > 0 => {
                self.held += 1;
                (self.held > self.calm).then(|| self.give_up())
            }
            Err(Unheld::Disturbed(reason)) => {
                self.disturbance = Some(reason);
                None
            }
            Err(Unheld::Violated(reason)) if proof == Proof::Interfered => {
                self.disturbance = Some(format!("a vCPU was sent a signal: {reason}"));
                None
            }
            Err(Unheld::Violated(reason)) => {
                self.violated += 1;
                self.calm += u32::from(proof == Proof::Calm);
                let enough = proof == Proof::Certain
                    || self.calm >= CALM_VIOLATIONS
                    || (self.held == 0 && self.violated >= ANY_VIOLATIONS);
                self.violation = Some(reason.clone());
                enough.then_some(Err(Unheld::Violated(reason)))
            }
            verdict => Some(verdict),
        }
    }

    /// The verdict when there is no other.
    fn give_up(&self) -> Judged {
        let Seen { runs, violated, .. } = self;
        // Spans have grown with each run: a timer that is late by all of them is none that lags.
        if let (true, Some(reason)) = (self.lagged == *runs, &self.disturbance) {
            return Err(Unheld::Violated(format!("in each of {runs} runs: {reason}")));
        }
        Err(Unheld::Disturbed(match (&self.violation, &self.disturbance) {
            (Some(violation), _) => format!("violated in {violated} of {runs} runs: {violation}"),
            (None, Some(disturbance)) => format!("in each of {runs} runs: {disturbance}"),
            (None, None) => format!("{runs} runs came to nothing"),
        }))
    }
}

/// The seed of what disturbs one run of one check.
fn seed_of(seed: u64, check: &str, attempt: u32) -> u64 {
    // FNV-1a: the same wherever it is computed.
    let bytes = seed.to_le_bytes().into_iter().chain(check.bytes()).chain(attempt.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disturbed, violated};

    fn verdict(runs: &[(Judged, Proof)]) -> (usize, Option<Judged>) {
        let mut seen = Seen::default();
        for (index, (judged, proof)) in runs.iter().enumerate() {
            if let Some(verdict) = seen.take(judged.clone(), *proof, None) {
                return (index + 1, Some(verdict));
            }
        }
        (runs.len(), None)
    }

    fn held() -> Judged {
        Ok("seen".to_owned())
    }

    #[test]
    fn where_runs_are_the_same_a_violation_is_one() {
        assert_eq!(verdict(&[(violated("x"), Proof::Certain)]), (1, Some(violated("x"))));
    }

    #[test]
    fn where_runs_differ_it_takes_two_that_nothing_disturbed_or_every_one_of_many() {
        assert_eq!(verdict(&[(violated("x"), Proof::Calm), (violated("y"), Proof::Calm)]), (2, Some(violated("y"))));
        let shaken = (violated("x"), Proof::Disturbed);
        assert_eq!(verdict(&vec![shaken.clone(); 4]), (4, None));
        assert_eq!(verdict(&vec![shaken.clone(); 5]), (5, Some(violated("x"))));
        assert_eq!(verdict(&[shaken, (held(), Proof::Disturbed)]), (2, Some(held())));
    }

    #[test]
    fn a_violation_that_does_not_come_again_is_told_and_is_no_verdict_on_the_kernel() {
        let runs = [(violated("x"), Proof::Calm), (held(), Proof::Calm), (held(), Proof::Calm)];
        assert_eq!(verdict(&runs), (3, Some(disturbed("violated in 1 of 3 runs: x"))));
    }

    #[test]
    fn a_run_that_is_disturbed_each_time_says_by_what() {
        let mut seen = Seen::default();
        assert_eq!(seen.take(disturbed("too late"), Proof::Disturbed, None), None);
        assert_eq!(seen.give_up(), disturbed("in each of 1 runs: too late"));
    }

    #[test]
    fn a_timer_that_lags_is_no_fault_of_the_kernel_unless_it_lags_however_long_it_is_waited_for() {
        let lagging = |runs| {
            let mut seen = Seen::default();
            (0..runs).for_each(|_| assert_eq!(seen.take(violated("low"), Proof::Calm, Some(9)), None));
            seen
        };
        assert_eq!(lagging(1).take(held(), Proof::Calm, Some(9)), Some(held()));
        let reason = "ISTATUS was clear 9 ticks after the deadline: low";
        assert_eq!(lagging(8).give_up(), violated(format!("in each of 8 runs: {reason}")));
        let mut signalled = Seen::default();
        (0..9).for_each(|_| assert_eq!(signalled.take(violated("woke"), Proof::Interfered, None), None));
        assert_eq!(signalled.give_up(), disturbed("in each of 9 runs: a vCPU was sent a signal: woke"));
        let mut once = lagging(2);
        assert_eq!(once.take(disturbed("late"), Proof::Calm, None), None);
        assert_eq!(once.give_up(), disturbed("in each of 3 runs: late"));
    }

    #[test]
    fn every_run_of_every_check_is_disturbed_in_its_own_way() {
        let seeds = [seed_of(1, "a", 0), seed_of(2, "a", 0), seed_of(1, "b", 0), seed_of(1, "a", 1)];
        let different: std::collections::HashSet<_> = seeds.into_iter().collect();
        assert_eq!(different.len(), seeds.len());
    }
}
