//! A run as text for a person.

use owo_colors::OwoColorize;

use vtick_contract::fault::Described;
use vtick_contract::model::Objection;
use vtick_contract::{CheckRecord, Costs, Judgement, Tally, Verdict, reproducer, shorten};
use vtick_core::{Host, Unit};
use vtick_shell::say::{print, println};

/// Two lines: what machine this is, and what a figure means here.
pub fn host(host: &Host) {
    let Host { kernel, kvm_mode, gic, cpu, cpus, .. } = host;
    let by_log = if host.mode_by_log { " (by the kernel's log only)" } else { "" };
    println!(
        "host    Linux {kernel}, KVM {kvm_mode}{by_log}, {gic}, {cpu}, {cpus} CPU{}",
        if *cpus == 1 { "" } else { "s" }
    );
    if !host.boot.is_empty() {
        println!("boot    {}", host.boot);
    }
    if !host.pinned.is_empty() {
        println!("pinned  vCPUs on CPU {}", host.pinned.iter().map(usize::to_string).collect::<Vec<_>>().join(", "));
    }
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

/// What programs are made to take on this host, because it takes so long itself.
pub fn costs(costs: &Costs) {
    let Costs { exit, line, wake, lag } = costs;
    let us = |ns: &u64| ns.div_ceil(1000);
    print!("pace    exit {} us, KVM_IRQ_LINE {} us, wake-up {} us late", us(exit), us(line), us(wake));
    if costs.timers_lag() {
        print!(", ISTATUS {} us late: this host's timers lag", us(lag));
    }
    match costs.scale() {
        1 => println!(),
        scale => println!("; spans are {scale} times as long as usual"),
    }
}

/// How far a timer's ISTATUS was seen behind its counter, at most.
pub fn timer_lag(host: &Host, ticks: u64) {
    println!(
        "ISTATUS was clear up to {} {} after its deadline: this host's timers lag",
        host.in_unit(ticks),
        host.unit.name()
    );
}

/// A line more, where it is measured what things cost.
pub fn settings(host: &Host) {
    if !host.settings.is_empty() {
        println!("setting {}", host.settings);
    }
}

/// Whose timelines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timelines {
    /// Those of violations that nobody expects, as far as they are worth reading.
    OfViolations,
    /// Those of all checks, as far as they are worth reading.
    OfAll,
    /// All there is of them, of all checks.
    Full,
}

/// The most lines of a timeline that are shown unasked: with what stands above them 60.
pub(super) const MOST_LINES: usize = 54;

/// A check's line; a violation also shows its known cause and its timeline.
pub fn check(check: &CheckRecord, timelines: Timelines) {
    let with_timeline = timelines != Timelines::OfViolations;
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
            let gone = if check.shaken { "was not observed in a disturbed run" } else { "is not there any more" };
            println!("                   a violation is expected of this kernel, but {gone}: {why}");
        }
        _ => {}
    }
    if check.judgement.verdict != Verdict::Held || with_timeline {
        println!("                   {}", check.judgement.reason);
    }
    if let Some(cause) = check.cause {
        println!("                   looks like: {cause}");
    }
    for opinion in &check.objections {
        let expected = opinion.expected.map(|why| format!(" (expected of this kernel: {why})")).unwrap_or_default();
        println!("                   the model objects: {}{expected}", opinion.objection);
    }
    if (violated && check.expected.is_none()) || with_timeline {
        let most = if timelines == Timelines::Full { usize::MAX } else { MOST_LINES };
        for line in shorten(&check.timeline, most) {
            println!("                   | {line}");
        }
    }
    if violated && let Some(command) = reproducer::offer(&check.name) {
        println!("                   reproduce with: {command}");
    }
}

/// An injected fault's line, by what the checks that must catch it came to, and those that did not; and the first thing
/// the model objects to.
pub fn fault(name: &str, results: &[(&str, Judgement)], objection: Option<&Objection>) {
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
    if let Some(objection) = objection {
        println!("              the model objects: {objection}");
    }
}

/// How many of the injected faults the model found by itself, and which it did not.
pub fn second_opinions(faults: &[(&Described, Option<Objection>)]) {
    for of_gic in [false, true] {
        let faults: Vec<_> = faults.iter().filter(|(fault, _)| fault.fault.is_of_the_gic() == of_gic).collect();
        let found = faults.iter().filter(|(_, objection)| objection.is_some()).count();
        match (faults.len(), of_gic) {
            (0, _) => continue,
            (all, false) => println!("the model by itself objects to {found} of {all} faults of the kernel"),
            (all, true) => println!(
                "the model by itself objects to {found} of {all} faults of the GIC and the way to it, which are none of \
                 KVM's"
            ),
        }
        for (fault, _) in faults.iter().filter(|(_, objection)| objection.is_none() && !of_gic) {
            println!("  not to {}", fault.name);
        }
    }
}

/// How many checks came out how.
pub fn summary(tally: &Tally) {
    println!("\n{tally}");
}
