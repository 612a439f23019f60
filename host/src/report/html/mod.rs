//! Records of measurements as one page: self-contained, no scripts, light and dark.

mod svg;

use std::fmt::Write;

use super::figures::{percent, thousands};
use super::latency::{floor_of, latency, short, whole};
use super::record::{Host, Measured, Unit};
use crate::latency::{Hop, Irqchip, Outcome};

/// One measurement and the record it is from.
type Entry<'a> = (&'a Measured, &'a Outcome);

/// The page.
pub fn page(records: &[Measured]) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str(
        "<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">",
    );
    let _ = write!(
        page,
        "<title>vtick: what an interrupt costs</title><style>{}</style></head><body><main>",
        include_str!("style.css")
    );
    page.push_str("<h1>What an interrupt costs</h1>");
    hosts(&mut page, records);
    if records.len() > 1 {
        over_kernels(&mut page, records);
    }
    glance(&mut page, records);
    waterfalls(&mut page, records);
    distributions(&mut page, records);
    ledgers(&mut page, records);
    page.push_str("</main></body></html>\n");
    page
}

/// Text as HTML has it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unit(records: &[Measured]) -> &'static str {
    records.first().map_or("", |record| record.host.unit.name())
}

fn hosts(page: &mut String, records: &[Measured]) {
    let counts = records.iter().any(|record| record.host.unit == Unit::Instructions);
    let note = match counts {
        true => {
            "Figures are instructions of one emulated CPU model: exact and repeatable, and not time on any silicon."
        }
        false => "Figures are nanoseconds.",
    };
    let _ = write!(
        page,
        "<p class=\"unit\">{note}</p><div class=\"panel\"><table><tr><th>kernel<th>KVM<th>host GIC<th>CPU<th class=\"n\">CPUs<th class=\"n\">counter</tr>"
    );
    for Host { kernel, kvm_mode, gic, cpu, cpus, cntfrq, .. } in records.iter().map(|record| &record.host) {
        let _ = write!(
            page,
            "<tr><td>Linux {}<td>{}<td>{}<td>{}<td class=\"n\">{cpus}<td class=\"n\">{} MHz</tr>",
            escape(kernel),
            escape(kvm_mode),
            escape(gic),
            escape(cpu),
            cntfrq / 1_000_000
        );
    }
    page.push_str("</table></div>");
}

/// All measurements of a scenario, in the records' order.
fn of_scenario<'a>(records: &'a [Measured], name: &str) -> Vec<Entry<'a>> {
    let all = records.iter().flat_map(|record| record.latency.iter().map(move |outcome| (record, outcome)));
    all.filter(|(_, outcome)| outcome.scenario.name == name).collect()
}

/// Every scenario's name and sentence, once each, in order.
fn scenarios(records: &[Measured]) -> Vec<(&str, &str)> {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for outcome in records.iter().flat_map(|record| &record.latency) {
        if names.iter().all(|(name, _)| *name != outcome.scenario.name) {
            names.push((&outcome.scenario.name, &outcome.scenario.what));
        }
    }
    names
}

fn label(records: &[Measured], (record, outcome): Entry<'_>) -> String {
    match records.len() {
        1 => outcome.irqchip.to_string(),
        _ => format!("{} {}", short(&record.host.kernel), outcome.irqchip),
    }
}

/// The colour of the `n`th of several measurements: that of its interrupt controller, unless several kernels are shown.
fn class(records: &[Measured], n: usize, (_, outcome): Entry<'_>) -> usize {
    if records.len() == 1 { outcome.irqchip as usize } else { n % 8 }
}

fn over_kernels(page: &mut String, records: &[Measured]) {
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
        let names: Vec<_> = trends.iter().map(|trend| (format!("s{}", trend.class), trend.name.clone())).collect();
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

fn legend(page: &mut String, names: &[(String, String)]) {
    page.push_str("<div class=\"legend\">");
    for (class, name) in names {
        let _ = write!(page, "<span><i class=\"{class}\"></i>{}</span>", escape(name));
    }
    page.push_str("</div>");
}

fn glance(page: &mut String, records: &[Measured]) {
    let _ = write!(
        page,
        "<h2>At a glance</h2><p class=\"soft\">In {}. The floor is what the kernel alone costs, with a runner that only copies the \
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
                "<tr{}><td title=\"{}\">{name}<td>{}",
                if outcome.irqchip == Irqchip::Bare { " class=\"soft\"" } else { "" },
                escape(what),
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

fn waterfalls(page: &mut String, records: &[Measured]) {
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
                "<figure class=\"panel\"><h3>{name}</h3><figcaption>{}</figcaption>{chart}</figure>",
                escape(what)
            );
        }
    }
}

fn distributions(page: &mut String, records: &[Measured]) {
    let _ = write!(
        page,
        "<h2>Distributions</h2><p class=\"soft\">How often (up, logarithmic) each value in {} (across, logarithmic) was seen: from the \
         deadline to the handler, or there and back for an operation. The median stands above.</p><div class=\"grid\">",
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
        let _ = write!(page, "<figure class=\"panel\"><h3>{name}</h3><figcaption>{}</figcaption>", escape(what));
        let names = found
            .iter()
            .enumerate()
            .map(|(n, (entry, _))| (format!("s{}", class(records, n, *entry)), label(records, *entry)));
        let names: Vec<_> = names.collect();
        legend(page, &names);
        page.push_str(&svg::distribution(name, &series, |ticks| record.host.in_unit(ticks)));
        page.push_str("</figure>");
    }
    page.push_str("</div>");
}

fn ledgers(page: &mut String, records: &[Measured]) {
    page.push_str(
        "<h2>Ledger</h2><p class=\"soft\">What became of the interrupts, and what the runner did for each: counts, exact on any \
         machine.</p><div class=\"panel\"><table><tr><th>scenario<th>on<th class=\"n\">due<th class=\"n\">delivered<th class=\"n\">lost\
         <th class=\"n\">spurious<th class=\"n\">coalesced<th class=\"n\">KVM_RUN each<th class=\"n\">of it: level<th class=\"n\">GIC read\
         <th class=\"n\">GIC write<th class=\"n\">KVM_IRQ_LINE each</tr>",
    );
    for (name, _) in scenarios(records) {
        for entry @ (_, outcome) in of_scenario(records, name) {
            let (c, l) = (&outcome.counts, &outcome.ledger);
            let _ = write!(page, "<tr><td>{name}<td>{}", escape(&label(records, entry)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{Measurement, SCENARIOS};

    #[test]
    fn what_a_record_says_cannot_become_markup() {
        let host = Host { kernel: "<script>\"&".to_owned(), ..Host::default() };
        let outcome = Measurement::new(&SCENARIOS[0], Irqchip::User).outcome();
        let page = page(&[Measured { host, latency: vec![outcome] }]);
        assert!(page.contains("&lt;script&gt;&quot;&amp;") && !page.contains("<script"), "{page}");
        assert!(!page.contains("http"), "the page is self-contained");
    }
}
