//! What came of a mutant: told by the notes that the checks' runner keeps, compared with those of the kernel as it is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vtick_frame::Exit;

use crate::emulated::{Died, Outcome};

/// What came of a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub(crate) enum Fate {
    /// A check is violated, or can no longer be run.
    Killed {
        /// Its name.
        by: String,
    },
    /// The run ended with another status, though every check that came to a verdict came to the same.
    Failed {
        /// How it ended.
        how: String,
    },
    /// The host went down.
    HostDied {
        /// How, in one line.
        how: String,
    },
    /// The host said nothing any more, or did not come to an end.
    TimedOut,
    /// Every check came to the verdict of the kernel as it is.
    Survived,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Killed { by } => write!(f, "killed by {by}"),
            Fate::Failed { how } => write!(f, "killed: the run ended with {how}"),
            Fate::HostDied { how } => write!(f, "killed: {how}"),
            Fate::TimedOut => f.write_str("killed: timeout"),
            Fate::Survived => f.write_str("SURVIVED"),
        }
    }
}

/// The verdict of each check on the kernel as it is, and how the run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    verdicts: BTreeMap<String, String>,
    exit: Exit,
}

impl Sound {
    /// Of a run of the kernel as it is.
    pub(crate) fn of(outcome: &Outcome) -> Sound {
        Sound { verdicts: verdicts(&outcome.notes).collect(), exit: outcome.exit }
    }

    /// How many checks have a verdict.
    pub(crate) fn checks(&self) -> usize {
        self.verdicts.len()
    }

    /// The first check whose verdict says that something is wrong where there was nothing.
    fn first_killer(&self, notes: &[String]) -> Option<String> {
        let wrong = |verdict: &str| ["violated", "harness-error"].contains(&verdict);
        let mut changed = verdicts(notes).filter(|(name, verdict)| self.verdicts.get(name) != Some(verdict));
        changed.find(|(_, verdict)| wrong(verdict)).map(|(name, _)| name)
    }

    /// The fate of a mutant that ran so.
    pub(crate) fn judge(&self, ran: Result<Outcome, Died>) -> Fate {
        let notes = match &ran {
            Ok(outcome) => &outcome.notes,
            Err(died) => &died.notes,
        };
        if let Some(by) = self.first_killer(notes) {
            return Fate::Killed { by };
        }
        match ran {
            Ok(outcome) if outcome.exit == self.exit => Fate::Survived,
            Ok(outcome) => Fate::Failed { how: outcome.exit.to_string() },
            Err(died) if died.stopped => Fate::TimedOut,
            Err(died) => Fate::HostDied { how: died.how },
        }
    }
}

/// Each check that has a verdict in the notes, with that.
fn verdicts(notes: &[String]) -> impl Iterator<Item = (String, String)> + '_ {
    notes.iter().filter_map(|note| {
        let json: Value = serde_json::from_str(note.strip_prefix("@verdict ")?).ok()?;
        let text = |key: &str| Some(json.get(key)?.as_str()?.to_owned());
        Some((text("name")?, text("verdict")?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(verdicts: &[(&str, &str)], code: u8) -> Outcome {
        let note = |(name, verdict): &(&str, &str)| {
            [
                format!("@check {name}"),
                format!("@verdict {{\"name\":\"{name}\",\"verdict\":\"{verdict}\",\"reason\":\"\"}}"),
            ]
        };
        let notes = verdicts.iter().flat_map(note).collect();
        Outcome { exit: Exit::Code(code), files: Vec::new(), notes, silent_work: std::time::Duration::ZERO }
    }

    fn died(notes: &Outcome, stopped: bool) -> Died {
        let notes = notes.notes.clone();
        Died {
            how: "panic".into(),
            by: crate::emulated::By::Itself,
            too_long: false,
            last_line: None,
            last_words: String::new(),
            notes,
            stopped,
        }
    }

    #[test]
    fn a_mutant_is_killed_by_the_first_check_that_is_newly_violated() {
        let sound = Sound::of(&ran(&[("a", "held"), ("b", "violated"), ("c", "not-exercised"), ("d", "held")], 0));
        assert_eq!(sound.checks(), 4);
        let killed = |by: &str| Fate::Killed { by: by.into() };
        let fate = |verdicts: &[(&str, &str)], code| sound.judge(Ok(ran(verdicts, code)));
        assert_eq!(fate(&[("a", "held"), ("b", "violated"), ("c", "not-exercised"), ("d", "held")], 0), Fate::Survived);
        assert_eq!(fate(&[("a", "held"), ("b", "violated"), ("c", "held"), ("d", "violated")], 1), killed("d"));
        assert_eq!(fate(&[("a", "harness-error")], 1), killed("a"));
        assert_eq!(fate(&[("a", "not-exercised"), ("d", "held")], 0), Fate::Survived, "nobody is told of a fault");
        assert_eq!(fate(&[("a", "held")], 2), Fate::Failed { how: "exit status 2".into() });
    }

    #[test]
    fn a_host_that_dies_is_a_kill_and_one_that_dies_of_a_violation_is_its_checks() {
        let sound = Sound::of(&ran(&[("a", "held"), ("b", "held")], 0));
        let early = ran(&[("a", "held")], 0);
        assert_eq!(sound.judge(Err(died(&early, true))), Fate::TimedOut);
        assert_eq!(sound.judge(Err(died(&early, false))), Fate::HostDied { how: "panic".into() });
        assert_eq!(sound.judge(Err(died(&ran(&[("a", "violated")], 0), true))), Fate::Killed { by: "a".into() });
    }
}
