//! `--inject all`: whether exploration finds each fault by itself.

use super::session::Session;
use super::{Done, Operation, Space, random};
use crate::contract::fault::Described;
use crate::say::println;

/// All programs of so many operations are tried first, and then so many random ones of these sizes.
const OPS: usize = 2;
const RANDOM: u64 = 3000;
const RANDOM_OPS: usize = 8;
const RANDOM_VCPUS: usize = 2;
const SEED: u64 = 1;

pub(super) fn run(session: &mut Session, faults: &[&Described], alphabet: &[Operation]) -> anyhow::Result<Done> {
    let space = Space::new(alphabet.to_vec(), OPS, 1).expect("few enough to be counted");
    let mut missed = Vec::new();
    session.quiet = true;
    println!("\n{:<28} {:>9}  {:<5} by", "fault", "programs", "least");
    for fault in faults {
        session.begin_again(Some(fault.fault));
        let random = (0..RANDOM).map(|number| random::sketch(SEED, number, alphabet, RANDOM_OPS, RANDOM_VCPUS));
        let short = space.from(0, 0, 1).map(|(_, sketch)| sketch);
        let mut found = false;
        for sketch in short.chain(random) {
            if session.explore(&sketch)? {
                found = true;
                break;
            }
        }
        let programs = session.counts.programs;
        match session.findings.values().next() {
            Some(finding) if found => {
                let (clause, rule) = &finding.key;
                let least = finding.operations.map_or_else(String::new, |operations| operations.to_string());
                println!("{:<28} {programs:>9}  {least:<5} {clause} ({rule})", fault.name);
            }
            _ => {
                println!("{:<28} {programs:>9}  -", fault.name);
                missed.push(fault.name);
            }
        }
    }
    println!("\n{} faults: {} found by exploration, {} not", faults.len(), faults.len() - missed.len(), missed.len());
    if !missed.is_empty() {
        println!("not found: {}", missed.join(", "));
    }
    Ok(Done::Ran(missed.is_empty()))
}
