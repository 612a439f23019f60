//! The matrix as one page: self-contained, no scripts, light and dark, the same bytes each time.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::faults::{self, Fault};
use super::{Atlas, Run};
use crate::verdicts::Judged;
use vtick_contract::{Clause, Meaning};
use vtick_core::figures::thousands;

/// The page.
pub fn page(atlas: &Atlas) -> String {
    let faults = faults::faults(atlas);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta name="color-scheme" content="light dark";
                title { "vtick: kernels and the userspace interrupt controller" }
                style { (PreEscaped(include_str!("../html/style.css"))) (PreEscaped(include_str!("atlas.css"))) }
            }
            body { main {
                h1 { "KVM/arm64's userspace interrupt controller, kernel by kernel" }
                p { "Each row is a kernel on a host. A VM on it has no in-kernel interrupt controller; vtick checked "
                    "the contract between KVM and such a VM's userspace, clause by clause." }
                (key())
                (clauses(atlas, &faults))
                (history(&faults))
                (checks(atlas, &faults))
                (latency(atlas))
                (problems(atlas))
            } }
        }
    };
    page.into_string()
}

/// How a result is shown: its class in the style sheet, and its sign.
fn sign(meaning: Meaning) -> (&'static str, &'static str) {
    match meaning {
        Meaning::Pass => ("ok", "✓"),
        Meaning::Mended => ("ok", "!"),
        Meaning::NotObserved => ("sk", "!"),
        Meaning::Fail => ("no", "✗"),
        Meaning::ExpectedFail => ("as", "≠"),
        Meaning::Skip => ("sk", "·"),
        Meaning::Disturbed => ("sk", "~"),
        Meaning::HarnessError => ("sk", "?"),
    }
}

/// The result that a clause shows is the first of these that one of its checks has.
const WORST_FIRST: [Meaning; 8] = [
    Meaning::Fail,
    Meaning::HarnessError,
    Meaning::ExpectedFail,
    Meaning::Mended,
    Meaning::NotObserved,
    Meaning::Pass,
    Meaning::Disturbed,
    Meaning::Skip,
];

fn key() -> Markup {
    let words = [
        (Meaning::Pass, "held"),
        (Meaning::Fail, "violated"),
        (Meaning::ExpectedFail, "violated as listed: a known deviation"),
        (Meaning::Mended, "held, although a deviation is listed"),
        (Meaning::NotObserved, "held in a disturbed run, although a deviation is listed"),
        (Meaning::Skip, "not exercised"),
        (Meaning::Disturbed, "disturbed"),
        (Meaning::HarnessError, "vtick itself failed"),
    ];
    html! {
        p.legend {
            @for (meaning, word) in words {
                @let (class, sign) = sign(meaning);
                span { b.cell.(class) { (sign) } " " (word) }
            }
        }
    }
}

