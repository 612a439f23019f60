//! What an interrupt costs from one kernel to the next.

use std::fmt::Write;

use super::{legend, svg, unit};
use crate::latency::{latency, short, whole};
use crate::record::Measured;
use vtick_latency::{Irqchip, Outcome};

/// Two plots: a line for each of the plainest scenarios on each interrupt controller, a mark for each kernel.
pub(super) fn over_kernels(page: &mut String, records: &[Measured]) {
    let kernels: Vec<&str> = records.iter().map(|record| short(&record.host.kernel)).collect();
    let figures = [
        ("From the deadline to the handler", latency as fn(&Outcome) -> Option<u64>),
        ("The whole interrupt, back in the interrupted code", whole),
    ];
    for (heading, of) in figures {
        let trends = trends(records, of);
        if trends.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "<h2>{heading}, kernel by kernel</h2><p class=\"soft\">Medians in {}; dashed: asleep in WFI.</p><div class=\"panel\">",
            unit(records)
        );
        let names: Vec<_> = trends
            .iter()
            .map(|trend| (format!("s{}{}", trend.class, if trend.dashed { " dashed" } else { "" }), trend.name.clone()))
            .collect();
        legend(page, &names);
        page.push_str(&svg::trends(heading, &kernels, &trends));
        page.push_str("</div>");
    }
}

/// The medians of the two plainest scenarios on each interrupt controller, where any record has them.
fn trends(records: &[Measured], of: fn(&Outcome) -> Option<u64>) -> Vec<svg::Trend> {
    let mut trends = Vec::new();
    for (name, dashed) in [("vtimer-spin", false), ("vtimer-wfi", true)] {
        for irqchip in [Irqchip::User, Irqchip::Bare, Irqchip::Vgicv2, Irqchip::Vgicv3] {
            let found = |record: &Measured| {
                let outcome = record.latency.iter().find(|o| o.scenario.name == name && o.irqchip == irqchip)?;
                of(outcome).map(|ticks| record.host.in_unit(ticks))
            };
            let values: Vec<_> = records.iter().map(found).collect();
            if values.iter().any(Option::is_some) {
                let below = irqchip == Irqchip::Bare;
                let name = format!("{name} on {irqchip}");
                trends.push(svg::Trend { name, values, class: irqchip as usize, dashed, below });
            }
        }
    }
    trends
}
