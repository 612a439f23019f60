//! The list of mutants that are known to survive: a text file, whose format its own first lines explain.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::sample::Mutant;
use crate::list;

/// A line of the list: a mutant, and why it survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    name: String,
    fingerprint: String,
    pub(crate) class: Class,
    pub(crate) reason: String,
}

/// Why a mutant survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It does what the kernel does: nobody can tell them apart.
    Equivalent,
    /// The difference shows where this mode's interface does not reach.
    OutOfReach,
}

const CLASSES: [(Class, &str); 2] = [(Class::Equivalent, "equivalent"), (Class::OutOfReach, "out-of-reach")];

/// Reads the list; there need not be one.
pub(crate) fn read(path: &Path) -> Result<Vec<Known>> {
    list::read("the list of known mutants", path, known)
}

/// `NAME FINGERPRINT CLASS REASON`
fn known(line: &str) -> Result<Known> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, fingerprint, class, reason @ ..] = &words[..] else {
        anyhow::bail!("a mutant, a fingerprint, `equivalent` or `out-of-reach`, and a reason are needed");
    };
    let found = CLASSES.iter().find(|(_, word)| word == class).map(|(class, _)| *class);
    let class = found.with_context(|| format!("{class} is neither `equivalent` nor `out-of-reach`"))?;
    ensure!(!reason.is_empty(), "the reason is missing");
    Ok(Known { name: (*name).to_owned(), fingerprint: (*fingerprint).to_owned(), class, reason: reason.join(" ") })
}

/// The line that is about this mutant, if any.
pub(crate) fn find<'a>(list: &'a [Known], mutant: &Mutant) -> Option<&'a Known> {
    let name = mutant.to_string();
    list.iter().find(|known| known.name == name && known.fingerprint == mutant.fingerprint)
}

#[cfg(test)]
mod tests {
    use super::super::kinds::Kind;
    use super::*;
    use crate::emulated::Patch;

    fn parse(text: &str) -> Result<Vec<Known>> {
        list::parse(text, known)
    }

    #[test]
    fn a_line_is_about_a_mutant_of_one_code() {
        let list = parse("# why\nf+0x8:no-call 0badcafe equivalent it does nothing\n").unwrap();
        let mut mutant = Mutant {
            symbol: "f".into(),
            fingerprint: "0badcafe".into(),
            offset: 8,
            kind: Kind::NoCall,
            patch: Patch { address: 0x1008, old: 0, new: 1 },
        };
        assert_eq!(find(&list, &mutant).unwrap().reason, "it does nothing");
        mutant.fingerprint = "deadbeef".into();
        assert_eq!(find(&list, &mutant), None);
    }

    #[test]
    fn the_list_of_this_project_can_be_read_and_names_each_mutant_once() {
        let list = read(&crate::artifacts::workspace().join("tests/kernel/survivors.txt")).unwrap();
        assert!(!list.is_empty());
        for (index, known) in list.iter().enumerate() {
            let same = |other: &&Known| (&other.name, &other.fingerprint) == (&known.name, &known.fingerprint);
            assert!(!list[..index].iter().any(|other| same(&other)), "{} is there twice", known.name);
        }
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let error = format!("{:#}", parse("f+0x8:bit 0badcafe maybe so\n").unwrap_err());
        assert!(error.contains("line 1") && error.contains("maybe is neither"), "{error}");
        assert!(parse("f+0x8:bit 0badcafe equivalent\n").is_err());
    }
}
