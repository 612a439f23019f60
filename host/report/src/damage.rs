//! Numbers of a record that no measurement can have brought: a record may have been cut, edited or made up, and views of
//! it add, multiply and divide without looking.

use serde_json::Value;

use vtick_core::Host;
use vtick_latency::{Outcome, Summary};

/// More than any count, and than any time of a measurement in ticks or nanoseconds: a fortnight. Sums of thousands of
/// them fit into 64 bits.
pub(super) const MOST: u64 = 1 << 50;
/// Counter frequencies in Hz: far below and above those of any machine (Arm ARM, CNTFRQ_EL0: 1 GHz from Armv8.6 on, 1 to
/// 50 MHz before).
const CNTFRQ: std::ops::RangeInclusive<u64> = 1_000..=1 << 36;
/// More CPUs than Linux can be built for.
const MOST_CPUS: usize = 1 << 16;

/// Whether a machine can be like this.
pub(super) fn of_host(host: &Host) -> Result<(), String> {
    if !CNTFRQ.contains(&host.cntfrq) {
        return Err(format!("a counter of {} Hz", host.cntfrq));
    }
    if host.cpus > MOST_CPUS {
        return Err(format!("a host with {} CPUs", host.cpus));
    }
    Ok(())
}

/// Whether all texts are such as a terminal shows: a name must not move the cursor or change colours.
pub(super) fn of_texts(record: &Value) -> Result<(), String> {
    match record {
        Value::Array(items) => items.iter().try_for_each(of_texts),
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, value)| of_text(name).and_then(|()| of_texts(value)))
        }
        Value::String(text) => of_text(text),
        _ => Ok(()),
    }
}

fn of_text(text: &str) -> Result<(), String> {
    let odd = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    odd.map_or(Ok(()), |odd| Err(format!("the control character {odd:?} in a text")))
}

/// Whether the numbers of measurements, as they stand in the record, can be those of some.
pub(super) fn of_numbers(measurements: &Value) -> Result<(), String> {
    match measurements {
        Value::Array(items) => items.iter().try_for_each(of_numbers),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| match value {
            Value::Number(number) => of_number(name, number),
            other => of_numbers(other),
        }),
        Value::Number(number) => of_number("a list", number),
        _ => Ok(()),
    }
}

fn of_number(name: &str, number: &serde_json::Number) -> Result<(), String> {
    let plausible = number.as_u64().is_some_and(|number| number <= MOST);
    if plausible { Ok(()) } else { Err(format!("{number} in {name}")) }
}

/// Whether the distributions of a measurement are as they say.
pub(super) fn of_measurement(outcome: &Outcome) -> Result<(), String> {
    let totals = [&outcome.deadline_to_handler, &outcome.whole, &outcome.interval];
    let hops = outcome.hops.iter().map(|hop| &hop.ticks);
    let mut all = totals.into_iter().flatten().chain(hops);
    if let Some(why) = all.find_map(|summary| of_summary(summary).err()) {
        return Err(format!("{} on {}: {why}", outcome.scenario.name, outcome.irqchip));
    }
    Ok(())
}

fn of_summary(summary: &Summary) -> Result<(), String> {
    let Summary { count, min, p50, p90, p99, p99_9, max, ref values } = *summary;
    if ![min, p50, p90, p99, p99_9, max].is_sorted() {
        return Err("percentiles that are out of order".to_owned());
    }
    if values.iter().any(|&(value, _)| value > MOST) {
        return Err("a distribution with a value that nothing can have taken".to_owned());
    }
    let sum = values.iter().try_fold(0u64, |sum, &(_, count)| sum.checked_add(count));
    if count == 0 || sum != Some(count) {
        return Err(format!("a distribution of {count} values that is not of so many"));
    }
    Ok(())
}
