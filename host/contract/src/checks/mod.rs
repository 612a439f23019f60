//! The checks, a file per clause. Each check is its program and what the transcript must show, in one function.
//!
//! Durations are chosen so that nothing depends on how fast a host is: a deadline lies far behind what arming costs,
//! and sleeps are longer than KVM's halt polling (500 us), so that they are sleeps.

mod c01_discovery;
mod c02_attributes;
mod c02_scope;
mod c03_truth;
mod c04_notice;
mod c05_any_exit;
mod c06_quiet;
mod c07_always_there;
mod c08_lines;
mod c09_addressing;
mod c10_emulated;
mod c10_timers;
mod c11_sleep;
mod c11_woken;
mod c12_counters;
mod c12_state;
mod c13_neighbours;
mod c14_pmu;
mod common;
mod g1_registers;
mod g2_sgis;
mod g3_preemption;
mod g4_completion;
mod g5_spis;
mod g6_groups;
mod g7_state;
mod gic;

use super::Check;

/// All checks, in the order of their clauses.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [
        c01_discovery::CHECKS,
        c02_scope::CHECKS,
        c02_attributes::CHECKS,
        c03_truth::CHECKS,
        c04_notice::CHECKS,
        c05_any_exit::CHECKS,
        c06_quiet::CHECKS,
        c07_always_there::CHECKS,
        c08_lines::CHECKS,
        c09_addressing::CHECKS,
        c10_timers::CHECKS,
        c10_emulated::CHECKS,
        c11_sleep::CHECKS,
        c10_emulated::SLEEPS,
        c11_woken::CHECKS,
        c12_state::CHECKS,
        c12_counters::CHECKS,
        c13_neighbours::CHECKS,
        c14_pmu::CHECKS,
        g1_registers::CHECKS,
        g2_sgis::CHECKS,
        g3_preemption::CHECKS,
        g4_completion::CHECKS,
        g5_spis::CHECKS,
        g6_groups::CHECKS,
        g7_state::CHECKS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_written_in_one_way() {
        let mut seen = std::collections::HashSet::new();
        for check in all() {
            assert!(seen.insert(check.name), "{} is there twice", check.name);
            assert!(
                check.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{}",
                check.name
            );
            assert!(check.claim.ends_with('.') && check.catches.ends_with('.'), "{}: sentences end", check.name);
        }
    }

    #[test]
    fn checks_stand_in_the_order_of_their_clauses() {
        let clauses: Vec<_> = all().map(|check| check.clause).collect();
        assert!(clauses.is_sorted(), "{clauses:?}");
    }

    #[test]
    fn every_program_can_be_encoded_and_described() {
        for check in all() {
            for cntfrq in [19_200_000, 1_000_000_000] {
                let (program, _) = check.build(cntfrq);
                let (header, ops) = program.encode();
                assert_eq!(header.ops as usize, ops.len(), "{}", check.name);
                assert!(!program.to_string().contains("unknown"), "{}:\n{program}", check.name);
            }
        }
    }
}
