//! Two records of measurements against each other, figure by figure.

mod text;

use super::record::Measured;
use super::statistics::{mann_whitney, median_interval};
use vtick_core::figures::percent;
use vtick_core::{Host, Unit};
use vtick_latency::{Irqchip, Outcome, Scenario, Summary};

/// Odds below which a difference of noisy figures is taken for real.
const SIGNIFICANT: f64 = 0.01;

/// Why two records cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompareError {
    /// Instructions against time.
    #[error("one record counts instructions and the other nanoseconds: there is nothing to compare")]
    Units,
    /// No scenario was measured in both.
    #[error("the records have no measurement in common")]
    Nothing,
}

/// How sure a difference is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Confidence {
    /// Every single value is the same.
    Identical,
    /// Both hosts are deterministic: whatever differs does so in every run.
    Exact,
    /// Noisy figures: the odds that both are of one distribution (Mann-Whitney, two-sided), and an interval that holds
    /// the difference of the medians in 95 of 100 cases.
    Estimated {
        /// The odds.
        p: f64,
        /// From, in the records' unit.
        low: i64,
        /// To.
        high: i64,
    },
}

/// One figure in both records.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Scenario.
    pub scenario: String,
    /// Interrupt controller.
    pub irqchip: Irqchip,
    /// What was measured.
    pub figure: &'static str,
    /// A part of another figure, or one of its own that `--fail-over` is about.
    pub part: bool,
    /// Median in the first, in the records' unit.
    pub before: u64,
    /// Median in the second.
    pub after: u64,
    /// 99th percentiles, before and after.
    pub p99: (u64, u64),
    /// How sure the difference is.
    pub confidence: Confidence,
}

impl Difference {
    /// Whether the figures differ for sure, medians or not.
    pub fn is_real(&self) -> bool {
        match self.confidence {
            Confidence::Identical => false,
            Confidence::Exact => true,
            Confidence::Estimated { p, .. } => p < SIGNIFICANT,
        }
    }

    /// Whether nothing but the last hundredth of the values differs: in a deterministic host any change moves that, because
    /// it moves where the host's own ticks fall.
    fn is_tail_alone(&self) -> bool {
        self.confidence == Confidence::Exact && self.before == self.after && self.p99.0 == self.p99.1
    }

    /// Change of the median in percent.
    pub fn percent(&self) -> f64 {
        percent(self.before, self.after)
    }
}

/// What two records differ in.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    unit: Unit,
    /// The kernels, before and after.
    pub kernels: [String; 2],
    /// What besides the kernel is not the same, in words: the machines, and how scenarios of one name were measured.
    pub others: Vec<String>,
    /// All figures that both have, in the first record's order.
    pub differences: Vec<Difference>,
    /// Measurements that only the first has.
    pub missing: Vec<String>,
    /// Measurements whose system calls per interrupt went up, in words.
    pub dearer: Vec<String>,
}

/// Compares `after` with `before`.
pub fn compare(before: &Measured, after: &Measured) -> Result<Comparison, CompareError> {
    if before.host.unit != after.host.unit {
        return Err(CompareError::Units);
    }
    let mut comparison = Comparison {
        unit: before.host.unit,
        kernels: [before.host.kernel.clone(), after.host.kernel.clone()],
        others: other_machine(&before.host, &after.host),
        differences: Vec::new(),
        missing: Vec::new(),
        dearer: Vec::new(),
    };
    let deterministic = before.host.deterministic && after.host.deterministic;
    for a in &before.latency {
        let Some(b) = after.latency.iter().find(|b| b.scenario.name == a.scenario.name && b.irqchip == a.irqchip)
        else {
            comparison.missing.push(format!("{} on {}", a.scenario.name, a.irqchip));
            continue;
        };
        comparison.others.extend(other_scenario(&a.scenario, &b.scenario));
        for (figure, part, x) in named_figures(a) {
            let Some((_, _, y)) = named_figures(b).into_iter().find(|(name, ..)| *name == figure) else { continue };
            let in_unit = |p50, of: &Measured| of.host.in_unit(p50);
            comparison.differences.push(Difference {
                scenario: a.scenario.name.to_string(),
                irqchip: a.irqchip,
                figure,
                part,
                before: in_unit(x.p50, before),
                after: in_unit(y.p50, after),
                p99: (in_unit(x.p99, before), in_unit(y.p99, after)),
                confidence: confidence(x, y, deterministic, |ticks| before.host.in_unit(ticks)),
            });
        }
        let (x, y) = (per_interrupt(a), per_interrupt(b));
        if y > x {
            let text =
                format!("{} on {}: {y:.3} system calls per interrupt, {x:.3} before", a.scenario.name, a.irqchip);
            comparison.dearer.push(text);
        }
    }
    if comparison.differences.is_empty() { Err(CompareError::Nothing) } else { Ok(comparison) }
}

