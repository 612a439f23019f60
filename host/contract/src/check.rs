//! A check: a claim with the program that puts it to the test, and how that is run and judged.

use super::expect::Expected;
use super::model::{self, Objection, Tolerance};
use super::verdict::{Judged, Unheld, not_exercised, violated};
use super::{Clause, Fault, Program, Transcript, deviation, diagnosis};
use serde::Serialize;

use vtick_core::Host;

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
    OnlyKernels(&'static str),
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
        self.build_paced(cntfrq, 1)
    }

    /// The same with all spans `scale` times as long.
    pub fn build_paced(&self, cntfrq: u64, scale: u64) -> (Program, Judge) {
        let mut program = Program::paced(cntfrq, scale);
        let judge_of = (self.program)(&mut program);
        if program.expectations().is_empty() {
            return (program, judge_of);
        }
        // Those who run the program elsewhere have the expectations only: they may say no less than the check, and no more.
        let expected = Expected::of(&program);
        let both = judge(move |transcript| {
            let reason = judge_of(transcript)?;
            expected.judge(transcript, "as expected").map(|_| reason)
        });
        (program, both)
    }

    /// Whether it must turn violated where this fault is injected.
    pub fn must_catch(&self, fault: Fault) -> bool {
        matches!(self.fails_on, FailsOn::Faults(faults) if faults.contains(&fault))
    }
}

/// Judges a transcript of `program`. A vCPU that did not come to the end of its program has violated the claim, whatever
/// it was, unless the program says that it may not end.
pub(super) fn verdict_of(program: &Program, judge: &Judge, transcript: &Transcript) -> Judged {
    if let Some(reason) = &transcript.unavailable {
        return not_exercised(reason.clone());
    }
    nothing_broke(transcript)?;
    let ended = if program.setup.may_not_end { Ok(()) } else { diagnosis::all_ended(transcript) };
    let ended = ended.and_then(|()| transcript.neighbour.iter().try_for_each(|t| diagnosis::all_ended(t)));
    let ended = ended.and_then(|()| diagnosis::all_met(transcript));
    ended.and_then(|()| judge(transcript)).and_then(|reason| no_warning(reason, transcript))
}

/// In this VM, and in the one beside it.
fn nothing_broke(transcript: &Transcript) -> Result<(), Unheld> {
    diagnosis::nothing_broke(transcript)?;
    transcript.neighbour.iter().try_for_each(|neighbour| diagnosis::nothing_broke(neighbour))
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecondOpinion {
    /// What it objects to.
    #[serde(flatten)]
    pub objection: Objection,
    /// Why that is expected of this host, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<&'static str>,
}

/// What the model says of a transcript of a check's program.
pub(super) fn second_opinion(host: &Host, program: &Program, transcript: &Transcript) -> Vec<SecondOpinion> {
    let tolerance = Tolerance::of(host);
    let objections = model::judge(program, transcript, &tolerance).into_iter();
    objections
        .map(|objection| SecondOpinion { expected: deviation::expected(objection.rule, host), objection })
        .collect()
}

/// A claim that its own judge sees held is violated if the model objects to what nobody expects.
pub(super) fn with_second_opinion(judged: Judged, opinions: &[SecondOpinion]) -> Judged {
    let unexpected = opinions.iter().find(|opinion| opinion.expected.is_none());
    match (judged, unexpected) {
        (Ok(_), Some(opinion)) => violated(format!("the model objects: {}", opinion.objection)),
        (judged, _) => judged,
    }
}
