//! A run as text for a person.

use anstream::println;
use owo_colors::OwoColorize;

use super::record::{CheckRecord, Host, Unit};
use crate::contract::Verdict;
use crate::latency::{Outcome, Summary};

/// Two lines: what machine this is, and what a figure means here.
pub fn host(host: &Host) {
    let Host { kernel, kvm_mode, gic, cpu, cpus, .. } = host;
    println!("host    Linux {kernel}, KVM {kvm_mode}, {gic}, {cpu}, {cpus} CPU{}", if *cpus == 1 { "" } else { "s" });
    match host.unit {
        Unit::Instructions => println!(
            "clock   {} MHz counter that counts instructions: figures are instructions, exact and repeatable, not time",
            host.cntfrq / 1_000_000
        ),
        Unit::Nanoseconds => println!("clock   {} kHz counter: figures are nanoseconds", host.cntfrq / 1000),
    }
}

/// A check's line; a violation also shows its known cause and its timeline.
pub fn check(check: &CheckRecord, with_timeline: bool) {
    let verdict = format!("{:<13}", check.judgement.verdict);
    let verdict = match check.judgement.verdict {
        Verdict::Held => verdict.green().to_string(),
        Verdict::Violated => verdict.red().bold().to_string(),
        Verdict::NotExercised => verdict.yellow().to_string(),
    };
    println!("{verdict} {:<4} {}", check.clause, check.name);
    let violated = check.judgement.verdict == Verdict::Violated;
    if violated || check.judgement.verdict == Verdict::NotExercised || with_timeline {
        println!("                   {}", check.judgement.reason);
    }
    if let Some(cause) = check.cause {
        println!("                   looks like: {}; fixed by commit {}", cause.what, cause.fixed_by);
    }
    if violated || with_timeline {
        for line in &check.timeline {
            println!("                   | {line}");
        }
    }
}

/// How many checks came out how.
pub fn summary(checks: &[CheckRecord]) {
    let count = |verdict| checks.iter().filter(|check| check.judgement.verdict == verdict).count();
    println!(
        "\n{} checks: {} held, {} violated, {} not exercised",
        checks.len(),
        count(Verdict::Held),
        count(Verdict::Violated),
        count(Verdict::NotExercised)
    );
}

/// A measurement: what became of the interrupts, and what they took.
pub fn outcome(host: &Host, outcome: &Outcome) {
    let counts = &outcome.counts;
    println!("\n{} on {}: {}", outcome.scenario.name.bold(), outcome.irqchip, outcome.scenario.what);
    println!(
        "  interrupts  {} expected, {} delivered, {} acknowledged, {} ended, {} lost, {} spurious, {} coalesced, {} unstamped",
        counts.expected,
        counts.delivered,
        counts.acknowledged,
        counts.ended,
        counts.lost,
        counts.spurious,
        counts.coalesced,
        counts.unstamped
    );
    println!("  ledger {:?}", outcome.ledger);
    let row = |name: &str, s: &Summary| {
        let cells = [s.min, s.p50, s.p90, s.p99, s.p99_9, s.max].map(|t| format!("{:>12}", thousands(host.in_unit(t))));
        println!("  {name:<20}{}", cells.concat());
    };
    for (name, summary) in
        [("latency", &outcome.deadline_to_handler), ("whole", &outcome.whole), ("interval", &outcome.interval)]
    {
        if let Some(summary) = summary {
            row(name, summary);
        }
    }
    for hop in &outcome.hops {
        row(hop.hop.label(), &hop.ticks);
    }
    outcome.faults().iter().for_each(|fault| println!("  FAULT {fault}"));
}

/// A number with its thousands apart.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_set_apart_from_the_right() {
        assert_eq!([7, 999, 1000, 1_234_567].map(thousands), ["7", "999", "1,000", "1,234,567"]);
    }
}
