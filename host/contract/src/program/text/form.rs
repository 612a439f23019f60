//! How a kind of line reads: one pattern for printer and parser.
//!
//! A pattern is words, signs and slots: `spin until <count> interrupts were taken, or <time>`. A slot is named by what it
//! holds ([`super::slot`]).

use super::slot::{self, Context, Cursor, Piece, Wanted};
use crate::program::Program;

/// A kind of line about a `T`.
pub(super) struct Form<T> {
    pub(super) pattern: &'static str,
    /// What stands in the slots; `None`: `T` is of another kind.
    pub(super) write: fn(&T, &Program) -> Option<Vec<Piece>>,
    /// The `T` that it says, or what is wrong with it.
    pub(super) read: fn(&[Piece], &Program) -> Result<T, String>,
}

/// A part of a pattern.
enum Part<'a> {
    Text(&'a str),
    Slot(&'a str),
}

fn parts(pattern: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = pattern;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        if first == '<' {
            let (name, behind) = rest[1..].split_once('>')?;
            rest = behind;
            return Some(Part::Slot(name));
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let len = match first {
            _ if word(first) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            _ if rest.starts_with(":=") => 2,
            _ => 1,
        };
        let (text, behind) = rest.split_at(len);
        rest = behind;
        Some(Part::Text(text))
    })
}

/// `thing` as a line; `None`: no form is for it.
pub(super) fn print<T>(forms: &[Form<T>], thing: &T, program: &Program, context: Context) -> Option<String> {
    let (form, pieces) = forms.iter().find_map(|form| Some((form, (form.write)(thing, program)?)))?;
    let mut pieces = pieces.iter();
    let mut text = String::new();
    let mut rest = form.pattern;
    while let Some((before, behind)) = rest.split_once('<') {
        let (name, behind) = behind.split_once('>').expect("a slot ends");
        text += before;
        text += &slot::show(name, pieces.next().expect("a piece for each slot"), context);
        rest = behind;
    }
    Some(text + rest)
}

/// What was wrong with a line: how many tokens were understood, and what could have followed.
#[derive(Debug, Default)]
pub(super) struct Failure {
    pub(super) at: usize,
    pub(super) wanted: Vec<Wanted>,
    /// Said instead: the line reads well, and makes no sense.
    pub(super) wrong: Option<String>,
}

impl Failure {
    /// Something else was expected where the cursor stands.
    pub(super) fn wanting(cursor: &Cursor, wanted: Wanted) -> Failure {
        Failure { at: cursor.at, wanted: vec![wanted], wrong: None }
    }

    /// Of two attempts, the one that came further; of equals, both.
    pub(super) fn or(mut self, other: Failure) -> Failure {
        match (self.wrong.is_some(), other.wrong.is_some(), self.at.cmp(&other.at)) {
            (true, _, _) | (false, false, std::cmp::Ordering::Greater) => self,
            (_, true, _) | (_, _, std::cmp::Ordering::Less) => other,
            _ => {
                self.wanted.extend(other.wanted);
                self
            }
        }
    }
}

/// Reads the rest of a line in one of `forms`.
pub(super) fn parse<T>(forms: &[Form<T>], cursor: &Cursor, program: &Program, context: Context) -> Result<T, Failure> {
    let mut failure = Failure::default();
    for form in forms {
        let mut cursor = cursor.clone();
        match slots(form.pattern, &mut cursor, context) {
            Ok(pieces) if cursor.peek().is_none() => match (form.read)(&pieces, program) {
                Ok(thing) => return Ok(thing),
                Err(wrong) => failure = failure.or(Failure { wrong: Some(wrong), ..Failure::default() }),
            },
            Ok(_) => failure = failure.or(Failure::wanting(&cursor, Wanted::new("the end of the line"))),
            Err(wanted) => failure = failure.or(Failure::wanting(&cursor, wanted)),
        }
    }
    Err(failure)
}

/// Reads along a pattern. On failure the cursor stands before what is not understood.
pub(super) fn slots(pattern: &str, cursor: &mut Cursor, context: Context) -> Result<Vec<Piece>, Wanted> {
    let mut pieces = Vec::new();
    for part in parts(pattern) {
        match part {
            Part::Text(text) => cursor.take(text)?,
            Part::Slot(name) => pieces.push(slot::read(name, cursor, context)?),
        }
    }
    Ok(pieces)
}
