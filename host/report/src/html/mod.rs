//! Records of measurements as one page: self-contained, no scripts, light and dark.

mod cards;
mod kernels;
mod plots;
mod svg;
mod tables;

use std::fmt::Write;

use super::latency::short;
use super::record::Measured;
use vtick_core::{Host, Unit};
use vtick_latency::Outcome;

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
    if let [record] = records {
        cards::cards(&mut page, record);
    } else {
        kernels::over_kernels(&mut page, records);
    }
    tables::glance(&mut page, records);
    plots::waterfalls(&mut page, records);
    plots::saturations(&mut page, records);
    plots::distributions(&mut page, records);
    tables::ledgers(&mut page, records);
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
    for Host { kernel, kvm_mode, gic, cpu, cpus, cntfrq, settings, .. } in records.iter().map(|record| &record.host) {
        let _ = write!(
            page,
            "<tr><td>Linux {}<td>{}<td>{}<td>{}<td class=\"n\">{cpus}<td class=\"n\">{} MHz</tr>",
            escape(kernel),
            escape(kvm_mode),
            escape(gic),
            escape(cpu),
            cntfrq / 1_000_000
        );
        if !settings.is_empty() {
            let _ = write!(page, "<tr class=\"soft\"><td colspan=\"6\">{}</tr>", escape(settings));
        }
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

fn legend(page: &mut String, names: &[(String, String)]) {
    page.push_str("<div class=\"legend\">");
    for (class, name) in names {
        let _ = write!(page, "<span><i class=\"{class}\"></i>{}</span>", escape(name));
    }
    page.push_str("</div>");
}

#[cfg(test)]
mod tests {
    use vtick_abi::measure::Sample;

    use super::*;
    use vtick_latency::{Irqchip, Ledger, Measurement, SCENARIOS, Scenario};

    #[test]
    fn what_a_record_says_cannot_become_markup() {
        let host = Host { kernel: "<script>\"&".to_owned(), ..Host::default() };
        let evil = "</title></svg><script>'\"&";
        let named = |plain: &Scenario| Scenario { name: evil.into(), what: evil.into(), ..plain.clone() };
        let outcome = |scenario: &Scenario| {
            let mut measurement = Measurement::new(&Scenario { warm_up: 0, ..named(scenario) }, Irqchip::User);
            let sample = Sample {
                deadline: 1000,
                vector: 8000,
                acknowledged: 9000,
                handled: 9010,
                ended: 9500,
                resumed: 9600,
                iar: 27,
                ..Sample::default()
            };
            measurement.batch([sample; 3].into_iter(), &[], 0, Ledger::default());
            measurement.outcome()
        };
        let latency = SCENARIOS.iter().map(outcome).collect();
        let page = page(&[Measured { host, latency }]);
        assert!(page.contains("&lt;script&gt;&quot;&amp;") && !page.contains("<script"), "{page}");
        assert!(!page.contains("http"), "the page is self-contained");
    }
}
