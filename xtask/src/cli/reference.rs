//! The documents that `cargo xtask reference` writes: docs/reference.md, the page of all options, and
//! docs/record.schema.json, the JSON Schema of a record. The first part of the page is the help of this program; the second
//! part is written by the runner, from what clap knows of the runner's commands.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::USAGE;
use crate::artifacts;
use crate::process::{capture, run};
use crate::toolchain::cargo;

/// The line between the two parts. The runner's unit test looks for it, too (host/src/cli/reference.rs).
const RUNNER: &str = "<!-- from here on written by the runner -->\n";

/// The JSON Schema of a record, in docs/.
const SCHEMA: &str = "record.schema.json";

/// `cargo xtask reference`: writes the page, and the schema of records.
pub(crate) fn write() -> Result<i32> {
    let runner = capture(Command::new(artifacts::vtick_of_this_machine()?).arg("reference"), None)?;
    ensure!(runner.status.success(), "vtick reference: {}", runner.said.join("\n"));
    let mut cargo = cargo();
    cargo.args(["run", "--quiet", "--package", "vtick-report", "--example", "schema", "--target-dir"]);
    cargo.arg(artifacts::target()).current_dir(artifacts::workspace());
    let schema = run(&mut cargo, None)?;
    for (name, text) in [("reference.md", format!("{}{RUNNER}{}", page(), runner.stdout)), (SCHEMA, schema)] {
        let place = artifacts::workspace().join("docs").join(name);
        fs::write(&place, text).with_context(|| format!("cannot write {}", place.display()))?;
    }
    Ok(0)
}

/// The part about `cargo xtask`.
fn page() -> String {
    let mut page = String::from(
        "# Reference\n\nAll commands and options. `cargo xtask reference` writes this page from the help texts; do not edit \
         it.\n\nOptions of `cargo xtask` come first. `cargo xtask` hands all other arguments of `test`, `bench`, `explore`, \
         `boot`,\n`export`, `selftest`, `report` and `compare` on to `vtick`, whose options follow. Values in [brackets] are the \
         defaults.\n",
    );
    let (usage, sections) = USAGE.split_once("\n\n").unwrap_or((USAGE, ""));
    page.push_str(&format!("\n```\n{}\n```\n", usage.trim_start_matches("Usage: ")));
    let mut column = 0;
    let mut rows: Vec<(String, String)> = Vec::new();
    for line in sections.lines().filter(|line| !line.is_empty()) {
        if !line.starts_with(' ') {
            page.push_str(&table(&std::mem::take(&mut rows)));
            page.push_str(&format!("\n## {}\n\n", line.trim_end_matches(':')));
            // In the help, what an entry means stands behind the longest name.
            column = if line.starts_with("Commands") { COMMANDS } else { OPTIONS };
        } else if line.starts_with(&" ".repeat(column)) {
            if let Some((_, text)) = rows.last_mut() {
                text.push_str(if text.is_empty() { "" } else { " " });
                text.push_str(line.trim());
            }
        } else {
            let (name, text) = match line.as_bytes().get(column - 1) {
                Some(b' ') => line.split_at(column),
                _ => (line, ""),
            };
            rows.push((name.trim().to_owned(), text.trim().to_owned()));
        }
    }
    page + &table(&rows) + "\n"
}

/// Where the explanations of commands and of options begin in the help.
const COMMANDS: usize = 11;
const OPTIONS: usize = 21;

fn table(rows: &[(String, String)]) -> String {
    let head = if rows.is_empty() { "" } else { "| | |\n|---|---|\n" };
    let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
    rows.iter().fold(head.to_owned(), |table, (name, text)| {
        // A backslash is not needed between backticks but for the table.
        table + &format!("| `{}` | {} |\n", name.replace('|', "\\|"), cell(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_says_what_the_help_says() {
        let place = artifacts::workspace().join("docs/reference.md");
        let text = fs::read_to_string(&place).unwrap();
        let (ours, _) = text.split_once(RUNNER).expect("a line between the two parts");
        assert_eq!(ours, page(), "docs/reference.md is out of date: run `cargo xtask reference`");
    }

    #[test]
    fn each_option_of_the_help_has_a_row_with_an_explanation() {
        let page = page();
        let entries = USAGE.lines().filter_map(|line| line.strip_prefix("  -").filter(|_| !line.starts_with("   ")));
        for entry in entries {
            let name = entry.split([' ', ',', '[']).next().unwrap_or_default();
            let row = page.lines().find(|row| row.starts_with(&format!("| `-{name}")));
            let row = row.unwrap_or_else(|| panic!("-{name} has no row"));
            assert!(!row.ends_with("|  |"), "{row}");
        }
    }
}
