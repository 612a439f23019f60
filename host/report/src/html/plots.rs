//! Hops and distributions.

use std::fmt::Write;

use super::{class, escape, label, legend, of_scenario, scenarios, svg, unit};
use crate::record::Measured;
use vtick_latency::{Hop, Irqchip, Outcome, Raw, Samples};

/// A bar for each measurement, hop behind hop.
pub(super) fn waterfalls(page: &mut String, records: &[Measured]) {
    let _ = write!(
        page,
        "<h2>Hop by hop</h2><p class=\"soft\">The way of an interrupt from its deadline to the interrupted code, medians of each hop in {}. \
         With an in-kernel controller the first hop goes to the guest's vector: nothing of it passes through userspace.</p>",
        unit(records)
    );
    let names: Vec<_> = Hop::ALL.iter().map(|&hop| (format!("h{}", hop as usize), hop.label().to_owned())).collect();
    legend(page, &names);
    for (name, what) in scenarios(records) {
        let entries = of_scenario(records, name).into_iter().filter(|(_, outcome)| outcome.hops.len() > 3);
        let bars: Vec<_> = entries
            .map(|entry @ (record, outcome)| svg::Bar {
                name: label(records, entry),
                hops: outcome.hops.iter().map(|hop| (hop.hop, record.host.in_unit(hop.ticks.p50))).collect(),
            })
            .collect();
        if !bars.is_empty() {
            let chart = svg::waterfall(&format!("{name}, hop by hop"), &bars, unit(records));
            let _ = write!(
                page,
                "<figure class=\"panel\"><h3>{}</h3><figcaption>{}</figcaption>{chart}</figure>",
                escape(name),
                escape(what)
            );
        }
    }
}

/// Each scenario's distributions, and the order in which the values came.
pub(super) fn distributions(page: &mut String, records: &[Measured]) {
    let _ = write!(
        page,
        "<h2>Distributions</h2><p class=\"soft\">How often (up, logarithmic) each value in {} (across, logarithmic) was seen: from the \
         deadline to the handler, or there and back for an operation. The median stands above. Below, the same values in the order in \
         which they came: the medians, and from the least to the most.</p><div class=\"grid\">",
        unit(records)
    );
    for (name, what) in scenarios(records) {
        let entries = of_scenario(records, name);
        let summary = |outcome: &'_ Outcome| outcome.deadline_to_handler.clone().or_else(|| outcome.whole.clone());
        let found: Vec<_> = entries.into_iter().filter_map(|entry| Some((entry, summary(entry.1)?))).collect();
        let Some(((record, _), _)) = found.first() else { continue };
        let series: Vec<_> = found
            .iter()
            .enumerate()
            .map(|(n, (entry, summary))| svg::Series {
                class: class(records, n, *entry),
                values: &summary.values,
                p50: summary.p50,
            })
            .collect();
        let _ =
            write!(page, "<figure class=\"panel\"><h3>{}</h3><figcaption>{}</figcaption>", escape(name), escape(what));
        let names = found
            .iter()
            .enumerate()
            .map(|(n, (entry, _))| (format!("s{}", class(records, n, *entry)), label(records, *entry)));
        let names: Vec<_> = names.collect();
        legend(page, &names);
        page.push_str(&svg::distribution(name, &series, |ticks| record.host.in_unit(ticks)));
        let courses: Vec<_> =
            found.iter().enumerate().map(|(n, (entry, _))| course(class(records, n, *entry), entry.1)).collect();
        page.push_str(&svg::timeline(&format!("{name}, in order"), &courses, |ticks| record.host.in_unit(ticks)));
        page.push_str("</figure>");
    }
    page.push_str("</div>");
}

fn course(class: usize, outcome: &Outcome) -> svg::Course {
    let of_interrupts = outcome.deadline_to_handler.is_some();
    let value = |raw: &Raw| if of_interrupts { raw.deadline_to_handler() } else { Some(raw.whole()) };
    let vcpus = outcome.samples.iter().map(|samples| samples.kept().iter().filter_map(value).collect()).collect();
    svg::Course { class, vcpus, of: outcome.samples.iter().map(Samples::seen).max().unwrap_or(0) }
}

/// How many interrupts come of a periodic timer's ticks, where several rates were measured.
pub(super) fn saturations(page: &mut String, records: &[Measured]) {
    let (mut rates, mut names) = (Vec::new(), Vec::new());
    for (n, record) in records.iter().enumerate() {
        for irqchip in [Irqchip::User, Irqchip::Bare, Irqchip::Vgicv2, Irqchip::Vgicv3] {
            let periodic = record.latency.iter().filter(|o| o.irqchip == irqchip && o.scenario.period.0 != 0);
            let point = |o: &Outcome| {
                let period = record.host.in_unit(o.scenario.period.ticks(record.host.cntfrq));
                Some((period, record.host.in_unit(o.interval.as_ref()?.p50)))
            };
            let points: Vec<_> = periodic.clone().filter_map(point).collect();
            if let Some(first) = periodic.clone().next().filter(|_| points.len() > 1) {
                let class = if records.len() == 1 { irqchip as usize } else { (n + 4 * irqchip as usize) % 8 };
                names.push((format!("s{class}"), label(records, (record, first))));
                rates.push(svg::Rates { class, points });
            }
        }
    }
    if rates.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "<h2>Where periodic timers saturate</h2><p class=\"soft\">The time from one interrupt to the next, up, for the time from one tick to \
         the next, across: medians in {}. On the dashed line every tick has its interrupt.</p><div class=\"panel\">",
        unit(records)
    );
    legend(page, &names);
    page.push_str(&svg::saturation("Where periodic timers saturate", &rates, unit(records)));
    page.push_str("</div>");
}
