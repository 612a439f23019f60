//! Which kernels have which fault.

use std::collections::BTreeMap;

use super::{Atlas, Run};
use crate::verdicts::Judged;
use vtick_contract::Meaning;

/// A fault that some kernels have: several checks may show the same.
pub(super) struct Fault<'a> {
    /// A sentence.
    pub(super) what: &'a str,
    /// The commit that repairs it, where one is known.
    pub(super) fixed_by: Option<&'a str>,
    /// Whether vtick expects it of these kernels.
    pub(super) is_listed: bool,
    /// The checks that show it.
    pub(super) checks: Vec<&'a str>,
    /// By host: the kernels that have it, those neighbouring in the matrix as one range.
    pub(super) kernels: Vec<(&'a str, Vec<String>)>,
    /// What was seen the first time.
    pub(super) seen: &'a str,
}

/// All faults, those that nobody expects first.
pub(super) fn faults(atlas: &Atlas) -> Vec<Fault<'_>> {
    let mut faults: Vec<(Fault<'_>, Vec<usize>)> = Vec::new();
    for (index, run) in atlas.runs.iter().enumerate() {
        for check in run.checks.iter().filter(|check| is_fault(check)) {
            let (what, fixed_by) = identity(check);
            let is_listed = check.meaning() == Meaning::ExpectedFail;
            let position = match faults.iter().position(|(fault, _)| fault.what == what && fault.is_listed == is_listed)
            {
                Some(position) => position,
                None => {
                    let seen = check.judgement.reason.as_str();
                    let (checks, kernels) = (Vec::new(), Vec::new());
                    faults.push((Fault { what, fixed_by, is_listed, checks, kernels, seen }, Vec::new()));
                    faults.len() - 1
                }
            };
            let (fault, runs) = &mut faults[position];
            if !fault.checks.contains(&check.name.as_str()) {
                fault.checks.push(&check.name);
            }
            if runs.last() != Some(&index) {
                runs.push(index);
            }
        }
    }
    let mut faults: Vec<Fault<'_>> =
        faults.into_iter().map(|(fault, runs)| Fault { kernels: ranges(&atlas.runs, &runs), ..fault }).collect();
    faults.sort_by_key(|fault| fault.is_listed);
    faults
}

/// Whether a check shows a fault of its kernel. A deviation that is gone does not.
pub(super) fn is_fault(check: &Judged) -> bool {
    use vtick_contract::Verdict;
    check.judgement.verdict == Verdict::Violated
}

/// What the fault is, and the commit that repairs it: the known cause, the listed deviation, or else the claim.
pub(super) fn identity(check: &Judged) -> (&str, Option<&str>) {
    match (&check.cause, &check.expected) {
        (Some(cause), _) => (&cause.what, cause.fixed_by.as_deref()),
        (None, Some(expected)) => (expected, None),
        (None, None) => (&check.claim, None),
    }
}

/// Runs by host, neighbouring kernels of that host as one range.
fn ranges<'a>(all: &'a [Run], with_fault: &[usize]) -> Vec<(&'a str, Vec<String>)> {
    let mut by_host: BTreeMap<&str, Vec<(&str, bool)>> = BTreeMap::new();
    for (index, run) in all.iter().enumerate().filter(|(_, run)| !run.checks.is_empty()) {
        by_host.entry(&run.host).or_default().push((&run.kernel, with_fault.contains(&index)));
    }
    let mut hosts = Vec::new();
    for (host, kernels) in by_host {
        let groups = kernels.chunk_by(|a, b| a.1 == b.1).filter(|group| group[0].1);
        let names: Vec<String> = groups
            .map(|group| match group {
                [(one, _)] => (*one).to_owned(),
                [(first, _), .., (last, _)] => format!("{first} to {last}"),
                [] => String::new(),
            })
            .collect();
        if !names.is_empty() {
            hosts.push((host, names));
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::super::tests::atlas;
    use super::*;

    #[test]
    fn neighbouring_kernels_with_a_fault_are_one_range_and_the_unexpected_comes_first() {
        let atlas = atlas();
        let faults = faults(&atlas);
        assert_eq!((faults[0].what, faults[0].fixed_by), ("a fault", Some("0123")));
        assert_eq!(faults[0].checks, ["b-fails"]);
        assert_eq!(faults[0].kernels, [("VHE, GICv3, 1 CPU", vec!["6.1 to 6.2<".to_owned()])]);
        assert_eq!((faults[1].what, faults[1].is_listed), ("so it is", true));
        assert_eq!(faults[1].kernels, [("VHE, GICv3, 1 CPU", vec!["6.1 to 6.3".to_owned()])]);
    }
}
