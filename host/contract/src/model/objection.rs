//! What the model has against a transcript.

use serde::Serialize;

use crate::Clause;

/// Something in a transcript that the contract does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Objection {
    /// The clause that is broken.
    pub clause: Clause,
    /// The model's rule, by its name.
    pub rule: &'static str,
    /// The vCPU.
    pub vcpu: usize,
    /// When, on the host's counter.
    pub at: u64,
    /// One sentence: what was seen, and what is due.
    pub what: String,
}

impl std::fmt::Display for Objection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): vCPU {}: {}", self.clause, self.rule, self.vcpu, self.what)
    }
}
