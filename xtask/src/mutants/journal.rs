//! What has been found out so far, a line of JSON for each mutant, written as soon as it is known: a run that is
//! interrupted goes on where it was.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::verdict::Fate;

/// What a journal is about. Of anything else it says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// The kernel's name, and what tells its Image from others.
    pub(crate) kernel: String,
    pub(crate) image: String,
    /// The host.
    pub(crate) host: String,
    /// What tells the checks' runner from others, and what it was told.
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    mutant: String,
    #[serde(flatten)]
    fate: Fate,
}

/// An open journal.
pub(crate) struct Journal {
    file: Mutex<File>,
    past: BTreeMap<String, Fate>,
}

impl Journal {
    /// Opens the journal, and takes over what it says if it is about the same subject; otherwise it begins anew.
    pub(crate) fn open(path: &Path, subject: &Subject) -> Result<Journal> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let text = fs::read_to_string(path).unwrap_or_default();
        // The last line may be a part of one.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines();
        let same =
            lines.next().is_some_and(|first| serde_json::from_str(first).is_ok_and(|first: Subject| first == *subject));
        let lines: Vec<Line> =
            if same { lines.filter_map(|line| serde_json::from_str(line).ok()).collect() } else { Vec::new() };
        let kept = if same { whole.to_owned() } else { serde_json::to_string(subject)? + "\n" };
        let opened = || format!("cannot write the journal {}", path.display());
        fs::write(path, kept).with_context(opened)?;
        let file = Mutex::new(OpenOptions::new().append(true).open(path).with_context(opened)?);
        Ok(Journal { file, past: lines.into_iter().map(|line| (line.mutant, line.fate)).collect() })
    }

    /// What is known of a mutant.
    pub(crate) fn past(&self, mutant: &str) -> Option<&Fate> {
        self.past.get(mutant)
    }

    /// A mutant's fate is known.
    pub(crate) fn add(&self, mutant: &str, fate: &Fate) -> Result<()> {
        let line = serde_json::to_string(&Line { mutant: mutant.to_owned(), fate: fate.clone() })? + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).context("cannot write the journal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_taken_up_where_it_broke_off_and_not_by_another_subject() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/journal");
        let word = str::to_owned;
        let subject =
            Subject { kernel: word("k"), image: word("i"), host: word("h"), program: word("p"), arguments: Vec::new() };
        let journal = Journal::open(&path, &subject).unwrap();
        journal.add("f+0x0:bit", &Fate::Killed { by: word("c") }).unwrap();
        journal.add("f+0x4:bit", &Fate::Survived).unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"mutant\":\"f+0x8");
        fs::write(&path, text).unwrap();
        let journal = Journal::open(&path, &subject).unwrap();
        journal.add("f+0x8:bit", &Fate::TimedOut).unwrap();
        let journal = Journal::open(&path, &subject).unwrap();
        assert_eq!(journal.past("f+0x0:bit"), Some(&Fate::Killed { by: word("c") }));
        assert_eq!((journal.past("f+0x8:bit"), journal.past("f+0xc:bit")), (Some(&Fate::TimedOut), None));
        let other = Subject { program: word("q"), ..subject };
        assert_eq!(Journal::open(&path, &other).unwrap().past("f+0x0:bit"), None);
    }
}
