//! A check's verdict with its evidence.

use serde::Serialize;
use vtick_core::cause::Cause;

use super::{Case, Clause, Judgement, Meaning, SecondOpinion, Transcript, Verdict, cause, deviation};
use vtick_core::Host;

/// A check, or a program of a file, and what came of it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// The record of a check on a kernel that says `capability` of the mode, which is none of it: there is nothing to put to
/// the test but what it says.
pub fn without_the_mode(case: &Case, host: &Host, capability: i32) -> CheckRecord {
    let reason =
        format!("this kernel does not offer the mode: KVM_CHECK_EXTENSION(KVM_CAP_ARM_USER_IRQ) = {capability}");
    past(case, host, Judgement { verdict: Verdict::NotExercised, reason }, None)
}

/// The record of a check that an earlier run came to. Where it violated the claim and there is no transcript, that run's
/// host died of it.
pub fn past(case: &Case, host: &Host, judgement: Judgement, transcript: Option<Transcript>) -> CheckRecord {
    record(case, host, 1, judgement, transcript)
}

/// The record of a check whose spans were multiplied by `scale`.
pub(super) fn record(
    case: &Case,
    host: &Host,
    scale: u64,
    judgement: Judgement,
    mut transcript: Option<Transcript>,
) -> CheckRecord {
    let (program, _) = case.build_paced(host.cntfrq, scale);
    if let Some(transcript) = &mut transcript {
        transcript.cut_storm();
    }
    let cause = match &transcript {
        _ if judgement.verdict != Verdict::Violated => None,
        Some(transcript) => cause::recognise(transcript),
        None => case.endangers(host).then_some(cause::LOCK_UP),
    };
    CheckRecord {
        name: case.name().to_owned(),
        clause: case.clause(),
        claim: case.claim().to_owned(),
        judgement,
        expected: deviation::expected(case.name(), host),
        cause,
        objections: Vec::new(),
        shaken: false,
        scale,
        timeline: transcript.as_ref().map(|transcript| transcript.timeline(&program)).unwrap_or_default(),
        transcript,
    }
}
