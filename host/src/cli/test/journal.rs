//! What a run leaves to its successor, should the host die under it.
//!
//! With `--journal`, lines that start with `@` tell on standard output what host this is (`@host JSON`), which check is
//! about to run (`@check NAME`) and what came of it (`@verdict JSON`, with the transcript where the host may well die).
//! Whoever boots the host keeps them, adds `@died WHY` or, where the host was lost through nothing of its own, `@lost
//! WHY`, and hands them to the next run with `--resume`: it takes over the verdicts, knows which check took the host
//! down, and goes on with the rest. `@fresh` asks for a fresh host to go on in. `@brief` says that until the next line
//! no more time passes than the host took to
//! boot: whoever waits longer waits for a dead one.

use std::path::Path;

use anyhow::Context;
use vtick_contract::CheckRecord;

use serde::{Deserialize, Serialize};

use vtick_contract::{Case, Judgement, Transcript, Verdict};
use vtick_core::Host;
use vtick_shell::say::println;

/// A verdict as it stands in the journal.
#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    #[serde(flatten)]
    judgement: Judgement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transcript: Option<Transcript>,
}

/// The name in a verdict, which is all that a run needs to know before its end.
#[derive(Deserialize)]
struct Named {
    name: String,
}

/// A verdict of an earlier run.
struct Known {
    name: String,
    /// The verdict as it stands in the journal: it is read when it is wanted, because a journal has megabytes and the
    /// host that reads it may die next.
    json: String,
    told: Told,
}

/// How often a host may be lost under a check, through nothing of its own, before the check is given up.
const LOSSES: usize = 2;

/// What earlier runs left.
#[derive(Default)]
struct Past {
    host: Option<Host>,
    verdicts: Vec<Known>,
}

/// The journal of this run, and what earlier ones left in it.
#[derive(Default)]
pub(super) struct Journal {
    keep: bool,
    past: Past,
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
        let Some(path) = resume else { return Ok(Journal { keep, past: Past::default() }) };
        let text = vtick_shell::read_text("--resume", path).map_err(anyhow::Error::msg)?;
        let past = parse(&text).map_err(|e| anyhow::anyhow!("--resume {}: {e}", path.display()))?;
        Ok(Journal { keep, past })
    }

    /// Whether this run goes on where another ended.
    pub(super) fn resumes(&self) -> bool {
        self.past.host.is_some()
    }

    /// The host of the runs before this one.
    pub(super) fn host(&self) -> Option<&Host> {
        self.past.host.as_ref()
    }

    /// Whether an earlier run came to a verdict on a check.
    pub(super) fn knows(&self, case: &Case) -> Option<Told> {
        self.past.find(case).map(|known| known.told)
    }

    /// What an earlier run found out about a check.
    ///
    /// # Errors
    /// The journal's line is damaged.
    pub(super) fn past(&self, case: &Case, host: &Host) -> anyhow::Result<Option<CheckRecord>> {
        let Some(known) = self.past.find(case) else { return Ok(None) };
        let entry: Entry = serde_json::from_str(&known.json).with_context(|| format!("--resume: {}", known.name))?;
        Ok(Some(vtick_contract::past(case, host, entry.judgement, entry.transcript)))
    }

    /// The run begins, on this host.
    pub(super) fn start(&self, host: &Host) {
        if self.keep {
            println!("@host {}", serde_json::to_string(host).expect("strings and numbers"));
        }
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

    /// It has a verdict. The transcript is kept, too, if the host may yet die before the record is written. A host that a
    /// check has damaged may die of that when the check is over, so the next line has to come soon.
    pub(super) fn end(&self, result: &CheckRecord, danger: bool) {
        if self.keep {
            let transcript = result.transcript.clone().filter(|_| danger);
            let entry = Entry { name: result.name.clone(), judgement: result.judgement.clone(), transcript };
            println!("@verdict {}", serde_json::to_string(&entry).expect("strings, words and numbers"));
            if danger {
                println!("@brief");
            }
        }
    }
}