/// Kernels and clauses: how many checks of a clause are violated.
fn clauses(atlas: &Atlas, faults: &[Fault<'_>]) -> Markup {
    html! {
        h2 { "Clauses" }
        p.soft { "A number counts the violated checks; it leads to the fault." }
        div.panel { table.map {
            tr {
                th { "kernel" } th { "host" }
                @for clause in Clause::ALL { th title=(clause.title()) { (clause) } }
            }
            @for run in &atlas.runs {
                tr {
                    th scope="row" { (run.kernel) }
                    td.soft { (run.host) }
                    @if run.checks.is_empty() {
                        td colspan=(Clause::ALL.len()) { a href="#problems" { "no verdicts" } }
                    } @else {
                        @for clause in Clause::ALL { (clause_cell(run, clause, faults)) }
                    }
                }
            }
        } }
    }
}

fn clause_cell(run: &Run, clause: Clause, faults: &[Fault<'_>]) -> Markup {
    let meanings: Vec<Meaning> = run.of_clause(clause).map(Judged::meaning).collect();
    let count = |meaning| meanings.iter().filter(|m| **m == meaning).count();
    let Some(worst) = WORST_FIRST.into_iter().find(|meaning| meanings.contains(meaning)) else {
        return html! { td {} };
    };
    let (class, sign) = sign(worst);
    let shown = run.of_clause(clause).find(|check| check.meaning() == worst && faults::is_fault(check));
    match shown.and_then(|check| number(check, faults)) {
        Some(number) => html! { td.cell.(class) { a href=(format!("#f{number}")) { (count(worst)) } } },
        None => html! { td.cell.(class) { (sign) } },
    }
}

/// The place of the fault that a check shows.
fn number(check: &Judged, faults: &[Fault<'_>]) -> Option<usize> {
    let (what, _) = faults::identity(check);
    let listed = check.meaning() == Meaning::ExpectedFail;
    faults.iter().position(|fault| fault.what == what && fault.is_listed == listed)
}

/// Each fault: which kernels have it, the commit that mended it, and what was seen.
fn history(faults: &[Fault<'_>]) -> Markup {
    html! {
        h2 { "Faults and the kernels that have them" }
        @for (number, fault) in faults.iter().enumerate() {
            section.panel.fault id=(format!("f{number}")) {
                h3 {
                    @let (class, sign) = sign(if fault.is_listed { Meaning::ExpectedFail } else { Meaning::Fail });
                    b.cell.(class) { (sign) } " " (fault.what)
                }
                @match fault.fixed_by {
                    Some(commit) => p { "Mended by commit " code { (commit) } "." },
                    None => p.soft { "No commit is known that mends this." },
                }
                ul { @for (host, kernels) in &fault.kernels { li { (host) ": " (kernels.join("; ")) } } }
                details {
                    summary { (counted(fault.checks.len(), "check")) ", and what was seen" }
                    p { (fault.seen) }
                    ul { @for check in &fault.checks { li { code { (check) } } } }
                }
            }
        }
    }
}

/// Checks that some run did not hold, by kernel.
fn checks(atlas: &Atlas, faults: &[Fault<'_>]) -> Markup {
    let mut rows: Vec<(Clause, &str)> = Vec::new();
    for check in atlas.runs.iter().flat_map(|run| &run.checks) {
        if !matches!(check.meaning(), Meaning::Pass | Meaning::Skip) && !rows.contains(&(check.clause, &check.name)) {
            rows.push((check.clause, &check.name));
        }
    }
    rows.sort_by_key(|(clause, _)| *clause);
    html! {
        h2 { "Checks that differ" }
        p.soft { "Checks that are not listed held, or were not exercised, on every kernel." }
        div.panel { table.map {
            tr {
                th { "check" }
                @for run in &atlas.runs { th.turned title=(run.host) { span { (run.kernel) } } }
            }
            @for (clause, name) in rows {
                tr {
                    th scope="row" { (clause) " " (name) }
                    @for run in &atlas.runs { (check_cell(run, name, faults)) }
                }
            }
        } }
    }
}

fn check_cell(run: &Run, name: &str, faults: &[Fault<'_>]) -> Markup {
    let Some(check) = run.checks.iter().find(|check| check.name == name) else { return html! { td {} } };
    let (class, sign) = sign(check.meaning());
    match number(check, faults).filter(|_| faults::is_fault(check)) {
        Some(number) => html! { td.cell.(class) { a href=(format!("#f{number}")) { (sign) } } },
        None => html! { td.cell.(class) { (sign) } },
    }
}

/// Latency by kernel, as bars.
fn latency(atlas: &Atlas) -> Markup {
    let runs: Vec<&Run> = atlas.runs.iter().filter(|run| run.spinning.or(run.in_wfi).is_some()).collect();
    let most = runs.iter().filter_map(|run| run.spinning.max(run.in_wfi)).max().unwrap_or(1).max(1);
    let unit = runs.first().map_or("", |run| run.unit);
    html! {
        @if !runs.is_empty() {
            h2 { "From the timer's deadline to the guest's handler" }
            p.soft { "Medians in " (unit) "." }
            div.panel { table {
                tr { th { "kernel" } th { "host" } th { "spinning" } th { "in WFI" } }
                @for run in runs {
                    tr {
                        th scope="row" { (run.kernel) }
                        td.soft { (run.host) }
                        (bar(run.spinning, most, "s0"))
                        (bar(run.in_wfi, most, "s2"))
                    }
                }
            } }
        }
    }
}

fn bar(value: Option<u64>, most: u64, class: &str) -> Markup {
    html! {
        td.bar {
            @if let Some(value) = value {
                i.(class) style=(format!("width:{}%", value * 60 / most)) {} " " (thousands(value))
            }
        }
    }
}

/// Runs without a complete record, with the reason.
fn problems(atlas: &Atlas) -> Markup {
    let lost: Vec<_> = atlas.runs.iter().filter_map(|run| Some((run, run.problem.as_ref()?))).collect();
    html! {
        @if !lost.is_empty() {
            h2 id="problems" { "Runs without a complete record" }
            div.panel { ul { @for (run, problem) in lost { li { (run.kernel) ", " (run.host) ": " (problem) } } } }
        }
    }
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::super::tests::atlas;
    use super::*;

    #[test]
    fn the_page_leads_from_a_cell_to_the_fault_and_escapes_what_a_record_says() {
        let page = page(&atlas());
        assert!(page.contains("<a href=\"#f0\">1</a>") && page.contains("id=\"f0\""), "{page}");
        assert!(page.contains("Mended by commit <code>0123</code>"), "{page}");
        assert!(page.contains("6.2&lt;") && !page.contains("6.2<"), "{page}");
        assert!(page.contains("it &amp; did not boot"), "{page}");
        assert!(!page.contains("<script") && !page.contains("http"), "self-contained, no scripts");
    }

    #[test]
    fn on_no_screen_a_row_lacks_a_cell_that_the_head_has() {
        // A cell that a narrow screen hides would move the others of its row under the clause before theirs.
        assert!(!include_str!("atlas.css").contains("display: none"));
    }

    #[test]
    fn the_same_matrix_makes_the_same_bytes() {
        assert_eq!(page(&atlas()), page(&atlas()));
    }
}
