//! A run as text for a person.

use anstream::println;
use owo_colors::OwoColorize;

use super::record::{CheckRecord, Host, Unit};
use crate::contract::{Judgement, Verdict};
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
    match check.expected {
        Some(why) if violated => println!("                   expected of this kernel: {why}"),
        Some(why) if check.judgement.verdict == Verdict::Held => {
            println!("                   a violation is expected of this kernel, and there is none any more: {why}");
        }
        _ => {}
    }
    if violated || check.judgement.verdict == Verdict::NotExercised || with_timeline {
        println!("                   {}", check.judgement.reason);
    }
    if let Some(cause) = check.cause {
        println!("                   looks like: {}; fixed by commit {}", cause.what, cause.fixed_by);
    }
    if (violated && check.expected.is_none()) || with_timeline {
        for line in &check.timeline {
            println!("                   | {line}");
        }
    }
}

/// An injected fault's line, by what the checks that must catch it came to, and those that did not.
pub fn fault(name: &str, results: &[(&str, Judgement)]) {
    let count = |verdict| results.iter().filter(|(_, judgement)| judgement.verdict == verdict).count();
    let caught = count(Verdict::Violated);
    let verdict = match (count(Verdict::Held), caught) {
        (0, 0) => format!("{:<13}", "not exercised").yellow().to_string(),
        (0, _) => format!("{:<13}", "caught").green().to_string(),
        _ => format!("{:<13}", "missed").red().bold().to_string(),
    };
    println!("{verdict} {name} ({caught} of {} checks)", results.len());
    for (check, judgement) in results.iter().filter(|(_, judgement)| judgement.verdict != Verdict::Violated) {
        println!("              {}: {check}: {}", judgement.verdict, judgement.reason);
    }
}

/// How many checks came out how.
pub fn summary(checks: &[CheckRecord]) {
    let count = |verdict| checks.iter().filter(|check| check.judgement.verdict == verdict).count();
    println!(
        "\n{} checks: {} held, {} violated ({} as expected), {} not exercised",
        checks.len(),
        count(Verdict::Held),
        count(Verdict::Violated),
        checks.iter().filter(|c| c.judgement.verdict == Verdict::Violated && c.is_as_expected()).count(),
        count(Verdict::NotExercised)
    );
}

/// A measurement: what became of the interrupts, and what they took.
pub fn outcome(host: &Host, outcome: &Outcome) {
    let counts = &outcome.counts;
    println!("\n{}: {}", outcome.scenario.name.bold(), outcome.scenario.what);
    println!(
        "  interrupts  {} expected, {} delivered, {} acknowledged, {} ended, {} lost, {} spurious",
        counts.expected, counts.delivered, counts.acknowledged, counts.ended, counts.lost, counts.spurious
    );
    let unit = match host.unit {
        Unit::Instructions => "instructions",
        Unit::Nanoseconds => "ns",
    };
    let Some(summary) = &outcome.deadline_to_handler else {
        println!("  latency     none: no interrupt was delivered");
        return;
    };
    let Summary { min, p50, p90, p99, p99_9, max, .. } = *summary;
    println!("  latency     from the deadline (CVAL) to the handler's first instruction, in {unit}");
    let row = [("min", min), ("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p99_9), ("max", max)];
    let cells = |cell: &dyn Fn(&(&str, u64)) -> String| row.iter().map(cell).collect::<String>();
    println!("              {}", cells(&|(name, _)| format!("{name:>12}")));
    println!("              {}", cells(&|(_, ticks)| format!("{:>12}", thousands(host.in_unit(*ticks)))));
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
