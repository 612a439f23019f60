//! A distribution of latencies in ticks: exact below 32,768 ticks and to four digits above, in constant memory.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};

/// Significant decimal digits kept: below 2^15 every value has a bucket of its own.
const DIGITS: u8 = 4;

/// Wider than any measurement; what is larger counts as this.
const WIDEST: u64 = 1 << 40;

/// Values seen so far.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u32>,
    // Kept apart: a histogram knows its ends only as buckets.
    min: u64,
    max: u64,
}

impl Default for Distribution {
    fn default() -> Distribution {
        let histogram = Histogram::new_with_bounds(1, WIDEST, DIGITS).expect("0 to 5 digits are valid");
        // A copy: all of it has its pages, and none is asked for in the middle of a measurement.
        Distribution { histogram: histogram.clone(), min: u64::MAX, max: 0 }
    }
}

/// What a report says of a distribution. All in ticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// The whole of it: value and how often, in ascending order. In a record: base64 of HdrHistogram's compressed V2
    /// encoding, which its libraries read in any language.
    #[serde(rename = "histogram", serialize_with = "encode", deserialize_with = "decode")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("contentEncoding" = "base64")))]
    pub values: Vec<(u64, u64)>,
}

fn encode<S: serde::Serializer>(values: &[(u64, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut histogram = Histogram::<u64>::new(DIGITS).expect("0 to 5 digits are valid");
    for &(value, count) in values {
        histogram.record_n(value, count).map_err(serde::ser::Error::custom)?;
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

fn decode<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(u64, u64)>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let broken = |_| serde::de::Error::custom("cannot decode a histogram");
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| broken(()))?;
    let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).map_err(|_| broken(()))?;
    Ok(recorded(&histogram))
}

fn recorded<C: Counter>(histogram: &Histogram<C>) -> Vec<(u64, u64)> {
    histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value().as_u64())).collect()
}

impl Distribution {
    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        self.histogram.saturating_record(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Bytes that it takes.
    pub fn room(&self) -> usize {
        self.histogram.distinct_values() * size_of::<u32>()
    }

    /// Adds all values of another.
    pub fn merge(&mut self, other: &Distribution) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
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
            values: recorded(&self.histogram),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_recorded_not_neighbours_of_them() {
        let mut distribution = Distribution::default();
        (1..=1000).for_each(|n| distribution.record(30_000 + n));
        let s = distribution.summary().unwrap();
        assert_eq!(
            (s.count, s.min, s.p50, s.p90, s.p99, s.p99_9, s.max),
            (1000, 30_001, 30_500, 30_900, 30_990, 30_999, 31_000)
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
        assert!(count == 1 && outlier.abs_diff(5_000_000) < 500, "four digits of 5,000,000: {outlier}");
    }

    #[test]
    fn a_record_gives_back_the_whole_distribution_in_hdrhistograms_own_encoding() {
        let mut distribution = Distribution::default();
        [7_277, 7_277, 131_071, 5_000_000, 1 << 40].into_iter().for_each(|value| distribution.record(value));
        let summary = distribution.summary().unwrap();
        let json = serde_json::to_string(&summary).unwrap();
        assert!(json.contains(r#""histogram":"HISTFAAA"#), "{json}");
        assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
        let broken = serde_json::from_str::<Summary>(&json.replace("HISTFAAA", "LISTFAAA")).unwrap_err();
        assert!(broken.to_string().contains("cannot decode a histogram"), "{broken}");
    }

    #[test]
    fn a_distribution_takes_the_same_memory_from_the_first_value_to_the_last_and_the_widest() {
        let mut distribution = Distribution::default();
        let room = distribution.room();
        assert!(room < 2 << 20, "{room} bytes");
        (0..1_000_000).for_each(|n| distribution.record(n * 7_919));
        distribution.record(u64::MAX);
        assert_eq!((distribution.room(), distribution.summary().unwrap().count), (room, 1_000_001));
    }

    #[test]
    fn nothing_recorded_is_not_zero() {
        assert_eq!(Distribution::default().summary(), None);
    }
}
