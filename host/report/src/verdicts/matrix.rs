//! Verdicts of several runs side by side: which kernel breaks which clause.

use std::fmt::Write;

use super::{Judged, Verdicts};
use crate::latency::short;
use vtick_contract::{Clause, Meaning};

/// Width of a run's column.
const COLUMN: usize = 24;
/// Width of what stands before the columns.
const LABEL: usize = 70;

/// A kernel that was asked for and has no verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The kernel, as it was asked for.
    pub kernel: String,
    /// Why there are none: one sentence.
    pub why: String,
}

/// Runs side by side, a column each: how many checks of each clause held, and every check that did not on all of them.
/// Kernels without verdicts have a column too, and below the table the reason.
pub fn matrix(runs: &[Verdicts], absent: &[Absent]) -> String {
    let nothing = |out: &mut String, text: &str| absent.iter().for_each(|_| cell(out, text));
    let mut out = format!("{:<LABEL$}", "Checks that held, of those that were exercised");
    runs.iter().for_each(|run| cell(&mut out, short(&run.host.kernel)));
    absent.iter().for_each(|absent| cell(&mut out, last(&absent.kernel)));
    let _infallible = write!(out, "\n{:<LABEL$}", "");
    runs.iter().for_each(|run| cell(&mut out, &format!("{}, {}", run.host.kvm_mode, run.host.gic)));
    nothing(&mut out, "no verdicts");
    out.push('\n');
    for clause in Clause::ALL {
        let of_clause = |run: &Verdicts| -> Vec<Judged> {
            run.checks.iter().filter(|check| check.clause == clause).cloned().collect()
        };
        let columns: Vec<_> = runs.iter().map(of_clause).collect();
        let mut names: Vec<&str> = Vec::new();
        for check in columns.iter().flatten() {
            if !names.contains(&check.name.as_str()) {
                names.push(&check.name);
            }
        }
        if names.is_empty() {
            continue;
        }
        let _infallible = write!(out, "{:<LABEL$}", format!("{clause:<4} {}", clause.title()));
        columns.iter().for_each(|checks| cell(&mut out, &count(checks)));
        nothing(&mut out, "-");
        out.push('\n');
        for name in names {
            let found: Vec<_> = columns.iter().map(|checks| checks.iter().find(|check| check.name == name)).collect();
            if found.iter().all(|check| check.is_some_and(|check| check.meaning() == Meaning::Pass)) {
                continue;
            }
            let _infallible = write!(out, "{:<LABEL$}", format!("       {name}"));
            found.into_iter().for_each(|check| cell(&mut out, word(check)));
            nothing(&mut out, "-");
            out.push('\n');
        }
    }
    out.push_str(&reasons(absent));
    out
}

/// Why kernels that were asked for are not judged, or not measured: a line each.
pub fn reasons(absent: &[Absent]) -> String {
    absent.iter().map(|absent| format!("{}: {}\n", absent.kernel, absent.why)).collect()
}

/// The end of a name that is too long for a column.
fn last(name: &str) -> &str {
    let skipped = name.chars().count().saturating_sub(COLUMN - 2);
    name.char_indices().nth(skipped).map_or(name, |(at, _)| &name[at..])
}

fn cell(out: &mut String, text: &str) {
    let _infallible = write!(out, "{text:>COLUMN$}");
}

fn count(checks: &[Judged]) -> String {
    let exercised = checks.iter().map(Judged::meaning).filter(|meaning| meaning.is_exercised());
    let held =
        exercised.clone().filter(|meaning| matches!(meaning, Meaning::Pass | Meaning::Mended | Meaning::NotObserved));
    format!("{} of {}", held.count(), exercised.count())
}

fn word(check: Option<&Judged>) -> &'static str {
    match check.map(Judged::meaning) {
        None => "not run",
        Some(Meaning::Pass) => "held",
        Some(Meaning::Skip) => "not exercised",
        Some(Meaning::ExpectedFail) => "violated as expected",
        Some(Meaning::Mended) => "held, though listed",
        Some(Meaning::NotObserved) => "held, not observed",
        Some(Meaning::Disturbed) => "disturbed",
        Some(Meaning::HarnessError) => "harness error",
        Some(Meaning::Fail) => "VIOLATED",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn clauses_are_counted_and_only_checks_that_failed_somewhere_have_a_row() {
        let mut repaired = run("6.12.9-cloud-arm64");
        repaired.checks[1] = Judged { name: "b-fails".to_owned(), ..repaired.checks[0].clone() };
        repaired.checks.truncate(3);
        let table = matrix(&[run("6.1"), repaired], &[]);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        let due: &[&[&str]] = &[
            &["Checks that held, of those that were exercised", "6.1", "6.12.9"],
            &["VHE, GICv3", "VHE, GICv3"],
            &["C3", "truth", "1 of 2", "2 of 2"],
            &["b-fails", "VIOLATED", "held"],
            &["C9", "vCPU addressing", "0 of 1", "0 of 1"],
            &["c-deviates", "violated as expected", "violated as expected"],
            &["C14", "PMU", "0 of 0", "0 of 0"],
            &["d-is-not-there", "not exercised", "not run"],
            &["e-was-late", "disturbed", "not run"],
            &["f-failed", "harness error", "not run"],
        ];
        assert_eq!(rows, due, "{table}");
    }

    #[test]
    fn a_kernel_without_verdicts_has_a_column_and_its_reason() {
        let absent = Absent { kernel: "/a/very/long/path/of/a/kernel/tree".into(), why: "it did not boot".into() };
        let table = matrix(&[run("6.1")], &[absent]);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].ends_with(" /of/a/kernel/tree") || lines[0].ends_with("h/of/a/kernel/tree"), "{table}");
        assert!(lines[1].ends_with("no verdicts"), "{table}");
        assert!(lines[2].ends_with("1 of 2                       -"), "{table}");
        assert_eq!(lines.last(), Some(&"/a/very/long/path/of/a/kernel/tree: it did not boot"));
    }
}