/// What two machines differ in besides their kernels.
fn other_machine(before: &Host, after: &Host) -> Vec<String> {
    let fields = |host: &Host| {
        [
            ("CPU", host.cpu.clone()),
            ("KVM mode", host.kvm_mode.clone()),
            ("host GIC", host.gic.clone()),
            ("CPUs", host.cpus.to_string()),
            ("counter", format!("{} Hz", host.cntfrq)),
            ("settings", host.settings.clone()),
            ("power", host.power.clone()),
            ("deterministic", host.deterministic.to_string()),
        ]
    };
    differing("host", fields(before), fields(after))
}

/// What differs in how a scenario was measured.
fn other_scenario(before: &Scenario, after: &Scenario) -> Vec<String> {
    let fields = |scenario: &Scenario| {
        let us = |span: vtick_latency::Span| format!("{} us", span.0);
        [
            ("stimulus", format!("{:?}", scenario.stimulus)),
            ("wait", format!("{:?}", scenario.wait)),
            ("beside it", format!("{:?}", scenario.beside)),
            ("vCPUs", scenario.vcpus.to_string()),
            ("delay", us(scenario.delay)),
            ("spread", us(scenario.spread)),
            ("period", us(scenario.period)),
            ("warm-up", scenario.warm_up.to_string()),
            ("interrupts", scenario.interrupts.to_string()),
        ]
    };
    differing(&before.name, fields(before), fields(after))
}

fn differing<const N: usize>(whose: &str, before: [(&str, String); N], after: [(&str, String); N]) -> Vec<String> {
    let differ = before.into_iter().zip(after).filter(|((_, before), (_, after))| before != after);
    differ.map(|((what, before), (_, after))| format!("{whose}: {what} {before} -> {after}")).collect()
}

fn per_interrupt(outcome: &Outcome) -> f64 {
    outcome.ledger.system_calls() as f64 / outcome.counts.delivered.max(1) as f64
}

/// All figures of a measurement: name, whether it is a part of another, distribution.
pub(super) fn named_figures(outcome: &Outcome) -> Vec<(&'static str, bool, &Summary)> {
    let totals = [("deadline to handler", &outcome.deadline_to_handler), ("whole", &outcome.whole)];
    let totals = totals.into_iter().filter_map(|(name, summary)| Some((name, false, summary.as_ref()?)));
    let hops = outcome.hops.iter().map(|hop| (hop.hop.label(), true, &hop.ticks));
    totals.chain(outcome.interval.as_ref().map(|interval| ("interval", true, interval))).chain(hops).collect()
}

fn confidence(x: &Summary, y: &Summary, deterministic: bool, in_unit: impl Fn(u64) -> u64) -> Confidence {
    if x.values == y.values {
        return Confidence::Identical;
    }
    if deterministic {
        return Confidence::Exact;
    }
    let (x_low, x_high) = median_interval(x);
    let (y_low, y_high) = median_interval(y);
    let difference = |to: u64, from: u64| in_unit(to) as i64 - in_unit(from) as i64;
    Confidence::Estimated { p: mann_whitney(x, y), low: difference(y_low, x_high), high: difference(y_high, x_low) }
}

