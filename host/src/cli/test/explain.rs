//! `vtick test --explain`.

use crate::cli::EXAMPLE_CNTFRQ;
use owo_colors::OwoColorize;
use vtick_contract::fault::FAULTS;
use vtick_contract::{Check, Clause, FailsOn, checks};
use vtick_shell::say::println;

/// Says what a clause promises, and which checks hold the kernel to it.
pub(super) fn explain_clause(clause: Clause) {
    println!("{} ({})", clause.bold(), clause.title());
    println!("  promise  {}", clause.text());
    println!("  source   {}", clause.source());
    println!("  checks");
    checks::all().filter(|check| check.clause == clause).for_each(|check| println!("    {}", check.name));
}

/// Says all that is known of a check.
pub(super) fn explain(check: &Check) {
    println!("{}", check.name.bold());
    println!("  must see {}", check.claim);
    println!("  clause   {} ({}): {}", check.clause, check.clause.title(), check.clause.text());
    println!("  source   {}", check.clause.source());
    println!("  catches  {}", check.catches);
    match check.fails_on {
        FailsOn::Faults(faults) => {
            for fault in FAULTS.iter().filter(|described| faults.contains(&described.fault)) {
                println!("  fails on {}: {}", fault.name, fault.what);
            }
        }
        FailsOn::OnlyKernels(reason) => println!("  fails on no fault that can be injected: {reason}"),
    }
    for deviation in vtick_contract::DEVIATIONS.iter().filter(|deviation| deviation.check == check.name) {
        println!("  deviates {}: {}", deviation.range(), deviation.why);
    }
    println!("  program  (as a file for --program has it; docs/litmus.md)");
    let (program, _) = check.build(EXAMPLE_CNTFRQ);
    program.to_string().lines().for_each(|line| println!("    {line}"));
}
