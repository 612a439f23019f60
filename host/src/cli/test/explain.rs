//! `vtick test --explain`.

use crate::cli::EXAMPLE_CNTFRQ;
use owo_colors::OwoColorize;
use vtick_contract::fault::FAULTS;
use vtick_contract::{Check, FailsOn};
use vtick_shell::say::println;
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
