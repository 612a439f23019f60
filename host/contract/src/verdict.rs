//! What can be said of a claim when its program has run.

use serde::{Deserialize, Serialize};

/// Held, with a sentence of evidence, or why not.
pub type Judged = Result<String, Unheld>;

/// Why a claim is not held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unheld {
    /// The transcript shows otherwise.
    Violated(String),
    /// The claim could not be put to the test.
    NotExercised(String),
    /// Something else on the host came between, and the transcript shows neither: the program is run again.
    Disturbed(String),
    /// vtick itself failed, and the transcript shows neither.
    HarnessError(String),
}

/// The claim is violated: `reason` gives both what was seen and what was due.
pub fn violated<T>(reason: impl Into<String>) -> Result<T, Unheld> {
    Err(Unheld::Violated(reason.into()))
}

/// The transcript shows neither, because of something else that the host did.
pub fn disturbed<T>(reason: impl Into<String>) -> Result<T, Unheld> {
    Err(Unheld::Disturbed(reason.into()))
}

/// The claim could not be put to the test, for this reason.
pub fn not_exercised<T>(reason: impl Into<String>) -> Result<T, Unheld> {
    Err(Unheld::NotExercised(reason.into()))
}

/// Five words for a check's result, never blurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The transcript shows the claim.
    Held,
    /// The transcript shows that the claim is false.
    Violated,
    /// The claim could not be put to the test.
    NotExercised,
    /// Something else on the host came between, however often the program was run.
    Disturbed,
    /// vtick itself failed.
    HarnessError,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Verdict::Held => "held",
            Verdict::Violated => "violated",
            Verdict::NotExercised => "not exercised",
            Verdict::Disturbed => "disturbed",
            Verdict::HarnessError => "harness error",
        })
    }
}

/// A verdict with its one sentence of reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

impl From<Judged> for Judgement {
    fn from(judged: Judged) -> Judgement {
        let (verdict, reason) = match judged {
            Ok(reason) => (Verdict::Held, reason),
            Err(Unheld::Violated(reason)) => (Verdict::Violated, reason),
            Err(Unheld::NotExercised(reason)) => (Verdict::NotExercised, reason),
            Err(Unheld::Disturbed(reason)) => (Verdict::Disturbed, reason),
            Err(Unheld::HarnessError(reason)) => (Verdict::HarnessError, reason),
        };
        Judgement { verdict, reason }
    }
}
