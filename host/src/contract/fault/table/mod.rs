//! The faults by name, and the checks that must catch each.

mod levels;
mod lines_and_state;
mod returns;

use super::Behaviour;

/// A fault that can be injected.
pub struct Fault {
    /// Its name: lower case, words joined by `-`.
    pub name: &'static str,
    /// What the kernel does wrong.
    pub what: &'static str,
    /// How that is played.
    pub behaviour: Behaviour,
    /// The checks that must turn violated. Others may, too.
    pub caught_by: &'static [&'static str],
}

const fn fault(
    name: &'static str,
    behaviour: Behaviour,
    what: &'static str,
    caught_by: &'static [&'static str],
) -> Fault {
    Fault { name, what, behaviour, caught_by }
}

/// All faults that can be injected.
pub fn faults() -> impl Iterator<Item = &'static Fault> {
    [levels::FAULTS, returns::FAULTS, lines_and_state::FAULTS].into_iter().flatten()
}

/// Checks that no injected fault can violate, and why.
pub const NOT_INJECTABLE: &[(&str, &str)] = &[
    (
        "gic-system-registers-are-undefined",
        "Whether an instruction is UNDEFINED is decided in the guest, where no layer of the runner's comes.",
    ),
    (
        "gic-system-register-enable-is-undefined",
        "Whether an instruction is UNDEFINED is decided in the guest; and all kernels deviate.",
    ),
    ("immediate-exit-carries-the-level", "All kernels deviate: it is violated without a fault."),
    ("vcpu-created-out-of-order-is-named-by-its-index", "Kernels from 6.7 deviate: it is violated without a fault."),
    ("creating-a-vcpu-leaves-the-counter-running", "All kernels deviate: it is violated without a fault."),
    (
        "all-vcpus-read-one-counter",
        "An offset of one vCPU's own cannot be had from outside: kernels set it for the whole VM.",
    ),
    ("wfe-comes-to-an-end", "The kernel handles WFE without a return that could be withheld."),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::contract::checks;

    #[test]
    fn every_fault_is_caught_by_checks_that_exist() {
        let names: HashSet<_> = checks::all().map(|check| check.name).collect();
        let mut seen = HashSet::new();
        for fault in faults() {
            assert!(seen.insert(fault.name), "{} is there twice", fault.name);
            assert!(!fault.caught_by.is_empty(), "nothing catches {}", fault.name);
            assert!(fault.what.ends_with('.'), "{}: sentences end", fault.name);
            for name in fault.caught_by {
                assert!(names.contains(name), "{} is to be caught by {name}, which does not exist", fault.name);
            }
        }
    }

    #[test]
    fn every_check_catches_a_fault_or_says_why_none_can_be_injected() {
        let caught: HashSet<_> = faults().flat_map(|fault| fault.caught_by).collect();
        let excused: HashSet<_> = NOT_INJECTABLE.iter().map(|(name, _)| name).collect();
        for check in checks::all() {
            assert!(
                caught.contains(&check.name) != excused.contains(&check.name),
                "{}: in the table of faults {}, excused {}",
                check.name,
                caught.contains(&check.name),
                excused.contains(&check.name)
            );
        }
        assert!(excused.iter().all(|name| checks::all().any(|check| check.name == **name)));
    }
}
