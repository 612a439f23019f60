//! Which lines of a change ran: a unified diff put over the coverage by lines. The kernel under test has the change.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::lines::Sources;

/// A hunk as it stands behind the change: its lines, each with whether the change added it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    file: String,
    /// Number of the first line.
    start: u32,
    lines: Vec<(bool, String)>,
}

/// What is said of the lines that a diff adds; `tree` is the source of the kernel under test, where the lines are looked
/// for if it is there: a change that was carried to another version has other numbers there.
pub(crate) fn report(diff: &str, sources: &Sources, tree: Option<&Path>) -> Result<String> {
    let hunks = parse(diff)?;
    ensure!(!hunks.is_empty(), "no line of a C file is added by this change");
    let mut text = String::new();
    let (mut ran, mut all) = (0, 0);
    for hunk in &hunks {
        let start = match tree {
            Some(tree) => place(hunk, &tree.join(&hunk.file))?,
            None => hunk.start,
        };
        let source = sources.get(&hunk.file);
        for (number, (_, line)) in (start..).zip(&hunk.lines).filter(|(_, (added, _))| *added) {
            let what = match source.and_then(|source| source.lines.get(&number)) {
                Some(true) => "ran",
                Some(false) => "NEVER RAN",
                None => "-",
            };
            all += usize::from(what != "-");
            ran += usize::from(what == "ran");
            writeln!(text, "{what:<9} {}:{number}: {line}", hunk.file).expect("a string takes everything");
        }
    }
    writeln!(text, "{ran} of {all} changed lines that have code ran (-: no code, or of no function that is looked at)")
        .expect("a string takes everything");
    Ok(text)
}

/// The hunks of a unified diff that add lines to C files.
fn parse(diff: &str) -> Result<Vec<Hunk>> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut file = None;
    let mut left = 0;
    for line in diff.lines() {
        if left > 0 {
            let hunk = hunks.last_mut().context("a line of a hunk without its beginning")?;
            match line.split_at_checked(1) {
                Some(("+", rest)) => hunk.lines.push((true, rest.to_owned())),
                Some((" ", rest)) => hunk.lines.push((false, rest.to_owned())),
                // Mail programs and editors take trailing spaces away.
                None => hunk.lines.push((false, String::new())),
                Some(("-" | "\\", _)) => continue,
                Some(_) => bail!("no line of a unified diff: {line}"),
            }
            left -= 1;
        } else if let Some(path) = line.strip_prefix("+++ ") {
            let path = path.split('\t').next().unwrap_or_default();
            file = Some(path.strip_prefix("b/").unwrap_or(path).to_owned());
        } else if let Some(range) = line.strip_prefix("@@ ").and_then(|line| line.split(" @@").next()) {
            let new = range.split('+').nth(1).with_context(|| format!("no hunk: {line}"))?;
            let (start, length) = new.split_once(',').unwrap_or((new, "1"));
            let file = file.clone().with_context(|| format!("a hunk of no file: {line}"))?;
            let start = start.parse().with_context(|| format!("no hunk: {line}"))?;
            left = length.trim().parse().with_context(|| format!("no hunk: {line}"))?;
            hunks.push(Hunk { file, start, lines: Vec::new() });
        }
    }
    ensure!(left == 0, "the diff ends in the middle of a hunk");
    let is_c = |hunk: &Hunk| hunk.file.ends_with(".c") || hunk.file.ends_with(".h");
    hunks.retain(|hunk| is_c(hunk) && hunk.lines.iter().any(|(added, _)| *added));
    Ok(hunks)
}

/// The number of a hunk's first line in a file: where its lines stand, nearest to where the diff has them. Lines around
/// the change may differ.
fn place(hunk: &Hunk, file: &Path) -> Result<u32> {
    let text = vtick_shell::read_text("--source", file).map_err(anyhow::Error::msg)?;
    let there: Vec<&str> = text.lines().collect();
    let first = hunk.lines.iter().position(|(added, _)| *added).unwrap_or(0);
    let behind = hunk.lines.len() - hunk.lines.iter().rposition(|(added, _)| *added).map_or(0, |last| last + 1);
    for less in 0..=first.max(behind) {
        let (from, to) = (less.min(first), hunk.lines.len() - less.min(behind));
        let wanted: Vec<&str> = hunk.lines[from..to].iter().map(|(_, line)| line.as_str()).collect();
        let found = (0..there.len()).filter(|&at| there[at..].starts_with(&wanted));
        let due = i64::from(hunk.start) - 1 + from as i64;
        if let Some(at) = found.min_by_key(|&at| (at as i64 - due).abs()) {
            return u32::try_from(at + 1 - from.min(at)).context("a file of too many lines");
        }
    }
    bail!(
        "{} does not have the lines that the change adds at line {}: is it in this source?",
        file.display(),
        hunk.start
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::lines::Source;
    use super::*;

    const DIFF: &str = "diff --git a/arch/a.c b/arch/a.c\n--- a/arch/a.c\n+++ b/arch/a.c\n@@ -10,3 +10,4 @@ void f(void)\n \
                        one\n-two\n+\ttwo();\n+\tthree();\n four\n--- a/Doc\n+++ b/Doc\n@@ -1 +1 @@\n-x\n+y\n";

    fn sources(lines: &[(u32, bool)]) -> Sources {
        let source = Source { lines: lines.iter().copied().collect(), functions: Vec::new() };
        [("arch/a.c".to_owned(), source)].into()
    }

    #[test]
    fn lines_that_were_added_ran_or_did_not() {
        let said = report(DIFF, &sources(&[(11, true), (12, false)]), None).unwrap();
        let due = "ran       arch/a.c:11: \ttwo();\nNEVER RAN arch/a.c:12: \tthree();\n1 of 2 changed lines";
        assert!(said.starts_with(due), "{said}");
    }

    #[test]
    fn in_a_source_where_they_have_moved_they_are_found_by_what_they_are() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("arch")).unwrap();
        let file = tree.path().join("arch/a.c");
        fs::write(&file, "0\n1\nanother\n\ttwo();\n\tthree();\nfour\n").unwrap();
        let said = report(DIFF, &sources(&[(4, true), (5, true)]), Some(tree.path())).unwrap();
        assert!(said.contains("arch/a.c:4: \ttwo();") && said.contains("2 of 2"), "{said}");
        fs::write(&file, "one\ntwo\nfour\n").unwrap();
        let error = report(DIFF, &sources(&[]), Some(tree.path())).unwrap_err().to_string();
        assert!(error.contains("is it in this source?"), "{error}");
    }

    #[test]
    fn a_diff_that_is_cut_off_is_an_error() {
        assert!(parse("+++ b/a.c\n@@ -1 +1,3 @@\n+x\n").unwrap_err().to_string().contains("in the middle"));
        assert!(report("nothing\n", &sources(&[]), None).is_err());
    }
}
