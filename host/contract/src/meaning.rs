//! What verdicts mean to whoever waits for them: one by one, and all of a run together.

use crate::Verdict;

/// What a verdict means to whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Held, and nothing else was expected.
    Pass,
    /// Held where a violation is listed as expected of this kernel: the list is behind.
    Mended,
    /// The same in a run that something disturbed: it may have been missed.
    NotObserved,
    /// Violated, and nobody expects that.
    Fail,
    /// Violated, as is expected of this kernel.
    ExpectedFail,
    /// Not exercised.
    Skip,
    /// Disturbed, however often it was tried.
    Disturbed,
    /// vtick itself failed.
    HarnessError,
}

impl Meaning {
    /// What `verdict` means where a violation is expected, or is not; `calm`: nothing disturbed the run.
    pub fn of(verdict: Verdict, violation_expected: bool, calm: bool) -> Meaning {
        match (verdict, violation_expected) {
            (Verdict::Held, false) => Meaning::Pass,
            (Verdict::Held, true) if calm => Meaning::Mended,
            (Verdict::Held, true) => Meaning::NotObserved,
            (Verdict::Violated, false) => Meaning::Fail,
            (Verdict::Violated, true) => Meaning::ExpectedFail,
            (Verdict::NotExercised, _) => Meaning::Skip,
            (Verdict::Disturbed, _) => Meaning::Disturbed,
            (Verdict::HarnessError, _) => Meaning::HarnessError,
        }
    }

    /// Whether the claim was put to the test, and so is either held or violated.
    pub fn is_exercised(self) -> bool {
        !matches!(self, Meaning::Skip | Meaning::Disturbed | Meaning::HarnessError)
    }
}

/// How many verdicts of a run mean what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Held, those included that were expected not to be.
    pub held: usize,
    /// Of these, held although a violation is listed as expected.
    pub mended: usize,
    /// Of these, held in a run that something disturbed, although a violation is listed as expected.
    pub not_observed: usize,
    /// Violated, those included that are expected.
    pub violated: usize,
    /// Of these, violated as expected.
    pub expected: usize,
    /// Not exercised.
    pub not_exercised: usize,
    /// Disturbed.
    pub disturbed: usize,
    /// vtick itself failed.
    pub harness_errors: usize,
}

/// What a run came to, all in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overall {
    /// Every check that was exercised held, or deviates as listed; and at least one was exercised.
    Held,
    /// A check is violated that nobody expects to be; or, where the run is strict, a check has no verdict on the kernel, or
    /// is not violated as listed.
    Violated,
    /// No check was exercised.
    NothingExercised,
}

impl Tally {
    /// Counts.
    pub fn of(meanings: impl IntoIterator<Item = Meaning>) -> Tally {
        let mut tally = Tally::default();
        for meaning in meanings {
            match meaning {
                Meaning::Pass => tally.held += 1,
                Meaning::Mended => (tally.held, tally.mended) = (tally.held + 1, tally.mended + 1),
                Meaning::NotObserved => (tally.held, tally.not_observed) = (tally.held + 1, tally.not_observed + 1),
                Meaning::Fail => tally.violated += 1,
                Meaning::ExpectedFail => (tally.violated, tally.expected) = (tally.violated + 1, tally.expected + 1),
                Meaning::Skip => tally.not_exercised += 1,
                Meaning::Disturbed => tally.disturbed += 1,
                Meaning::HarnessError => tally.harness_errors += 1,
            }
        }
        tally
    }

    /// How many checks there were.
    pub fn all(&self) -> usize {
        self.held + self.violated + self.not_exercised + self.disturbed + self.harness_errors
    }

    /// What it comes to. `strict`: only a run that leaves nothing to look into is held.
    pub fn overall(&self, strict: bool) -> Overall {
        let open = self.not_exercised + self.disturbed + self.harness_errors + self.mended + self.not_observed;
        if self.violated > self.expected || (strict && open > 0) {
            Overall::Violated
        } else if self.held + self.violated == 0 {
            Overall::NothingExercised
        } else {
            Overall::Held
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of_these = |count: usize, what: &str| if count == 0 { String::new() } else { format!(" ({count} {what})") };
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(f, "{} check{}: ", self.all(), plural(self.all()))?;
        let mended = of_these(self.mended, "although a violation is listed: mended");
        let not_observed = of_these(self.not_observed, "although a violation is listed: not observed");
        write!(f, "{} held{mended}{not_observed}, ", self.held)?;
        write!(f, "{} violated{}, ", self.violated, of_these(self.expected, "as expected"))?;
        write!(f, "{} not exercised, {} disturbed, ", self.not_exercised, self.disturbed)?;
        write!(f, "{} harness error{}", self.harness_errors, plural(self.harness_errors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overall(meanings: &[Meaning]) -> (Overall, Overall) {
        let tally = Tally::of(meanings.iter().copied());
        assert_eq!(tally.all(), meanings.len());
        (tally.overall(false), tally.overall(true))
    }

    #[test]
    fn a_run_is_held_when_what_was_exercised_held_or_deviates_as_listed_and_something_was() {
        use Overall::{Held, NothingExercised, Violated};
        assert_eq!(overall(&[Meaning::Pass, Meaning::ExpectedFail]), (Held, Held));
        assert_eq!(overall(&[Meaning::Mended]), (Held, Violated));
        assert_eq!(overall(&[Meaning::NotObserved]), (Held, Violated));
        assert_eq!(overall(&[Meaning::Skip, Meaning::Disturbed]), (NothingExercised, Violated));
        assert_eq!(overall(&[]), (NothingExercised, NothingExercised));
        for open in [Meaning::Skip, Meaning::Disturbed, Meaning::HarnessError] {
            assert_eq!(overall(&[Meaning::Pass, open]), (Held, Violated), "{open:?}");
            assert_eq!(overall(&[Meaning::Fail, open]), (Violated, Violated), "{open:?}");
        }
    }

    #[test]
    fn the_summary_counts_each_word() {
        let tally = Tally::of([Meaning::Pass, Meaning::Mended, Meaning::ExpectedFail, Meaning::HarnessError]);
        let due = "4 checks: 2 held (1 although a violation is listed: mended), 1 violated (1 as expected), 0 not exercised, \
                   0 disturbed, 1 harness error";
        assert_eq!(tally.to_string(), due);
    }
}
