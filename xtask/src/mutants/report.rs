//! What came of the mutants: as a table, and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::journal::Subject;
use super::known::{self, Class, Known};
use super::sample::Mutant;
use super::verdict::Fate;

/// A mutant with its fate.
#[derive(Clone, Debug, Serialize)]
struct Tried {
    mutant: String,
    fingerprint: String,
    /// The instruction before and after.
    old: String,
    new: String,
    #[serde(flatten)]
    fate: Fate,
    /// Why it survives, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<String>,
}

/// All that was tried.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    subject: Subject,
    seed: u64,
    /// How many mutants there are altogether.
    all: usize,
    score: Score,
    mutants: Vec<Tried>,
}

/// How many mutants had which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Score {
    tried: usize,
    killed: usize,
    host_died: usize,
    timed_out: usize,
    survived: usize,
    /// Of those that survived, the ones that are listed as equivalent, and as out of the mode's reach.
    equivalent: usize,
    out_of_reach: usize,
}

impl Score {
    fn add(&mut self, fate: &Fate, known: Option<Class>) {
        self.tried += 1;
        match fate {
            Fate::Killed { .. } | Fate::Failed { .. } => self.killed += 1,
            Fate::HostDied { .. } => self.host_died += 1,
            Fate::TimedOut => self.timed_out += 1,
            Fate::Survived => {
                self.survived += 1;
                self.equivalent += usize::from(known == Some(Class::Equivalent));
                self.out_of_reach += usize::from(known == Some(Class::OutOfReach));
            }
        }
    }

    fn dead(&self) -> usize {
        self.killed + self.host_died + self.timed_out
    }

    fn percent(&self, without: usize) -> f64 {
        let counted = self.tried - without;
        if counted == 0 { 100.0 } else { 100.0 * self.dead() as f64 / counted as f64 }
    }
}

impl Report {
    /// Of these mutants, `all` of which there are, with their fates.
    pub(crate) fn new(subject: Subject, seed: u64, all: usize, tried: &[(Mutant, Fate)], list: &[Known]) -> Report {
        let mut sorted: Vec<&(Mutant, Fate)> = tried.iter().collect();
        sorted.sort_by_key(|(mutant, _)| (mutant.patch.address, mutant.kind));
        let mut score = Score::default();
        let mutants = sorted.into_iter().map(|(mutant, fate)| {
            let known = known::find(list, mutant);
            score.add(fate, known.map(|known| known.class));
            Tried {
                mutant: mutant.to_string(),
                fingerprint: mutant.fingerprint.clone(),
                old: format!("{:08x}", mutant.patch.old),
                new: format!("{:08x}", mutant.patch.new),
                fate: fate.clone(),
                known: known.map(|known| known.reason.clone()),
            }
        });
        let mutants = mutants.collect();
        Report { subject, seed, all, score, mutants }
    }

    /// How many survived without being listed.
    pub(crate) fn unknown_survivors(&self) -> usize {
        self.score.survived - self.score.equivalent - self.score.out_of_reach
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| writeln!(text, "{line}").expect("a string takes everything");
        let mut by_check: Vec<(&str, usize)> = Vec::new();
        for tried in &self.mutants {
            if let Fate::Killed { by } = &tried.fate {
                match by_check.iter_mut().find(|(name, _)| name == by) {
                    Some((_, kills)) => *kills += 1,
                    None => by_check.push((by, 1)),
                }
            }
        }
        by_check.sort_by_key(|(name, kills)| (std::cmp::Reverse(*kills), *name));
        line("Killed by".to_owned());
        by_check.iter().for_each(|(name, kills)| line(format!("  {kills:>4} {name}")));
        line("Survived".to_owned());
        for tried in self.mutants.iter().filter(|tried| tried.fate == Fate::Survived) {
            let known = tried.known.as_deref().unwrap_or("NOT LISTED");
            line(format!("  {} {} ({} for {}): {known}", tried.mutant, tried.fingerprint, tried.new, tried.old));
        }
        for tried in self.mutants.iter().filter(|tried| tried.fate != Fate::Survived && tried.known.is_some()) {
            line(format!("listed among those that survive, but {}: {}", tried.fate, tried.mutant));
        }
        let Score { tried, killed, host_died, timed_out, survived, equivalent, out_of_reach } = self.score;
        line(format!(
            "{tried} of {} mutants tried (seed {}): {killed} killed by checks, {host_died} took the host down, {timed_out} \
             timed out, {survived} survived ({equivalent} listed as equivalent, {out_of_reach} as out of reach)",
            self.all, self.seed
        ));
        line(format!(
            "score: {:.1} % of all, {:.1} % of those that are not listed",
            self.score.percent(0),
            self.score.percent(equivalent + out_of_reach)
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::kinds::Kind;
    use super::*;
    use crate::emulated::Patch;

    #[test]
    fn the_score_leaves_out_those_that_are_listed_and_only_those() {
        let mutant = |offset: u64| Mutant {
            symbol: "f".into(),
            fingerprint: "0badcafe".into(),
            offset,
            kind: Kind::NoCall,
            patch: Patch { address: 0x1000 + offset, old: 0x9400_0001, new: 0xd503_201f },
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        std::fs::write(&file, "f+0x8:no-call 0badcafe equivalent it does nothing\n").unwrap();
        let list = known::read(&file).unwrap();
        let killed = Fate::Killed { by: "c".into() };
        let tried = [
            (mutant(12), Fate::Survived),
            (mutant(8), Fate::Survived),
            (mutant(4), Fate::TimedOut),
            (mutant(0), killed),
        ];
        let word = str::to_owned;
        let subject =
            Subject { kernel: word("k"), image: word("i"), host: word("h"), program: word("p"), arguments: Vec::new() };
        let report = Report::new(subject.clone(), 1, 9, &tried, &list);
        let table = report.table();
        assert_eq!(report.unknown_survivors(), 1);
        assert!(table.contains("f+0x8:no-call 0badcafe (d503201f for 94000001): it does nothing\n"), "{table}");
        assert!(table.contains("f+0xc:no-call 0badcafe (d503201f for 94000001): NOT LISTED\n"), "{table}");
        assert!(table.contains("score: 50.0 % of all, 66.7 % of those that are not listed\n"), "{table}");
        let report = Report::new(subject, 1, 9, &[(mutant(8), Fate::TimedOut)], &list);
        assert!(report.table().contains("listed among those that survive, but killed: timeout: f+0x8:no-call\n"));
    }
}
