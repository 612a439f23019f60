//! The matrix in a terminal: a line for each run.

use std::fmt::Write;

use super::{Atlas, Run};
use vtick_contract::Meaning;
use vtick_core::figures::thousands;

/// Characters of a problem that a line shows; the page shows all.
const LONGEST_PROBLEM: usize = 90;

/// A line for each run: how many checks came to what, and the plainest latencies.
pub fn table(atlas: &Atlas) -> String {
    let unit = atlas.runs.iter().map(|run| run.unit).find(|unit| !unit.is_empty()).unwrap_or("");
    let mut out = String::new();
    let heads = ["held", "violated", "as listed", "no verdict", "spinning", "in WFI"];
    line(&mut out, "kernel", "host", &heads.map(str::to_owned));
    for run in &atlas.runs {
        match &run.problem {
            Some(problem) if run.checks.is_empty() => {
                let problem: String = problem.chars().take(LONGEST_PROBLEM).collect();
                let _infallible = writeln!(out, "{:<24} {:<24} {problem}", run.kernel, run.host);
            }
            _ => line(&mut out, &run.kernel, &run.host, &cells(run)),
        }
    }
    if !unit.is_empty() {
        let _infallible =
            writeln!(out, "spinning, in WFI: median {unit} from the timer's deadline to the guest's handler");
    }
    out
}

fn cells(run: &Run) -> [String; 6] {
    let figure = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), thousands);
    let count = |meaning| run.count(meaning).to_string();
    [
        (run.count(Meaning::Pass) + run.count(Meaning::Mended) + run.count(Meaning::NotObserved)).to_string(),
        count(Meaning::Fail),
        count(Meaning::ExpectedFail),
        (run.count(Meaning::Skip) + run.count(Meaning::Disturbed) + run.count(Meaning::HarnessError)).to_string(),
        figure(run.spinning),
        figure(run.in_wfi),
    ]
}

fn line(out: &mut String, kernel: &str, host: &str, cells: &[String; 6]) {
    let _infallible = write!(out, "{kernel:<24} {host:<24}");
    for (cell, width) in cells.iter().zip([6, 10, 11, 15, 10, 10]) {
        let _infallible = write!(out, "{cell:>width$}");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::tests::atlas;
    use super::*;

    #[test]
    fn each_run_has_a_line_and_one_without_a_record_says_why() {
        let table = table(&atlas());
        let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1][5..], ["1", "1", "1", "3", "-", "-"], "{table}");
        assert_eq!(words[3][5..], ["2", "0", "1", "3", "-", "-"], "{table}");
        assert!(table.lines().nth(4).unwrap().ends_with("it & did not boot"), "{table}");
    }
}
