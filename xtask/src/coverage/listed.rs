//! The list of what is known to be out of reach: a text file, whose format its own first lines explain.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::code::Code;
use crate::list;

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    symbol: String,
    /// Of the code that it is about; of any, if there is none.
    fingerprint: Option<String>,
    /// From and to, in bytes from the function's first instruction; all of it if absent.
    range: Option<Range<u64>>,
    /// Why it is out of reach.
    pub(crate) reason: String,
}

/// Reads the list; there need not be one.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>> {
    list::read("the list of unreachable code", path, entry)
}

/// `SYMBOL FINGERPRINT|* +FROM..+TO|all REASON`
fn entry(line: &str) -> Result<Entry> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [symbol, fingerprint, range, reason @ ..] = &words[..] else {
        anyhow::bail!("a symbol, a fingerprint or *, a range or `all`, and a reason are needed");
    };
    ensure!(!reason.is_empty(), "the reason is missing");
    let offset = |text: &str| u64::from_str_radix(text.strip_prefix("+0x")?, 16).ok();
    let range = match *range {
        "all" => None,
        range => {
            let bounds = range.split_once("..").and_then(|(from, to)| Some(offset(from)?..offset(to)?));
            Some(bounds.filter(|bounds| bounds.start < bounds.end).context("a range is +0xFROM..+0xTO, or `all`")?)
        }
    };
    let any = *fingerprint == "*";
    ensure!(!any || range.is_none(), "a range is of one code only: its fingerprint is needed");
    Ok(Entry {
        symbol: (*symbol).to_owned(),
        fingerprint: (!any).then(|| (*fingerprint).to_owned()),
        range,
        reason: reason.join(" "),
    })
}

/// The line that is about this instruction, if any.
pub(crate) fn find<'a>(entries: &'a [Entry], code: &Code, address: u64) -> Option<&'a Entry> {
    let offset = address - code.start;
    entries.iter().find(|entry| {
        entry.symbol == code.symbol
            && entry.fingerprint.as_ref().is_none_or(|fingerprint| *fingerprint == code.fingerprint)
            && entry.range.as_ref().is_none_or(|range| range.contains(&offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Entry>> {
        list::parse(text, entry)
    }

    #[test]
    fn a_line_is_about_one_code_or_about_all_of_a_function_in_any() {
        let list = parse("# why\nf 12345678 +0x8..+0x10 not here\ng * all never\n").unwrap();
        let code = |symbol: &str, fingerprint: &str| Code {
            symbol: symbol.into(),
            start: 0x1000,
            fingerprint: fingerprint.into(),
            words: vec![0; 8],
            ran: vec![false; 8],
        };
        let reason = |code: &Code, address| find(&list, code, address).map(|entry| entry.reason.as_str());
        assert_eq!(reason(&code("f", "12345678"), 0x100c), Some("not here"));
        assert_eq!(reason(&code("f", "12345678"), 0x1010), None);
        assert_eq!(reason(&code("f", "87654321"), 0x100c), None);
        assert_eq!(reason(&code("g", "87654321"), 0x1000), Some("never"));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (line, why) in [
            ("f * all", "the reason is missing"),
            ("f * +0x8..+0x10 why", "its fingerprint is needed"),
            ("f 12345678 8..10 why", "a range is"),
            ("f", "are needed"),
        ] {
            let error = format!("{:#}", parse(line).unwrap_err());
            assert!(error.starts_with("line 1: ") && error.contains(why), "{error}");
        }
    }
}
