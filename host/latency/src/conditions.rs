//! Whether a machine was quiet enough for what was measured on it to mean something.

use serde::{Deserialize, Serialize};

use super::distribution::Summary;

/// What disturbed the vCPUs' threads during a measurement, warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Conditions {
    /// Times that another thread took the CPU (getrusage: ru_nivcsw).
    pub involuntary_switches: u64,
    /// Time they were ready to run and did not, in nanoseconds (/proc/thread-self/schedstat); `None`: the kernel does not
    /// say.
    pub run_delay: Option<u64>,
    /// Time from their start to their end, in nanoseconds, added up.
    pub elapsed: u64,
    /// The CPUs they were pinned to; empty: they were not.
    pub pinned: Vec<usize>,
    /// Resident memory of the runner in KiB: when the warm-up was over, halfway, and at the end.
    pub memory: Vec<u64>,
}

/// The CPU, of those that are `allowed`, for the `index`th of `threads` vCPUs: one for each, from the last one down,
/// because a host's own interrupts go to its first CPUs; where there are too few, one for as few as possible. `None`:
/// there is no choice.
pub fn place(allowed: &[usize], index: usize, threads: usize) -> Option<usize> {
    let cpus = allowed.len();
    if cpus < 2 {
        return None;
    }
    allowed.get((cpus.saturating_sub(threads) + index) % cpus).copied()
}

/// What figures are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fitness {
    /// The host is deterministic: the same digits every time.
    Exact,
    /// Nothing speaks against them.
    Fit,
    /// The machine was disturbed: medians may serve, the tail does not.
    Noisy,
    /// Too few values, or too scattered, to say anything.
    Inconclusive,
}

impl std::fmt::Display for Fitness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fitness::Exact => "exact",
            Fitness::Fit => "fit",
            Fitness::Noisy => "noisy",
            Fitness::Inconclusive => "inconclusive",
        })
    }
}

/// Values below which percentiles say nothing.
const FEW: u64 = 100;

impl Conditions {
    /// Adds those of another thread.
    pub fn merge(&mut self, other: Conditions) {
        self.involuntary_switches += other.involuntary_switches;
        self.run_delay =
            self.run_delay.or(other.run_delay).map(|_| self.run_delay.unwrap_or(0) + other.run_delay.unwrap_or(0));
        self.elapsed += other.elapsed;
        self.pinned.extend(other.pinned);
        self.memory.extend(other.memory);
    }

    /// What `figures`, measured under these conditions, are worth; and what speaks for it.
    pub fn judge(&self, deterministic: bool, figures: &Summary) -> (Fitness, Vec<String>) {
        if deterministic {
            return (Fitness::Exact, Vec::new());
        }
        let mut evidence = Vec::new();
        let Summary { count, p50, p90, .. } = *figures;
        let scatter = p90.saturating_sub(p50) as f64 * 100.0 / p50.max(1) as f64;
        if count < FEW {
            evidence.push(format!("{count} values: fewer than {FEW}"));
        }
        if scatter > 100.0 {
            evidence.push(format!("the 90th percentile is {scatter:.0} % above the median"));
        }
        if !evidence.is_empty() {
            return (Fitness::Inconclusive, evidence);
        }
        if self.involuntary_switches * 100 > count {
            evidence.push(format!("{} involuntary switches in {count} interrupts", self.involuntary_switches));
        }
        let delayed = self.run_delay.unwrap_or(0) as f64 * 100.0 / self.elapsed.max(1) as f64;
        if delayed > 1.0 {
            evidence.push(format!("ready to run and not running for {delayed:.1} % of the time"));
        }
        if scatter > 25.0 {
            evidence.push(format!("the 90th percentile is {scatter:.0} % above the median"));
        }
        let fitness = if evidence.is_empty() { Fitness::Fit } else { Fitness::Noisy };
        if self.run_delay.is_none() {
            evidence.push("the kernel keeps no run delay (CONFIG_SCHED_INFO)".to_owned());
        }
        if self.pinned.is_empty() {
            evidence.push("the vCPUs' threads were not pinned".to_owned());
        }
        (fitness, evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Distribution;

    const QUIET: Conditions = Conditions {
        involuntary_switches: 3,
        run_delay: Some(1_000_000),
        elapsed: 1_000_000_000,
        pinned: Vec::new(),
        memory: Vec::new(),
    };

    fn figures(count: u64, tenth: u64) -> Summary {
        let mut distribution = Distribution::default();
        (0..count).for_each(|n| distribution.record(if n % 8 == 7 { tenth } else { 7000 }));
        distribution.summary().unwrap()
    }

    #[test]
    fn a_quiet_machine_is_fit_and_one_where_others_run_is_noisy() {
        assert_eq!(QUIET.judge(false, &figures(1000, 7100)).0, Fitness::Fit);
        let switched = Conditions { involuntary_switches: 11, ..QUIET };
        assert_eq!(switched.judge(false, &figures(1000, 7100)).0, Fitness::Noisy);
        let delayed = Conditions { run_delay: Some(20_000_000), ..QUIET };
        assert_eq!(delayed.judge(false, &figures(1000, 7100)).0, Fitness::Noisy);
        assert_eq!(QUIET.judge(false, &figures(1000, 9000)).0, Fitness::Noisy);
    }

    #[test]
    fn each_vcpu_has_a_cpu_of_its_own_and_shares_one_only_where_there_are_too_few() {
        let places = |allowed: &[usize], threads| (0..threads).map(|n| place(allowed, n, threads)).collect::<Vec<_>>();
        assert_eq!(places(&[0, 1, 4, 5], 1), [Some(5)]);
        assert_eq!(places(&[0, 1, 4, 5], 2), [Some(4), Some(5)]);
        assert_eq!(places(&[0, 1, 4, 5], 4), [Some(0), Some(1), Some(4), Some(5)]);
        assert_eq!(places(&[2, 3], 4), [Some(2), Some(3), Some(2), Some(3)]);
        assert_eq!(places(&[3], 2), [None, None], "on one CPU there is nothing to pin to");
    }

    #[test]
    fn few_or_scattered_values_say_nothing() {
        assert_eq!(QUIET.judge(false, &figures(99, 7000)).0, Fitness::Inconclusive);
        let (fitness, evidence) = QUIET.judge(false, &figures(1000, 15_000));
        assert_eq!((fitness, evidence.len()), (Fitness::Inconclusive, 1));
    }

    #[test]
    fn a_deterministic_host_is_exact_whatever_happens_on_it() {
        let disturbed = Conditions { involuntary_switches: 500, ..QUIET };
        assert_eq!(disturbed.judge(true, &figures(10, 90_000)), (Fitness::Exact, Vec::new()));
    }
}
