//! `--inject all`: whether exploration finds each fault by itself.

use super::session::Session;
use super::{Done, Operation, Space, random};
use vtick_contract::fault::{Described, Fault};
use vtick_shell::say::println;

/// All programs of so many operations are tried first, and then so many random ones of these sizes.
const OPS: usize = 2;
const RANDOM: u64 = 500;
const RANDOM_OPS: usize = 8;
const RANDOM_VCPUS: usize = 2;
const SEED: u64 = 1;

/// Why no program over the alphabet shows that a kernel has this fault, if none does.
fn out_of_reach(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::LevelLostOnSystemEvent => Some("no operation turns the machine off"),
        Fault::LevelInVgicVm => Some("no VM has an in-kernel GIC"),
        Fault::Vcpu2IndexIgnored => Some("no VM has more than 256 vCPUs"),
        Fault::CounterOffsetIgnored => Some("no operation moves the counter"),
        Fault::HostWarns => Some("no operation is the sequence that makes a host warn"),
        Fault::NeighbourTimerMasked => Some("no VM runs beside another"),
        _ => None,
    }
}

pub(super) fn run(session: &mut Session, faults: &[&Described], alphabet: &[Operation]) -> anyhow::Result<Done> {
    // One more, so that operations of more weight have company, too.
    let space = Space::new(alphabet.to_vec(), OPS + 1, 1).expect("few enough to be counted");
    let mut missed = Vec::new();
    session.quiet = true;
    println!("\n{:<28} {:>9}  {:<5} by", "fault", "programs", "least");
    let of_kernels: Vec<_> = faults.iter().filter(|described| !described.fault.is_of_the_gic()).collect();
    for fault in &of_kernels {
        if let Some(reason) = out_of_reach(fault.fault) {
            println!("{:<28} {:>9}  -     {reason}", fault.name, 0);
            missed.push(fault.name);
            continue;
        }
        session.begin_again(Some(fault.fault));
        let random = (0..RANDOM).map(|number| random::sketch(SEED, number, alphabet, RANDOM_OPS, RANDOM_VCPUS));
        let short = space.from(0, 0, 1).map(|(_, sketch)| sketch).take_while(|sketch| sketch.len() <= OPS);
        let mut found = false;
        for sketch in short.chain(random) {
            if session.explore(&sketch)? {
                found = true;
                break;
            }
        }
        session.look_at_log();
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
    println!(
        "\n{} faults of kernels: {} found by exploration, {} not; those of the GIC are not the kernel's, and were not tried",
        of_kernels.len(),
        of_kernels.len() - missed.len(),
        missed.len()
    );
    if !missed.is_empty() {
        println!("not found: {}", missed.join(", "));
    }
    Ok(Done::Ran(missed.is_empty()))
}