impl Comparison {
    /// Whether nothing differs at all.
    pub fn is_identical(&self) -> bool {
        let same = |d: &Difference| d.confidence == Confidence::Identical;
        let alike = self.missing.is_empty() && self.dearer.is_empty() && self.others.is_empty();
        alike && self.differences.iter().all(same)
    }

    /// What a limit of `percent` does not allow, a line each: a total that is surely dearer by more, more system calls,
    /// or a measurement that is gone.
    pub fn over(&self, percent: f64) -> Vec<String> {
        let dearer = self.differences.iter().filter(|d| !d.part && d.is_real() && d.percent() > percent);
        let dearer = dearer.map(|d| format!("{} on {}: {} {:+.2} %", d.scenario, d.irqchip, d.figure, d.percent()));
        let missing = self.missing.iter().map(|name| format!("{name}: not measured any more"));
        dearer.chain(self.dearer.iter().cloned()).chain(missing).collect()
    }
}

#[cfg(test)]
mod tests {
    use vtick_abi::measure::Sample;

    use super::*;
    use vtick_core::Host;
    use vtick_latency::{Ledger, Measurement, SCENARIOS, Scenario};

    /// A record of one measurement: latencies, and KVM_IRQ_LINE calls for each.
    fn record(unit: Unit, latencies: impl Iterator<Item = u64>, lines: u64) -> Measured {
        let deterministic = unit == Unit::Instructions;
        let host = Host { unit, deterministic, cntfrq: 1_000_000_000, ..Host::default() };
        let mut measurement = Measurement::new(&Scenario { warm_up: 0, ..SCENARIOS[0].clone() }, Irqchip::User);
        for latency in latencies {
            let vector = 1000 + latency;
            let (acknowledged, handled, ended, resumed) = (vector + 10, vector + 20, vector + 30, vector + 40);
            let sample =
                Sample { deadline: 1000, vector, acknowledged, handled, ended, resumed, iar: 27, ..Sample::default() };
            measurement.batch([sample].into_iter(), &[], 0, Ledger { lines, ..Ledger::default() });
        }
        Measured { host, latency: vec![measurement.outcome()] }
    }

    fn exact(latency: u64) -> Measured {
        record(Unit::Instructions, std::iter::repeat_n(latency, 100), 2)
    }

