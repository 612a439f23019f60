//! A run as text for a person.

use anstream::println;
use owo_colors::OwoColorize;

use super::meaning::Tally;
use super::record::{CheckRecord, Host, Unit};
use crate::contract::{Judgement, Verdict};

/// Two lines: what machine this is, and what a figure means here.
pub fn host(host: &Host) {
    let Host { kernel, kvm_mode, gic, cpu, cpus, .. } = host;
    println!("host    Linux {kernel}, KVM {kvm_mode}, {gic}, {cpu}, {cpus} CPU{}", if *cpus == 1 { "" } else { "s" });
    match host.unit {
        Unit::Instructions => println!(
            "clock   {} MHz counter that counts instructions: figures are instructions, exact and repeatable, not time",
            host.cntfrq / 1_000_000
        ),
        Unit::Nanoseconds => {
            println!("clock   {} kHz counter: figures are nanoseconds", host.cntfrq / 1000);
            println!("power   {}", host.power);
        }
    }
}

/// A line more, where it is measured what things cost.
pub fn settings(host: &Host) {
    if !host.settings.is_empty() {
        println!("setting {}", host.settings);
    }
}

/// A check's line; a violation also shows its known cause and its timeline.
pub fn check(check: &CheckRecord, with_timeline: bool) {
    let verdict = format!("{:<13}", check.judgement.verdict);
    let verdict = match check.judgement.verdict {
        Verdict::Held => verdict.green().to_string(),
        Verdict::Violated => verdict.red().bold().to_string(),
        Verdict::NotExercised | Verdict::Disturbed => verdict.yellow().to_string(),
        Verdict::HarnessError => verdict.magenta().bold().to_string(),
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
    if check.judgement.verdict != Verdict::Held || with_timeline {
        println!("                   {}", check.judgement.reason);
    }
    if let Some(cause) = check.cause {
        println!("                   looks like: {cause}");
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
pub fn summary(tally: &Tally) {
    println!("\n{tally}");
}
