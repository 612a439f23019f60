//! Verdicts as the Test Anything Protocol, without nesting: what LAVA's and other farms' parsers take.
//! [TAP] testanything.org, version 13.

use std::fmt::Write;

use super::Verdicts;
use super::ktap::{directive, name, plain};

/// Runs as one flat plan. Where there are several, a test's name ends in its kernel.
pub fn tap(runs: &[Verdicts]) -> String {
    let total: usize = runs.iter().map(|run| run.checks.len()).sum();
    let mut out = format!("TAP version 13\n1..{total}\n");
    let tests = runs.iter().flat_map(|run| run.checks.iter().map(move |check| (run, check)));
    for (number, (run, check)) in tests.enumerate() {
        let kernel = if runs.len() > 1 { format!(" ({})", plain(&run.host.kernel)) } else { String::new() };
        let (ok, directive) = directive(check);
        let _infallible = writeln!(out, "{ok} {} {}{kernel}{directive}", number + 1, name(check));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn several_runs_are_one_plan_without_nesting() {
        let text = tap(&[run("6.1"), run("6.12")]);
        assert!(
            text.starts_with("TAP version 13\n1..12\nok 1 C3.a-holds (6.1)\nnot ok 2 C3.b-fails (6.1)\n"),
            "{text}"
        );
        assert!(text.contains("\nok 9 C9.c-deviates (6.12) # XFAIL odd\n"), "{text}");
        assert!(text.lines().skip(2).all(|line| line.starts_with("ok ") || line.starts_with("not ok ")), "{text}");
    }
}
