//! Verdicts in the kernel's test protocol: [KTAP] Linux, Documentation/dev-tools/ktap.rst, version 1.

use std::fmt::Write;

use super::{Judged, Verdicts};
use vtick_contract::{Meaning, Overall};

/// Runs as KTAP: one as it is, several as a subtest each, which is named after its kernel.
pub fn ktap(runs: &[Verdicts]) -> String {
    let several = match runs {
        [run] => return single(run),
        several => several,
    };
    let mut out = format!("KTAP version 1\n1..{}\n", several.len());
    for (index, run) in several.iter().enumerate() {
        single(run).lines().for_each(|line| out.push_str(&format!("  {line}\n")));
        let (number, kernel) = (index + 1, plain(&run.host.kernel));
        out.push_str(&match run.tally().overall(false) {
            Overall::Held => format!("ok {number} {kernel}\n"),
            Overall::Violated => format!("not ok {number} {kernel}\n"),
            Overall::NothingExercised => format!("ok {number} {kernel} # SKIP nothing was exercised\n"),
        });
    }
    out
}

/// A line per check, with the evidence of those that are not plainly held as diagnostics before it.
fn single(run: &Verdicts) -> String {
    let host = &run.host;
    let mut out = format!("KTAP version 1\n1..{}\n", run.checks.len());
    let _infallible = writeln!(out, "# Linux {}, KVM {}, {}, {}", host.kernel, host.kvm_mode, host.gic, host.cpu);
    for (index, check) in run.checks.iter().enumerate() {
        if check.meaning() == Meaning::Fail {
            check.evidence().iter().for_each(|line| out.push_str(&format!("# {}\n", plain(line))));
        }
        out.push_str(&result(index + 1, check));
    }
    out
}

fn result(number: usize, check: &Judged) -> String {
    let (ok, directive) = directive(check);
    format!("{ok} {number} {}{directive}\n", name(check))
}

/// A check's name, with its clause.
pub(super) fn name(check: &Judged) -> String {
    format!("{}.{}", check.clause, check.name)
}

/// "ok" or "not ok", and the directive that says more.
pub(super) fn directive(check: &Judged) -> (&'static str, String) {
    let reason = || plain(&check.judgement.reason);
    match check.meaning() {
        Meaning::Pass | Meaning::Mended | Meaning::NotObserved => ("ok", String::new()),
        Meaning::Fail => ("not ok", String::new()),
        Meaning::ExpectedFail => ("ok", format!(" # XFAIL {}", reason())),
        Meaning::Skip => ("ok", format!(" # SKIP {}", reason())),
        Meaning::Disturbed => ("ok", format!(" # SKIP disturbed: {}", reason())),
        Meaning::HarnessError => ("not ok", format!(" # ERROR {}", reason())),
    }
}

/// A text on one line, without what would start a directive.
pub(super) fn plain(text: &str) -> String {
    text.replace('\n', " ").replace('#', "")
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn each_verdict_has_its_line_and_a_failure_its_diagnostics_before_it() {
        let due = "\
KTAP version 1
1..6
# Linux 6.12, KVM VHE, GICv3, N1
ok 1 C3.a-holds
# 1 & 2 <due>
# looks like: a fault; fixed by commit 0123
# +0  vCPU 0
# +9  vCPU 0
not ok 2 C3.b-fails
ok 3 C9.c-deviates # XFAIL odd
ok 4 C14.d-is-not-there # SKIP no PMU
ok 5 C14.e-was-late # SKIP disturbed: too late
not ok 6 C14.f-failed # ERROR no memory
";
        assert_eq!(ktap(&[run("6.12")]), due);
    }

    #[test]
    fn a_reason_cannot_start_a_directive_of_its_own() {
        let mut run = run("6.12");
        run.checks[3].judgement.reason = "no\n# SKIP".to_owned();
        let told = ktap(&[run]);
        assert!(told.contains("\nok 4 C14.d-is-not-there # SKIP no  SKIP\n"), "{told}");
    }

    #[test]
    fn several_runs_are_one_document_with_a_subtest_each() {
        let mut good = run("6.13");
        good.checks.remove(1);
        let told = ktap(&[run("6.12"), good]);
        assert!(told.starts_with("KTAP version 1\n1..2\n  KTAP version 1\n  1..6\n  # Linux 6.12"), "{told}");
        assert!(told.contains("\n  not ok 2 C3.b-fails\n") && told.contains("\nnot ok 1 6.12\n"), "{told}");
        assert!(told.contains("\n  1..5\n") && told.ends_with("\nok 2 6.13\n"), "{told}");
    }
}
