//! Measurements as text for a person.

use owo_colors::OwoColorize;

use super::compare::named_figures;
use super::record::Measured;
use vtick_core::Host;
use vtick_core::figures::{percent, plural, signed, sparkline, thousands};
use vtick_latency::{Fitness, Irqchip, Ledger, Outcome, Summary};
use vtick_shell::say::println;

/// Width of the names in front of the figures.
const NAMES: usize = 24;

/// A measurement: what became of the interrupts, what they took, hop by hop, and what the runner did for them.
pub fn outcome(host: &Host, outcome: &Outcome) {
    println!("\n{} on {}: {}", outcome.scenario.name.bold(), outcome.irqchip, outcome.scenario.what);
    println!("  {}", counted(outcome));
    if let Some(line) = calls(outcome) {
        println!("  {line}");
    }
    let heads = ["min", "p50", "p90", "p99", "p99.9", "max"].map(|head| format!("{head:>12}")).concat();
    println!("  {:<NAMES$}{}", format!("in {}", host.unit.name()).dimmed(), heads.dimmed());
    let row = |name: &str, s: &Summary| {
        let cells = [s.min, s.p50, s.p90, s.p99, s.p99_9, s.max];
        let cells = cells.map(|ticks| format!("{:>12}", thousands(host.in_unit(ticks)))).concat();
        println!("  {name:<NAMES$}{cells}  {}", sparkline(&s.values, 16).cyan());
    };
    let operation = outcome.scenario.stimulus.intid().is_none();
    let whole = if operation { "there and back" } else { "deadline to resumed" };
    let totals = [
        ("deadline to handler", &outcome.deadline_to_handler),
        (whole, &outcome.whole),
        ("interval", &outcome.interval),
    ];
    totals.into_iter().for_each(|(name, summary)| summary.iter().for_each(|summary| row(name, summary)));
    outcome.hops.iter().for_each(|hop| row(&format!("  > {}", hop.hop.label()), &hop.ticks));
    if let Some(rate) = rate(host, outcome) {
        println!("  {rate}");
    }
    if let Some((fitness, evidence)) = fitness(host, outcome) {
        println!("  {fitness}{}{}", if evidence.is_empty() { "" } else { ": " }, evidence.join("; "));
    }
    if let Some(line) = placed(host, outcome) {
        println!("  {line}");
    }
    if let Some(line) = long_run(outcome) {
        println!("  {line}");
    }
    outcome.faults().iter().for_each(|fault| println!("  {} {fault}", "fault".red().bold()));
}

/// What became of the interrupts, or that all operations were done.
fn counted(outcome: &Outcome) -> String {
    let c = &outcome.counts;
    if outcome.scenario.stimulus.intid().is_none() {
        return format!("{} operations", thousands(c.delivered));
    }
    let mut parts = vec![
        format!("{} interrupts due", thousands(c.expected)),
        format!("{} delivered", thousands(c.delivered)),
        format!("{} acknowledged", thousands(c.acknowledged)),
        format!("{} ended", thousands(c.ended)),
        format!("{} lost", thousands(c.lost)),
        format!("{} spurious", thousands(c.spurious)),
    ];
    if outcome.scenario.period.0 != 0 {
        parts.push(format!("{} late", thousands(c.late)));
        parts.push(format!("{} coalesced", thousands(c.coalesced)));
    }
    parts.join(", ")
}

/// System calls per interrupt, and what they were; `None` for operations.
fn calls(outcome: &Outcome) -> Option<String> {
    outcome.scenario.stimulus.intid()?;
    let n = outcome.counts.delivered;
    if n == 0 {
        return None;
    }
    let Ledger { level_exits, other_interrupts, gic_reads, gic_writes, coalesced, lines, .. } = outcome.ledger;
    let each = |count: u64| {
        if count.is_multiple_of(n) { (count / n).to_string() } else { format!("{:.3}", count as f64 / n as f64) }
    };
    let counted = |count: u64, noun: &str| plural(&each(count), noun);
    let mut line = format!(
        "per interrupt: {} = {} KVM_RUN ({}, {}, {}) + {} KVM_IRQ_LINE",
        counted(outcome.ledger.system_calls(), "system call"),
        each(outcome.ledger.returns()),
        counted(level_exits, "level"),
        counted(gic_reads, "GIC read"),
        counted(gic_writes, "GIC write"),
        each(lines)
    );
    if coalesced > 0 {
        line.push_str(&format!("; an MMIO exit carried {}", counted(coalesced, "more level change")));
    }
    if other_interrupts > 0 {
        line.push_str(&format!("; in the whole run {}", plural(&thousands(other_interrupts), "signal")));
    }
    Some(line)
}

/// What the figures are worth; nothing to say where they are exact.
fn fitness(host: &Host, outcome: &Outcome) -> Option<(Fitness, Vec<String>)> {
    let figures = outcome.deadline_to_handler.as_ref().or(outcome.whole.as_ref())?;
    Some(outcome.conditions.judge(host.deterministic, figures)).filter(|(fitness, _)| *fitness != Fitness::Exact)
}

