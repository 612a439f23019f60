//! Verdicts as Markdown, for the summary page of a CI job.

use std::fmt::Write;

use super::{Judged, Verdicts};
use vtick_contract::Meaning;

/// Runs as Markdown: a line of counts each, then what somebody has to look into, with its evidence folded away.
pub fn markdown(runs: &[Verdicts]) -> String {
    let mut out =
        String::from("| kernel | host | held | violated | as listed | not exercised | disturbed | harness errors |\n");
    out.push_str("|---|---|---:|---:|---:|---:|---:|---:|\n");
    for run in runs {
        let count = |wanted: &[Meaning]| run.checks.iter().filter(|check| wanted.contains(&check.meaning())).count();
        let _infallible = writeln!(
            out,
            "| {} | {}, {}, {} | {} | {} | {} | {} | {} | {} |",
            plain(&run.host.kernel),
            plain(&run.host.kvm_mode),
            plain(&run.host.gic),
            plain(&run.host.cpu),
            count(&[Meaning::Pass, Meaning::Mended, Meaning::NotObserved]),
            count(&[Meaning::Fail]),
            count(&[Meaning::ExpectedFail]),
            count(&[Meaning::Skip]),
            count(&[Meaning::Disturbed]),
            count(&[Meaning::HarnessError])
        );
    }
    for run in runs {
        for check in run.checks.iter().filter(|check| matches!(check.meaning(), Meaning::Fail | Meaning::HarnessError))
        {
            failure(&mut out, run, check);
        }
    }
    out
}

fn failure(out: &mut String, run: &Verdicts, check: &Judged) {
    let _infallible = write!(
        out,
        "\n<details><summary><b>{} {}</b> on {}: {}</summary>\n\n{}\n\n```\n{}\n```\n</details>\n",
        check.clause,
        plain(&check.name),
        plain(&run.host.kernel),
        plain(&check.judgement.verdict.to_string()),
        plain(&check.claim),
        check.evidence().join("\n").replace("```", "'''")
    );
}

/// A text that can be neither a table's column nor markup.
pub(crate) fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn counts_stand_in_a_table_and_failures_below_with_their_evidence() {
        let text = markdown(&[run("6.12"), run("<6.1|")]);
        assert!(text.contains("| 6.12 | VHE, GICv3, N1 | 1 | 1 | 1 | 1 | 1 | 1 |\n"), "{text}");
        assert!(text.contains("| &lt;6.1\\| |"), "{text}");
        assert_eq!(text.matches("<details>").count(), 4, "{text}");
        assert!(text.contains("fixed by commit 0123"), "{text}");
    }
}
