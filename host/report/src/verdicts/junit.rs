//! Verdicts as JUnit XML, which CI systems show.

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Judged, Verdicts};
use vtick_contract::{Clause, Meaning};

/// Runs as JUnit XML: a suite per run and clause. An expected violation is a skipped test with its reason: JUnit has
/// no word for it.
pub fn junit(runs: &[Verdicts]) -> String {
    let mut report = Report::new("vtick");
    for run in runs {
        for clause in Clause::ALL {
            let checks: Vec<_> = run.checks.iter().filter(|check| check.clause == clause).collect();
            if checks.is_empty() {
                continue;
            }
            let mut suite = TestSuite::new(format!("Linux {}: {clause} {}", run.host.kernel, clause.title()));
            let host = &run.host;
            let cpus = host.cpus.to_string();
            let properties = [
                ("kernel", &host.kernel),
                ("kvm", &host.kvm_mode),
                ("gic", &host.gic),
                ("cpu", &host.cpu),
                ("cpus", &cpus),
            ];
            suite.add_properties(properties.map(|(name, value)| Property::new(name, value.as_str())));
            suite.add_test_cases(checks.into_iter().map(case));
            report.add_test_suite(suite);
        }
    }
    report.to_string().expect("strings are XML once they are escaped")
}

fn case(check: &Judged) -> TestCase {
    let status = match check.meaning() {
        Meaning::Pass | Meaning::Mended | Meaning::NotObserved => TestCaseStatus::success(),
        Meaning::Fail => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(check.judgement.reason.clone()).set_description(check.evidence().join("\n"));
            status
        }
        Meaning::ExpectedFail => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("violated, as expected: {}", check.evidence().join("; ")));
            status
        }
        Meaning::HarnessError => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(check.judgement.reason.clone());
            status
        }
        Meaning::Skip | Meaning::Disturbed => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("{}: {}", check.judgement.verdict, check.judgement.reason));
            status
        }
    };
    let mut case = TestCase::new(check.name.clone(), status);
    case.set_classname(format!("vtick.{}", check.clause));
    case
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn failures_and_skips_are_counted_and_their_text_is_escaped() {
        let xml = junit(&[run("6.1"), run("6.12")]);
        assert!(xml.contains(r#"tests="12" skipped="6" failures="2" errors="2""#), "{xml}");
        assert!(
            xml.contains(r#"<testsuite name="Linux 6.12: C3 truth" tests="2" skipped="0" errors="0" failures="1">"#)
        );
        assert!(xml.contains("1 &amp; 2 &lt;due&gt;"), "{xml}");
        assert!(xml.contains(r#"<property name="kernel" value="6.12"/>"#), "{xml}");
        assert_eq!(xml.matches("<skipped").count(), 6, "{xml}");
        assert!(xml.contains(r#"<skipped message="disturbed: too late"/>"#), "{xml}");
    }
}
