//! What can be said of noisy figures: of distributions with their counts, without the order they came in.

use crate::latency::Summary;

/// The odds, two-sided, that `x` and `y` are drawn from one distribution: Mann-Whitney's U, by its normal approximation
/// with the correction for ties.
pub(super) fn mann_whitney(x: &Summary, y: &Summary) -> f64 {
    let mut all: Vec<(u64, u64, u64)> = x.values.iter().map(|&(value, n)| (value, n, 0)).collect();
    all.extend(y.values.iter().map(|&(value, n)| (value, 0, n)));
    all.sort_unstable_by_key(|(value, ..)| *value);
    let (nx, ny) = (x.count as f64, y.count as f64);
    let n = nx + ny;
    let (mut below, mut ranks, mut ties) = (0.0, 0.0, 0.0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let in_x: u64 = group.iter().map(|(_, n, _)| n).sum();
        let size = group.iter().map(|(_, x, y)| x + y).sum::<u64>() as f64;
        ranks += in_x as f64 * (below + (size + 1.0) / 2.0);
        ties += size * size * size - size;
        below += size;
    }
    let u = ranks - nx * (nx + 1.0) / 2.0;
    let variance = nx * ny / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let z = ((u - nx * ny / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    2.0 * upper_tail(z)
}

/// Area of the normal distribution beyond `z` (Abramowitz and Stegun 26.2.17; error below 7.5e-8).
fn upper_tail(z: f64) -> f64 {
    const B: [f64; 5] = [0.319_381_53, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial = B.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial
}

/// An interval that holds the median in 95 of 100 cases, whatever the distribution: by its rank in the sample.
pub(super) fn median_interval(summary: &Summary) -> (u64, u64) {
    let n = summary.count as f64;
    let spread = 1.96 * n.sqrt() / 2.0;
    let rank = |rank: f64| {
        let rank = rank.clamp(1.0, n) as u64;
        let mut below = 0;
        let found = summary.values.iter().find(|(_, count)| {
            below += count;
            below >= rank
        });
        found.map_or(summary.max, |(value, _)| *value)
    };
    (rank((n / 2.0 - spread).floor()), rank((n / 2.0 + spread).ceil() + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Distribution;

    fn summary(values: impl Iterator<Item = u64>) -> Summary {
        let mut distribution = Distribution::default();
        values.for_each(|value| distribution.record(value));
        distribution.summary().unwrap()
    }

    #[test]
    fn the_odds_of_a_known_sample_are_what_the_textbook_says() {
        // x = 1..=10, y = 6..=15, five ties: U = 12.5, variance 100 / 12 * (21 - 30 / 380) = 174.34, so z = 37 / 13.204 =
        // 2.802, and p = 0.00508.
        let p = mann_whitney(&summary(1..=10), &summary(6..=15));
        assert!((p - 0.00508).abs() < 0.00001, "{p}");
        assert!(mann_whitney(&summary(1..=10), &summary(1..=10)) > 0.99);
    }

    #[test]
    fn the_interval_of_a_median_is_that_of_its_ranks() {
        // Of 100 values: ranks 50 - 9.8 and 50 + 9.8 + 1.
        assert_eq!(median_interval(&summary(1..=100)), (40, 61));
        assert_eq!(median_interval(&summary(std::iter::repeat_n(7, 5))), (7, 7));
    }
}