/// For a timer that ticks faster than its interrupts can be served: how fast they were.
fn rate(host: &Host, outcome: &Outcome) -> Option<String> {
    let interval = outcome.interval.as_ref().filter(|_| outcome.is_saturated())?;
    Some(format!("saturated: an interrupt every {} {}", thousands(host.in_unit(interval.p50)), host.unit.name()))
}

/// Where the vCPUs ran, if there was a choice.
fn placed(host: &Host, outcome: &Outcome) -> Option<String> {
    let pinned: Vec<_> = outcome.conditions.pinned.iter().map(usize::to_string).collect();
    match pinned.len() {
        _ if host.cpus < 2 => None,
        0 => Some("the vCPUs' threads were not pinned".to_owned()),
        _ => Some(format!("pinned to host CPU {}", pinned.join(", "))),
    }
}

/// Of a run that is too long for all its raw samples to be kept: which are, and that its memory does not grow.
fn long_run(outcome: &Outcome) -> Option<String> {
    let samples = outcome.samples.iter().find(|samples| samples.every() > 1)?;
    let mut line = format!("raw samples: 1 in {} of {} kept", samples.every(), thousands(samples.seen()));
    if let [warm, halfway, end] = outcome.conditions.memory[..] {
        let [warm, halfway, end] = [warm, halfway, end].map(thousands);
        line.push_str(&format!("; resident memory {warm} KiB when warm, {halfway} halfway, {end} at the end"));
    }
    Some(line)
}

/// What our GIC costs over the kernel's floor, for each scenario that was measured with both.
pub fn over_the_floor(host: &Host, outcomes: &[Outcome]) {
    let found: Vec<_> = outcomes.iter().filter_map(|ours| Some((ours, floor_of(ours, outcomes)?))).collect();
    if found.is_empty() {
        return;
    }
    println!("\n{}, p50, in {}", "Overhead over the floor".bold(), host.unit.name());
    for (ours, floor) in found {
        for (name, of) in [("deadline to handler", latency as fn(&Outcome) -> Option<u64>), ("whole", whole)] {
            let (Some(ours_p50), Some(floor_p50)) = (of(ours), of(floor)) else { continue };
            let (ours_p50, floor_p50) = (host.in_unit(ours_p50), host.in_unit(floor_p50));
            println!(
                "  {:<20}{name:<22}{:>11} over{:>11}: {:>7} {:+.1} %",
                ours.scenario.name,
                thousands(ours_p50),
                thousands(floor_p50),
                signed(ours_p50 as i64 - floor_p50 as i64),
                percent(floor_p50, ours_p50)
            );
        }
    }
}

/// Medians of several records, a column each: what a scenario costs on one kernel and on the next.
pub fn side_by_side(records: &[Measured]) {
    let Some((first, others)) = records.split_first().filter(|(_, others)| !others.is_empty()) else { return };
    println!("\n{}", "Medians side by side".bold());
    let heads = records.iter().map(|record| format!("{:>26}", short(&record.host.kernel))).collect::<String>();
    println!("  {:<30}{:<21}{heads}", "", "");
    for outcome in &first.latency {
        let same = |o: &&Outcome| o.scenario.name == outcome.scenario.name && o.irqchip == outcome.irqchip;
        for (name, part, summary) in named_figures(outcome) {
            let base = first.host.in_unit(summary.p50);
            let cells = others.iter().map(|record| {
                let found = record.latency.iter().find(same).map(named_figures).into_iter().flatten();
                let ticks = found.filter(|(other, ..)| *other == name).map(|(.., s)| record.host.in_unit(s.p50)).next();
                let cell = ticks.map(|ticks| format!("{} {:>+7.1} %", thousands(ticks), percent(base, ticks)));
                format!("{:>26}", cell.unwrap_or_else(|| "-".to_owned()))
            });
            let label = if part { String::new() } else { format!("{} on {}", outcome.scenario.name, outcome.irqchip) };
            println!("  {label:<30}{name:<21}{:>26}{}", thousands(base), cells.collect::<String>());
        }
    }
}

/// A kernel's release without what a distribution adds for its flavours.
pub(crate) fn short(kernel: &str) -> &str {
    kernel.split_once("-cloud").map_or(kernel, |(release, _)| release)
}

/// The measurement of the same scenario with the bare runner, if `ours` is of vtick's GIC.
pub(super) fn floor_of<'a>(ours: &Outcome, outcomes: &'a [Outcome]) -> Option<&'a Outcome> {
    let bare = |o: &&Outcome| o.irqchip == Irqchip::Bare && o.scenario.name == ours.scenario.name;
    outcomes.iter().find(bare).filter(|_| ours.irqchip == Irqchip::User)
}

/// Median from the deadline to the handler, in ticks.
pub(super) fn latency(outcome: &Outcome) -> Option<u64> {
    outcome.deadline_to_handler.as_ref().map(|summary| summary.p50)
}

/// Median of the whole, in ticks.
pub(super) fn whole(outcome: &Outcome) -> Option<u64> {
    outcome.whole.as_ref().map(|summary| summary.p50)
}
