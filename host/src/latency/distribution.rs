//! A distribution of latencies in ticks: exact below 131,072 ticks and to five digits above, in constant memory.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Significant decimal digits kept: below 2^17 every value has a bucket of its own.
const DIGITS: u8 = 5;

/// Wider than any measurement; what is larger counts as this. It bounds the memory a distribution can take.
const WIDEST: u64 = 1 << 40;

/// Values seen so far.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
    // Kept apart: a histogram knows its ends only as buckets.
    min: u64,
    max: u64,
}

impl Default for Distribution {
    fn default() -> Distribution {
        Distribution { histogram: Histogram::new(DIGITS).expect("0 to 5 digits are valid"), min: u64::MAX, max: 0 }
    }
}

/// What a report says of a distribution. All in ticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of values.
    pub count: u64,
    /// Smallest.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p99_9: u64,
    /// Largest.
    pub max: u64,
    /// The whole of it: value and how often, in ascending order.
    pub values: Vec<(u64, u64)>,
}

impl Distribution {
    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        // Not `saturating_record`: that clamps to the range so far instead of widening it.
        self.histogram.record(value.min(WIDEST)).expect("a histogram that widens takes this in");
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds all values of another.
    pub fn merge(&mut self, other: &Distribution) {
        self.histogram.add(&other.histogram).expect("a histogram that grows takes any value in");
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// What there is to say; `None` without values.
    pub fn summary(&self) -> Option<Summary> {
        let count = self.histogram.len();
        if count == 0 {
            return None;
        }
        // As quantiles: 99.9 / 100 is a little more than 0.999, and would be the next value up.
        let quantile = |q| self.histogram.value_at_quantile(q).clamp(self.min, self.max);
        Some(Summary {
            count,
            min: self.min,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            max: self.max,
            values: self.histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_recorded_not_neighbours_of_them() {
        let mut distribution = Distribution::default();
        (1..=1000).for_each(|n| distribution.record(100_000 + n));
        let s = distribution.summary().unwrap();
        assert_eq!(
            (s.count, s.min, s.p50, s.p90, s.p99, s.p99_9, s.max),
            (1000, 100_001, 100_500, 100_900, 100_990, 100_999, 101_000)
        );
        assert_eq!(s.values.len(), 1000);
    }

    #[test]
    fn one_outlier_among_a_thousand_shows_in_the_maximum_alone() {
        let mut distribution = Distribution::default();
        (0..999).for_each(|_| distribution.record(7_277));
        distribution.record(5_000_000);
        let s = distribution.summary().unwrap();
        assert_eq!((s.p50, s.p99_9, s.max), (7_277, 7_277, 5_000_000));
        assert_eq!(s.values[0], (7_277, 999));
        let (outlier, count) = s.values[1];
        assert!(count == 1 && outlier.abs_diff(5_000_000) < 50, "five digits of 5,000,000: {outlier}");
    }

    #[test]
    fn nothing_recorded_is_not_zero() {
        assert_eq!(Distribution::default().summary(), None);
    }
}
