//! How far an exploration has come and what it has found, on lines that start with `@`: whoever runs it keeps them, and
//! hands them to the next run with `--resume`.
//!
//! `@at JSON`: all before this position is done, with the numbers so far. `@finding JSON`: something was found.
//! `@program N`: the program at this position is about to run; said of each after a run whose host died, until the one
//! that did it is known. `@keep NAME JSON`: a text that is to become a file of this name. `@died WHY` is added by whoever booted the host.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::finding::Finding;
use vtick_shell::say::println;

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    /// All positions before this one are done.
    pub(super) position: u64,
    /// Of so many.
    pub(super) of: u64,
    /// Programs run so far, by this run.
    pub(super) programs: u64,
    /// What the programs cost so far: instructions, where those are counted.
    pub(super) cost: u64,
}

/// The journal of this run, and what earlier ones left in it.
#[derive(Default)]
pub(super) struct Journal {
    keep: bool,
    past: Vec<Finding>,
    at: At,
    blamed: Option<(u64, String)>,
    /// The host died, and it is not known of which program.
    careful: bool,
}

impl Journal {
    /// A journal that is kept or not, after the runs whose lines are in `resume`.
    pub(super) fn open(keep: bool, resume: Option<&Path>) -> anyhow::Result<Journal> {
        let mut journal = Journal { keep, ..Journal::default() };
        if let Some(path) = resume {
            let text = vtick_shell::read_text("--resume", path).map_err(anyhow::Error::msg)?;
            journal.take(&text).map_err(|e| anyhow::anyhow!("--resume {}: {e}", path.display()))?;
        }
        Ok(journal)
    }

    fn take(&mut self, text: &str) -> Result<(), String> {
        let mut under_way = None;
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "@at" => {
                    self.at = serde_json::from_str(rest).map_err(|e| e.to_string())?;
                    (self.careful, under_way) = (false, None);
                }
                "@finding" => self.past.push(serde_json::from_str(rest).map_err(|e| e.to_string())?),
                "@program" => under_way = rest.parse::<u64>().ok(),
                "@died" => match under_way.take() {
                    Some(program) => {
                        self.at.position = program + 1;
                        self.blamed = Some((program, rest.to_owned()));
                        self.careful = true;
                    }
                    None if self.careful => return Err("the host died twice, and of no program".to_owned()),
                    None => self.careful = true,
                },
                _ => return Err(format!("no line of a journal: {line}")),
            }
        }
        Ok(())
    }

    /// What earlier runs found.
    pub(super) fn past(&self) -> &[Finding] {
        &self.past
    }

    /// How far earlier runs came.
    pub(super) fn position(&self) -> u64 {
        self.at.position
    }

    /// Whether this run goes on where another ended.
    pub(super) fn resumes(&self) -> bool {
        self.at != At::default() || self.careful || !self.past.is_empty()
    }

    /// The program of which the last host died, and how; asked once.
    pub(super) fn take_blamed(&mut self) -> Option<(u64, String)> {
        self.blamed.take()
    }

    /// The program at this position is about to run.
    pub(super) fn program(&self, position: u64) {
        if self.keep && self.careful {
            println!("@program {position}");
        }
    }

    /// It has come so far.
    pub(super) fn at(&mut self, at: At) {
        if self.keep {
            println!("@at {}", serde_json::to_string(&at).expect("numbers"));
        }
        self.careful = false;
    }

    /// Something was found.
    pub(super) fn finding(&self, finding: &Finding) {
        if self.keep {
            println!("@finding {}", serde_json::to_string(finding).expect("words and numbers"));
            let name = finding.file_name();
            println!("@keep {name} {}", serde_json::to_string(&finding.litmus()).expect("a string"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Result<Journal, String> {
        let mut journal = Journal::default();
        journal.take(text).map(|()| journal)
    }

    const AT: &str = "@at {\"position\":40,\"of\":99,\"programs\":30,\"cost\":5}\n";

    #[test]
    fn a_run_goes_on_at_the_last_position_that_was_told() {
        let journal = after(AT).unwrap();
        assert_eq!((journal.position(), journal.resumes(), journal.careful), (40, true, false));
    }

    #[test]
    fn a_host_that_died_is_looked_into_program_by_program_and_the_one_under_way_is_blamed() {
        let journal = after(&format!("{AT}@died of silence\n")).unwrap();
        assert!(journal.careful && journal.position() == 40);
        let mut journal = after(&format!("{AT}@died of silence\n@program 40\n@program 43\n@died again\n")).unwrap();
        assert_eq!(journal.position(), 44);
        assert_eq!(journal.take_blamed(), Some((43, "again".to_owned())));
        assert!(journal.take_blamed().is_none());
    }

    #[test]
    fn what_is_no_journal_is_refused_and_so_is_a_host_that_dies_without_a_program() {
        assert!(after("something\n").is_err());
        assert!(after("@died one\n@died two\n").is_err());
    }
}
