//! Verdicts as `vtick test` prints them.

use crate::Ran;

/// A check's line, and what is said of it below.
pub struct Verdict<'a> {
    /// The line.
    pub line: &'a str,
    /// The lines below it.
    pub below: Vec<&'a str>,
}

impl Verdict<'_> {
    /// Whether the check held.
    pub fn is_held(&self) -> bool {
        self.line.starts_with("held")
    }

    /// Violated, where nobody expects it.
    pub fn is_violated(&self) -> bool {
        self.line.starts_with("violated") && !self.says("expected of this kernel")
    }

    /// Whether a line below has this in it.
    pub fn says(&self, what: &str) -> bool {
        self.below.iter().any(|line| line.contains(what))
    }
}

/// The verdicts that a run printed, in their order.
pub fn verdicts(ran: &Ran) -> Vec<Verdict<'_>> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    for line in ran.stdout.lines() {
        if ["held ", "violated ", "not exercised ", "disturbed ", "harness error "]
            .iter()
            .any(|word| line.starts_with(word))
        {
            verdicts.push(Verdict { line, below: Vec::new() });
        } else if let Some(verdict) = verdicts.last_mut() {
            verdict.below.push(line);
        }
    }
    verdicts
}

/// The lines of checks that are violated, where nobody expects it.
pub fn violated<'a>(verdicts: &[Verdict<'a>]) -> Vec<&'a str> {
    verdicts.iter().filter(|verdict| verdict.is_violated()).map(|verdict| verdict.line).collect()
}
