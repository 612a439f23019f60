//! A check: a claim with the program that puts it to the test, and how that is run and judged.

use super::model::{self, Objection, Tolerance};
use super::verdict::{Judged, Judgement, Unheld, Verdict, not_exercised, violated};
use super::{Clause, Fault, Program, Transcript};
use super::{cause, deviation, diagnosis};
use serde::Serialize;

use crate::report::{CheckRecord, Host};

/// A named claim about KVM: a program for the guest, and what its transcript must show.
pub struct Check {
    /// The claim as a name: lower case, words joined by `-`.
    pub name: &'static str,
    /// The clause it exercises.
    pub clause: Clause,
    /// The claim as a sentence that can be false.
    pub claim: &'static str,
    /// The kind of fault it would catch.
    pub catches: &'static str,
    /// What shows that it can fail.
    pub fails_on: FailsOn,
    /// Writes the program and returns what judges its transcript.
    pub program: fn(&mut Program) -> Judge,
}

/// What shows that a check can fail.
pub enum FailsOn {
    /// Each of these, injected, must turn it violated.
    Faults(&'static [Fault]),
    /// Nothing that can be injected: only a kernel can have such a fault, for this reason.
    KernelsAlone(&'static str),
}

/// What judges a transcript.
pub type Judge = Box<dyn Fn(&Transcript) -> Judged>;

/// Makes a judge of a closure.
pub fn judge(judge: impl Fn(&Transcript) -> Judged + 'static) -> Judge {
    Box::new(judge)
}

impl Check {
    /// The check's program for a machine whose counter runs at `cntfrq` Hz, and its judge.
    pub fn build(&self, cntfrq: u64) -> (Program, Judge) {
        let mut program = Program::new(cntfrq);
        let judge = (self.program)(&mut program);
        (program, judge)
    }

    /// Whether it must turn violated where this fault is injected.
    pub fn must_catch(&self, fault: Fault) -> bool {
        matches!(self.fails_on, FailsOn::Faults(faults) if faults.contains(&fault))
    }

    /// Whether the check may take this host down with it. Where KVM on a VHE CPU has no vGIC, the handler of the timers'
    /// interrupts masks the virtual timer's alone, and a guest's physical timer interrupts for ever.
    pub fn endangers(&self, host: &Host) -> bool {
        host.kvm_mode == "VHE" && host.gic.contains("no vGIC") && self.build(host.cntfrq).0.uses_ptimer()
    }

    /// Judges a transcript of the check's program. A vCPU that did not come to the end of its program has violated
    /// the claim, whatever it was, unless the program says that it may not end.
    pub fn judge(&self, program: &Program, judge: &Judge, transcript: &Transcript) -> Judged {
        if let Some(reason) = &transcript.unavailable {
            return not_exercised(reason.clone());
        }
        let ended = if program.setup.may_not_end { Ok(()) } else { diagnosis::all_ended(transcript) };
        let ended = ended.and_then(|()| transcript.neighbour.iter().try_for_each(|t| diagnosis::all_ended(t)));
        ended.and_then(|()| judge(transcript)).and_then(|reason| no_warning(reason, transcript))
    }
}

/// Whatever a program does, the host kernel has nothing to warn of.
fn no_warning(reason: String, transcript: &Transcript) -> Judged {
    match transcript.warnings.as_deref() {
        Some([first, ..]) => violated(format!("the host kernel warned: {first}")),
        _ => Ok(reason),
    }
}

/// What the model has against a transcript, and whether that is known of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecondOpinion {
    /// What it objects to.
    #[serde(flatten)]
    pub objection: Objection,
    /// Why that is expected of this host, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<&'static str>,
}

/// What the model says of a transcript of a check's program.
fn second_opinion(host: &Host, program: &Program, transcript: &Transcript) -> Vec<SecondOpinion> {
    let tolerance = Tolerance::of(host, program.setup.vcpus);
    let objections = model::judge(program, transcript, &tolerance).into_iter();
    objections
        .map(|objection| SecondOpinion { expected: deviation::expected(objection.rule, host), objection })
        .collect()
}

/// A claim that its own judge does not see violated is violated if the model objects to what nobody expects.
fn with_second_opinion(judgement: Judgement, opinions: &[SecondOpinion]) -> Judgement {
    let unexpected: Vec<_> = opinions.iter().filter(|opinion| opinion.expected.is_none()).collect();
    match unexpected[..] {
        [first, ..] if judgement.verdict != Verdict::Violated => {
            Judgement { verdict: Verdict::Violated, reason: format!("the model objects: {}", first.objection) }
        }
        _ => judgement,
    }
}

/// How often a program is run that something else on the host disturbs.
const TRIES: u32 = 5;

/// Builds a check's program, has `execute` run it on `host`, and judges the transcript; the model does, too, if
/// asked. Where vtick itself fails, that is this check's result and no other's: the others still have theirs.
pub fn run<E: std::fmt::Display>(
    check: &'static Check,
    host: &Host,
    ask_the_model: bool,
    mut execute: impl FnMut(&Program) -> Result<Transcript, E>,
) -> CheckRecord {
    let (mut program, judge) = check.build(host.cntfrq);
    program.setup.aloud = check.endangers(host);
    let mut tries = 0;
    let (transcript, judgement) = loop {
        let transcript = match execute(&program) {
            Ok(transcript) => transcript,
            Err(error) => break (None, Judgement::from(Err(Unheld::HarnessError(error.to_string())))),
        };
        let judged = check.judge(&program, &judge, &transcript);
        tries += 1;
        if !matches!(judged, Err(Unheld::Disturbed(_))) || tries == TRIES {
            break (Some(transcript), Judgement::from(judged));
        }
    };
    let opinions = match &transcript {
        Some(transcript) if ask_the_model => second_opinion(host, &program, transcript),
        _ => Vec::new(),
    };
    let judgement = with_second_opinion(judgement, &opinions);
    CheckRecord { objections: opinions, ..record(check, host, &program, judgement, transcript) }
}

/// The record of a check that an earlier run came to. Where it violated the claim and there is no transcript, that run's
/// host died of it.
pub fn past(check: &'static Check, host: &Host, judgement: Judgement, transcript: Option<Transcript>) -> CheckRecord {
    let (program, _) = check.build(host.cntfrq);
    record(check, host, &program, judgement, transcript)
}

fn record(
    check: &'static Check,
    host: &Host,
    program: &Program,
    judgement: Judgement,
    transcript: Option<Transcript>,
) -> CheckRecord {
    let cause = match &transcript {
        _ if judgement.verdict != Verdict::Violated => None,
        Some(transcript) => cause::recognise(transcript),
        None => check.endangers(host).then_some(cause::LOCK_UP),
    };
    CheckRecord {
        name: check.name,
        clause: check.clause,
        claim: check.claim,
        judgement,
        expected: deviation::expected(check.name, host),
        cause,
        objections: Vec::new(),
        timeline: transcript.as_ref().map(|transcript| transcript.timeline(program)).unwrap_or_default(),
        transcript,
    }
}
