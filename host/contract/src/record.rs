//! A check's verdict with its evidence.

use serde::Serialize;
use vtick_core::cause::Cause;

use super::{Clause, Judgement, Meaning, SecondOpinion, Transcript};

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