fn parse(text: &str) -> Result<Past, String> {
    let mut past = Past::default();
    let mut running: Option<String> = None;
    let mut lost: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("@host", json)) => past.host = Some(serde_json::from_str(json).map_err(|e| e.to_string())?),
            Some(("@check", name)) => running = Some(name.to_owned()),
            None if line == "@brief" || line == "@fresh" => {}
            Some(("@verdict", json)) => {
                running = None;
                let Named { name } = serde_json::from_str(json).map_err(|e| e.to_string())?;
                past.tell(Known { name, json: json.to_owned(), told: Told::Yes });
            }
            // Between two checks it was the fault of neither: the run goes on with the next.
            Some(("@died", why)) => {
                if let Some(name) = running.take() {
                    let reason = format!("it took the host down with it: {why}");
                    let judgement = Judgement { verdict: Verdict::Violated, reason };
                    past.tell(Known::untold(name, judgement));
                }
            }
            // Nobody's fault: the check is run again. Not for ever, because it may be the check's after all.
            Some(("@lost", why)) => {
                if let Some(name) = running.take() {
                    lost.push(name.clone());
                    if lost.iter().filter(|lost| **lost == name).count() >= LOSSES {
                        let reason = format!("its host was lost {LOSSES} times: {why}");
                        let judgement = Judgement { verdict: Verdict::HarnessError, reason };
                        past.tell(Known::untold(name, judgement));
                    }
                }
            }
            _ => return Err(format!("no line of a journal: {line}")),
        }
    }
    Ok(past)
}

impl Known {
    /// A verdict that follows from the journal.
    fn untold(name: String, judgement: Judgement) -> Known {
        let entry = Entry { name, judgement, transcript: None };
        let json = serde_json::to_string(&entry).expect("strings and words");
        Known { name: entry.name, json, told: Told::No }
    }
}

impl Past {
    /// The latest word on a check counts: a later run tells what an earlier one could not.
    fn tell(&mut self, known: Known) {
        self.verdicts.retain(|earlier| earlier.name != known.name);
        self.verdicts.push(known);
    }

    fn find(&self, case: &Case) -> Option<&Known> {
        self.verdicts.iter().find(|known| known.name == case.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known, with the judgement as the run reads it at its end.
    fn known(text: &str) -> Vec<(String, Judgement, Told)> {
        let judgement = |known: &Known| serde_json::from_str::<Entry>(&known.json).unwrap().judgement;
        let past = parse(text).unwrap().verdicts;
        past.iter().map(|known| (known.name.clone(), judgement(known), known.told)).collect()
    }

    #[test]
    fn the_check_under_way_when_the_host_died_is_the_one_to_blame() {
        let text = "@check first\n@brief\n@verdict {\"name\":\"first\",\"verdict\":\"held\",\"reason\":\"seen\"}\n\
                    @check second\n@died it was silent for 60 s\n";
        let past = known(text);
        let seen: Vec<_> = past.iter().map(|(name, judged, told)| (name.as_str(), judged.verdict, *told)).collect();
        assert_eq!(seen, [("first", Verdict::Held, Told::Yes), ("second", Verdict::Violated, Told::No)]);
        assert_eq!(past[1].1.reason, "it took the host down with it: it was silent for 60 s");
    }

    #[test]
    fn a_death_between_two_checks_is_nobodys_and_the_verdicts_before_it_stay() {
        let text = "@check first\n@verdict {\"name\":\"first\",\"verdict\":\"violated\",\"reason\":\"seen\"}\n\
                    @died it was silent for 60 s\n@died before its first check\n";
        let past = known(text);
        assert_eq!(past.len(), 1);
        assert_eq!(past[0].1.verdict, Verdict::Violated);
        assert!(parse("something else\n").is_err());
    }

    #[test]
    fn a_check_under_which_the_host_was_lost_runs_again_and_is_given_up_the_second_time() {
        let once = "@check first\n@lost QEMU was killed by signal 9\n";
        assert!(parse(once).unwrap().verdicts.is_empty());
        let twice = known(&once.repeat(2));
        assert_eq!((twice[0].1.verdict, twice[0].2), (Verdict::HarnessError, Told::No));
        assert_eq!(twice[0].1.reason, "its host was lost 2 times: QEMU was killed by signal 9");
        let elsewhere = parse(&(once.to_owned() + &once.replace("first", "second"))).unwrap();
        assert!(elsewhere.verdicts.is_empty(), "two checks, once each");
    }

    #[test]
    fn the_host_is_known_to_whoever_concludes() {
        let host = Host { kernel: "6.12".to_owned(), ..Host::default() };
        let text = format!("@host {}\n", serde_json::to_string(&host).unwrap());
        assert_eq!(parse(&text).unwrap().host, Some(host));
    }
}
