//! Periodic timers: which rates are served, and where the path saturates.

use owo_colors::OwoColorize;

use vtick_core::Host;
use vtick_core::figures::thousands;
use vtick_latency::{Counts, Irqchip, Outcome};
use vtick_shell::say::println;

/// Where a path saturates, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Saturation {
    /// The shortest period that the path keeps up with, and with all longer ones.
    kept: Option<u64>,
    /// The longest period that it does not keep up with, and the time from one interrupt to the next there, as a median.
    saturated: Option<(u64, u64)>,
    /// That time at the rate where it is shortest.
    fastest: u64,
}

/// A row for each periodic timer that was measured, and for each interrupt controller where it saturates.
pub fn rates(host: &Host, outcomes: &[Outcome]) {
    let periodic: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.scenario.period.0 != 0).collect();
    if periodic.len() < 2 {
        return;
    }
    println!("\n{}, in {}", "Periodic timers".bold(), host.unit.name());
    let heads = ["a tick every", "an interrupt every", "due", "delivered", "late", "coalesced", "lost"];
    println!("  {:<30}{}", "", heads.map(|head| format!("{head:>19}")).concat().dimmed());
    for outcome in &periodic {
        let Counts { expected, delivered, late, coalesced, lost, .. } = outcome.counts;
        let interval = outcome.interval.as_ref().map_or(0, |interval| interval.p50);
        let figures = [host.in_unit(period(host, outcome)), host.in_unit(interval)];
        let cells = figures.into_iter().chain([expected, delivered, late, coalesced, lost]);
        let cells: String = cells.map(|figure| format!("{:>19}", thousands(figure))).collect();
        println!("  {:<30}{cells}", format!("{} on {}", outcome.scenario.name, outcome.irqchip));
    }
    for irqchip in [Irqchip::User, Irqchip::Bare, Irqchip::Vgicv2, Irqchip::Vgicv3] {
        let of_it = periodic.iter().copied().filter(|outcome| outcome.irqchip == irqchip);
        let Some(saturation) = saturation(host, of_it) else { continue };
        println!("  {irqchip}: {}", saturation.words(host));
    }
}

fn period(host: &Host, outcome: &Outcome) -> u64 {
    outcome.scenario.period.ticks(host.cntfrq)
}

fn saturation<'a>(host: &Host, outcomes: impl Iterator<Item = &'a Outcome>) -> Option<Saturation> {
    let interval = |outcome: &Outcome| outcome.interval.as_ref().map(|interval| interval.p50);
    let mut rates: Vec<_> = outcomes.filter_map(|o| Some((period(host, o), o.is_saturated(), interval(o)?))).collect();
    rates.sort_unstable_by_key(|&(period, ..)| std::cmp::Reverse(period));
    let fastest = rates.iter().map(|rate| rate.2).min().filter(|_| rates.len() > 1)?;
    let kept = rates.iter().take_while(|(_, saturated, _)| !saturated).last();
    let saturated = rates.iter().find(|(_, saturated, _)| *saturated);
    Some(Saturation { kept: kept.map(|rate| rate.0), saturated: saturated.map(|rate| (rate.0, rate.2)), fastest })
}

impl Saturation {
    fn words(self, host: &Host) -> String {
        let figure = |ticks: u64| thousands(host.in_unit(ticks));
        let kept = match self.kept {
            Some(period) => format!("keeps up with a tick every {}", figure(period)),
            None => "keeps up with none of these rates".to_owned(),
        };
        match self.saturated {
            None => format!("{kept}, the fastest that was tried"),
            Some((period, interval)) => format!(
                "{kept}; saturated by one every {}, with an interrupt every {}; at most one every {}",
                figure(period),
                figure(interval),
                figure(self.fastest)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use vtick_abi::measure::Sample;

    use super::*;
    use vtick_latency::{Ledger, Measurement, SCENARIOS, Scenario, Span};

    const HOST: fn() -> Host = || Host { cntfrq: 1_000_000_000, ..Host::default() };

    /// A timer with a period of `us`, whose interrupts each take 21,000 ticks.
    fn outcome(us: u64) -> Outcome {
        let scenario = Scenario { period: Span(us), warm_up: 0, ..SCENARIOS[0].clone() };
        let mut measurement = Measurement::new(&scenario, Irqchip::User);
        let missed = 21_000 / (us * 1000);
        let step = (missed + 1) * us * 1000;
        let samples = (1..=100).map(|n| Sample {
            deadline: n * step,
            vector: n * step + 7000,
            acknowledged: n * step + 8000,
            handled: n * step + 8000,
            ended: n * step + 9000,
            resumed: n * step + 9000,
            iar: 27,
            spurious: 0,
            missed: missed as u32,
        });
        measurement.batch(samples, &[], 0, Ledger::default());
        measurement.outcome()
    }

    fn found(periods: &[u64]) -> Option<Saturation> {
        let outcomes: Vec<_> = periods.iter().map(|us| outcome(*us)).collect();
        saturation(&HOST(), outcomes.iter())
    }

    #[test]
    fn saturation_lies_between_the_fastest_rate_that_is_kept_up_with_and_the_slowest_that_is_not() {
        let due = Saturation { kept: Some(25_000), saturated: Some((20_000, 40_000)), fastest: 22_000 };
        assert_eq!(found(&[1, 25, 20, 100]), Some(due));
        assert_eq!(
            due.words(&HOST()),
            "keeps up with a tick every 25,000; saturated by one every 20,000, with an interrupt every 40,000; at most one every 22,000"
        );
    }

    #[test]
    fn a_path_that_keeps_up_with_all_that_was_tried_is_not_called_saturated() {
        let due = Saturation { kept: Some(25_000), saturated: None, fastest: 25_000 };
        assert_eq!(found(&[25, 100]), Some(due));
        assert!(due.words(&HOST()).ends_with("the fastest that was tried"));
        assert_eq!(found(&[1, 2]).unwrap().kept, None);
        assert_eq!(found(&[25]), None, "one rate says nothing of where the limit is");
    }

    #[test]
    fn one_tick_of_a_hundred_that_the_hosts_own_work_swallows_is_no_saturation() {
        let mut outcome = outcome(25);
        outcome.counts = Counts { coalesced: 1, expected: 101, ..outcome.counts };
        assert!(!outcome.is_saturated());
        outcome.counts = Counts { coalesced: 2, expected: 102, ..outcome.counts };
        assert!(outcome.is_saturated());
    }
}
