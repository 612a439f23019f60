//! Figures and counts as tables.

use std::fmt::Write;

use super::{escape, label, of_scenario, scenarios, unit};
use crate::latency::{floor_of, latency, whole};
use crate::record::Measured;
use vtick_core::figures::{percent, thousands};
use vtick_latency::{Irqchip, Outcome};

/// The figures that one looks for first, a row for each measurement.
pub(super) fn glance(page: &mut String, records: &[Measured]) {
    let _ = write!(
        page,
        "<h2>At a glance</h2><p class=\"soft\">In {}. The floor is the cost of the kernel: its runner only copies the \
         timer's level to the line.</p><div class=\"panel\"><table><tr><th>scenario<th>on<th class=\"n\">deadline to handler, p50\
         <th class=\"n\">p99<th class=\"n\">max<th class=\"n\">over floor<th class=\"n\">whole, p50<th class=\"n\">over floor<th>worth</tr>",
        unit(records)
    );
    for (name, what) in scenarios(records) {
        for entry @ (record, outcome) in of_scenario(records, name) {
            let floor = floor_of(outcome, &record.latency);
            let over = |of: fn(&Outcome) -> Option<u64>| match (floor.and_then(of), of(outcome)) {
                (Some(floor), Some(ours)) => format!("{:+.1} %", percent(floor, ours)),
                _ => String::new(),
            };
            let cell =
                |ticks: Option<u64>| ticks.map_or_else(String::new, |ticks| thousands(record.host.in_unit(ticks)));
            let handler = outcome.deadline_to_handler.as_ref();
            let _ = write!(
                page,
                "<tr{}><td title=\"{}\">{}<td>{}",
                if outcome.irqchip == Irqchip::Bare { " class=\"soft\"" } else { "" },
                escape(what),
                escape(name),
                escape(&label(records, entry))
            );
            for text in [
                cell(handler.map(|s| s.p50)),
                cell(handler.map(|s| s.p99)),
                cell(handler.map(|s| s.max)),
                over(latency),
                cell(whole(outcome)),
                over(whole),
            ] {
                let _ = write!(page, "<td class=\"n\">{text}");
            }
            if let Some(figures) = handler.or(outcome.whole.as_ref()) {
                let (fitness, evidence) = outcome.conditions.judge(record.host.deterministic, figures);
                let _ = write!(page, "<td title=\"{}\">{fitness}", escape(&evidence.join("; ")));
            }
            page.push_str("</tr>");
        }
    }
    page.push_str("</table></div>");
}

/// Counts, a row for each measurement.
pub(super) fn ledgers(page: &mut String, records: &[Measured]) {
    page.push_str(
        "<h2>Ledger</h2><p class=\"soft\">What became of the interrupts, and what the runner did for each: counts, exact on any \
         machine.</p><div class=\"panel\"><table><tr><th>scenario<th>on<th class=\"n\">due<th class=\"n\">delivered<th class=\"n\">lost\
         <th class=\"n\">spurious<th class=\"n\">coalesced<th class=\"n\">KVM_RUN each<th class=\"n\">of it: level<th class=\"n\">GIC read\
         <th class=\"n\">GIC write<th class=\"n\">KVM_IRQ_LINE each</tr>",
    );
    for (name, _) in scenarios(records) {
        for entry @ (_, outcome) in of_scenario(records, name) {
            let (c, l) = (&outcome.counts, &outcome.ledger);
            let _ = write!(page, "<tr><td>{}<td>{}", escape(name), escape(&label(records, entry)));
            for (count, bad) in [
                (c.expected, false),
                (c.delivered, false),
                (c.lost, c.lost > 0),
                (c.spurious, c.spurious > 0),
                (c.coalesced, false),
            ] {
                let _ = write!(page, "<td class=\"n{}\">{}", if bad { " bad" } else { "" }, thousands(count));
            }
            for count in [l.returns(), l.level_exits, l.gic_reads, l.gic_writes, l.lines] {
                let each = format!("{:.3}", count as f64 / c.delivered.max(1) as f64);
                let each = each.trim_end_matches('0').trim_end_matches('.');
                let _ = write!(page, "<td class=\"n\">{each}");
            }
            page.push_str("</tr>");
        }
    }
    page.push_str("</table></div>");
}
