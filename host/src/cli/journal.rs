//! What a run leaves to its successor, should the host die under it.
//!
//! With `--journal`, lines that start with `@` tell on standard output which check is about to run (`@check NAME`) and
//! what came of it (`@verdict JSON`, with the transcript where the host may well die). Whoever boots the host keeps them,
//! adds `@died WHY`, and hands them to the next run with `--resume`: it takes over the verdicts, knows which check took the
//! host down, and goes on with the rest. `@fresh` asks for a fresh host to go on in. `@brief` says that until the next line no more time passes than the host took to
//! boot: whoever waits longer waits for a dead one.

use std::path::Path;

use anstream::println;
use serde::{Deserialize, Serialize};

use crate::contract::{self, Case, Judgement, Transcript, Verdict};
use crate::report::{CheckRecord, Host};

/// A verdict as it stands in the journal.
#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    #[serde(flatten)]
    judgement: Judgement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transcript: Option<Transcript>,
}

/// The journal of this run, and what earlier ones left in it.
#[derive(Default)]
pub(super) struct Journal {
    keep: bool,
    past: Vec<(Entry, Told)>,
}

/// Whether a verdict has been shown already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// By the run that came to it.
    Yes,
    /// No: that run died of it.
    No,
}

impl Journal {
    /// A journal that is kept or not, after the runs whose lines are in `resume`.
    pub(super) fn open(keep: bool, resume: Option<&Path>) -> anyhow::Result<Journal> {
        let Some(path) = resume else { return Ok(Journal { keep, past: Vec::new() }) };
        let text = std::fs::read_to_string(path).map_err(|e| anyhow::anyhow!("--resume {}: {e}", path.display()))?;
        let past = parse(&text).map_err(|e| anyhow::anyhow!("--resume {}: {e}", path.display()))?;
        Ok(Journal { keep, past })
    }

    /// Whether this run goes on where another ended.
    pub(super) fn resumes(&self) -> bool {
        !self.past.is_empty()
    }

    /// What an earlier run found out about a check.
    pub(super) fn past(&self, case: &Case, host: &Host) -> Option<(CheckRecord, Told)> {
        let (entry, told) = self.past.iter().find(|(entry, _)| entry.name == case.name())?;
        Some((contract::past(case, host, entry.judgement.clone(), entry.transcript.clone()), *told))
    }

    /// A check is about to run that the host may not survive, or one like any other.
    pub(super) fn begin(&self, case: &Case, dangerous: bool) {
        if self.keep {
            println!("@check {}", case.name());
            if dangerous {
                println!("@brief");
            }
        }
    }

    /// A vCPU of this host does not come back: what comes next needs a fresh one, and whoever boots that keeps this journal.
    /// All that was found out is told again, with the transcripts: this run writes no record any more.
    pub(super) fn go_on_elsewhere(&self, results: &[CheckRecord]) -> bool {
        if self.keep {
            results.iter().for_each(|result| self.end(result, true));
            println!("@fresh");
        }
        self.keep
    }

    /// It has a verdict. The transcript is kept, too, if the host may yet die before the record is written.
    pub(super) fn end(&self, result: &CheckRecord, with_transcript: bool) {
        if self.keep {
            let transcript = result.transcript.clone().filter(|_| with_transcript);
            let entry = Entry { name: result.name.clone(), judgement: result.judgement.clone(), transcript };
            println!("@verdict {}", serde_json::to_string(&entry).expect("strings, words and numbers"));
        }
    }
}

fn parse(text: &str) -> Result<Vec<(Entry, Told)>, String> {
    let mut past: Vec<(Entry, Told)> = Vec::new();
    let mut running = None;
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("@check", name)) => running = Some(name.to_owned()),
            None if line == "@brief" || line == "@fresh" => {}
            Some(("@verdict", json)) => {
                running = None;
                let entry: Entry = serde_json::from_str(json).map_err(|e| e.to_string())?;
                // A verdict that a later run told in place of the one that died of it.
                past.retain(|(earlier, _)| earlier.name != entry.name);
                past.push((entry, Told::Yes));
            }
            Some(("@died", why)) => {
                let name = running.take().ok_or("a run died, but not of a check")?;
                let judgement =
                    Judgement { verdict: Verdict::Violated, reason: format!("it took the host down with it: {why}") };
                past.push((Entry { name, judgement, transcript: None }, Told::No));
            }
            _ => return Err(format!("no line of a journal: {line}")),
        }
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_under_way_when_the_host_died_is_the_one_to_blame() {
        let text = "@check first\n@brief\n@verdict {\"name\":\"first\",\"verdict\":\"held\",\"reason\":\"seen\"}\n\
                    @check second\n@died it was silent for 60 s\n";
        let past = parse(text).unwrap();
        let seen: Vec<_> = past.iter().map(|(e, told)| (e.name.as_str(), e.judgement.verdict, *told)).collect();
        assert_eq!(seen, [("first", Verdict::Held, Told::Yes), ("second", Verdict::Violated, Told::No)]);
        assert_eq!(past[1].0.judgement.reason, "it took the host down with it: it was silent for 60 s");
    }

    #[test]
    fn a_death_between_two_checks_is_nobodys_and_says_so() {
        assert!(parse("@died of nothing\n").is_err());
        assert!(parse("something else\n").is_err());
    }
}
