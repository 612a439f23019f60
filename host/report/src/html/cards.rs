//! The figures that one remembers.

use std::fmt::Write;

use crate::latency::{floor_of, latency, whole};
use crate::record::Measured;
use vtick_core::figures::{percent, thousands};
use vtick_latency::{Irqchip, Outcome};

/// A card for each of the few figures that say most, as far as they were measured with vtick's own GIC.
pub(super) fn cards(page: &mut String, record: &Measured) {
    let find = |name| record.latency.iter().find(|o| o.scenario.name == name && o.irqchip == Irqchip::User);
    let unit = record.host.unit.name();
    let mut cards = Vec::new();
    let of_figure = |outcome: &Outcome, of: fn(&Outcome) -> Option<u64>| {
        let ticks = of(outcome)?;
        let floor = floor_of(outcome, &record.latency).and_then(of);
        let over = floor
            .map_or_else(String::new, |floor| format!(", {:+.1} % over the kernel's floor", percent(floor, ticks)));
        Some((thousands(record.host.in_unit(ticks)), format!("{unit}{over}")))
    };
    for (name, what, of) in [
        ("vtimer-spin", "deadline to handler, spinning", latency as fn(&Outcome) -> Option<u64>),
        ("vtimer-wfi", "deadline to handler, asleep in WFI", latency),
        ("vtimer-spin", "the whole interrupt, spinning", whole),
        ("mmio-read", "MMIO read answered by userspace", whole),
    ] {
        cards.extend(find(name).and_then(|o| of_figure(o, of)).map(|(figure, note)| (what.to_owned(), figure, note)));
    }
    if let Some(outcome) = find("vtimer-spin").filter(|outcome| outcome.counts.delivered > 0) {
        let each = outcome.ledger.system_calls() as f64 / outcome.counts.delivered as f64;
        let each = format!("{each:.3}").trim_end_matches('0').trim_end_matches('.').to_owned();
        cards.push(("system calls for an interrupt".to_owned(), each, "KVM_RUN and KVM_IRQ_LINE".to_owned()));
    }
    let sum = |of: fn(&Outcome) -> u64| record.latency.iter().map(of).sum::<u64>();
    let interrupts = sum(|outcome| if outcome.deadline_to_handler.is_some() { outcome.counts.delivered } else { 0 });
    let (lost, spurious) = (sum(|outcome| outcome.counts.lost), sum(|outcome| outcome.counts.spurious));
    if interrupts > 0 {
        let note = format!("of {} interrupts", thousands(interrupts));
        cards.push(("lost, and spurious".to_owned(), format!("{}, {}", thousands(lost), thousands(spurious)), note));
    }
    page.push_str("<div class=\"cards\">");
    for (what, figure, note) in cards {
        let _ = write!(page, "<div class=\"panel\"><small>{what}</small><b>{figure}</b><small>{note}</small></div>");
    }
    page.push_str("</div>");
}