    /// Scattered as silicon scatters: around `centre`, the same way each time.
    fn noisy(centre: u64, seed: u64) -> Measured {
        let mut state = seed;
        let scatter = std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            centre + (state >> 33) % 2000
        });
        record(Unit::Nanoseconds, scatter.take(2000), 2)
    }

    #[test]
    fn two_equal_records_are_identical() {
        let comparison = compare(&exact(7633), &exact(7633)).unwrap();
        assert!(comparison.is_identical());
        assert!(comparison.to_text(false).contains("identical: "), "{}", comparison.to_text(false));
        assert_eq!(comparison.over(0.0), Vec::<String>::new());
    }

    #[test]
    fn a_hundred_instructions_more_are_found_and_are_over_one_percent_but_not_over_two() {
        let comparison = compare(&exact(7633), &exact(7733)).unwrap();
        let latency = &comparison.differences[0];
        assert_eq!((latency.before, latency.after, latency.confidence), (7633, 7733, Confidence::Exact));
        assert_eq!(comparison.over(1.0).len(), 2, "latency and whole: {:?}", comparison.over(1.0));
        assert_eq!(comparison.over(2.0), Vec::<String>::new());
        assert!(
            comparison.to_text(true).contains("| 7,633 | 7,733 | +100 | +1.31 % | exact |"),
            "{}",
            comparison.to_text(true)
        );
    }

    #[test]
    fn an_outlier_that_leaves_the_median_alone_is_still_no_identity() {
        let outlier = record(Unit::Instructions, std::iter::repeat_n(7633, 95).chain([90_000; 5]), 2);
        let comparison = compare(&exact(7633), &outlier).unwrap();
        assert!(!comparison.is_identical());
        let text = comparison.to_text(false);
        assert!(
            text.contains("4 are identical and 0 differ only beyond") && text.contains("only the tail differs"),
            "{text}"
        );
    }

    #[test]
    fn what_moves_beyond_the_99th_percentile_alone_is_counted_and_not_listed() {
        let tail = |outlier| record(Unit::Instructions, std::iter::repeat_n(7633, 999).chain([outlier]), 2);
        let text = compare(&tail(20_000), &tail(21_000)).unwrap().to_text(false);
        assert!(text.contains("of 6 figures, 4 are identical and 2 differ only beyond"), "{text}");
        assert!(!text.contains("vtimer-spin"), "{text}");
    }

    #[test]
    fn noise_is_not_taken_for_a_difference_and_a_difference_in_noise_is_found() {
        let same = compare(&noisy(7000, 1), &noisy(7000, 2)).unwrap();
        assert!(!same.differences[0].is_real(), "{:?}", same.differences[0]);
        let slower = compare(&noisy(7000, 1), &noisy(7300, 2)).unwrap();
        assert!(slower.differences[0].is_real(), "{:?}", slower.differences[0]);
        let Confidence::Estimated { low, high, .. } = slower.differences[0].confidence else {
            panic!("noisy is estimated")
        };
        assert!(low < 300 && 300 < high && low > 0, "{low} to {high} around 300");
        assert_eq!(slower.over(2.0).len(), 2);
    }

    #[test]
    fn pairs_of_equal_noise_are_never_over_a_limit() {
        for n in 0..5 {
            let comparison = compare(&noisy(7000, 2 * n + 1), &noisy(7000, 2 * n + 2)).unwrap();
            assert_eq!(comparison.over(2.0), Vec::<String>::new(), "pair {n}");
        }
    }

    #[test]
    fn one_more_system_call_is_over_any_limit_and_so_is_a_measurement_that_is_gone() {
        let more = record(Unit::Instructions, std::iter::repeat_n(7633, 100), 3);
        assert_eq!(compare(&exact(7633), &more).unwrap().over(50.0).len(), 1);
        let mut two = exact(7633);
        two.latency.push(Outcome { irqchip: Irqchip::Bare, ..two.latency[0].clone() });
        assert_eq!(compare(&two, &exact(7633)).unwrap().over(50.0), ["vtimer-spin on bare: not measured any more"]);
    }

    #[test]
    fn records_of_other_machines_are_not_identical_and_say_what_differs() {
        let other = |change: fn(&mut Measured)| {
            let mut record = exact(7633);
            change(&mut record);
            let comparison = compare(&exact(7633), &record).unwrap();
            assert!(!comparison.is_identical());
            comparison.to_text(false)
        };
        let text = other(|record| record.host.cpu = "Cortex-A57".to_owned());
        assert!(text.contains("host: CPU  -> Cortex-A57"), "{text}");
        assert!(text.contains("not the only difference") && !text.contains("identical: "), "{text}");
        for (change, due) in [
            ((|r| r.host.kvm_mode = "nVHE".to_owned()) as fn(&mut Measured), "host: KVM mode"),
            (|r| r.host.gic = "GICv2".to_owned(), "host: host GIC"),
            (|r| r.host.cpus = 4, "host: CPUs 0 -> 4"),
            (|r| r.host.cntfrq = 25_000_000, "host: counter 1000000000 Hz -> 25000000 Hz"),
            (|r| r.host.settings = "x".to_owned(), "host: settings"),
            (|r| r.latency[0].scenario.vcpus = 2, "vtimer-spin: vCPUs 1 -> 2"),
            (|r| r.latency[0].scenario.interrupts = 1, "vtimer-spin: interrupts"),
        ] {
            let text = other(change);
            assert!(text.contains(due), "{due} was due in\n{text}");
        }
        let kernel =
            compare(&exact(7633), &Measured { host: Host { kernel: "6.13".into(), ..exact(1).host }, ..exact(7633) });
        assert!(kernel.unwrap().is_identical(), "kernels are what is compared");
    }

    #[test]
    fn instructions_are_not_compared_with_time() {
        assert_eq!(compare(&exact(7633), &noisy(7633, 1)), Err(CompareError::Units));
    }
}
