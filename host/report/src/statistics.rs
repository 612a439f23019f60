//! What can be said of noisy figures: of distributions with their counts, without the order they came in.

use vtick_latency::Summary;

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

    fn summary(values: impl Iterator<Item = u64>) -> Summary {
        let mut sorted: Vec<u64> = values.collect();
        sorted.sort_unstable();
        let rank = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        Summary {
            count: sorted.len() as u64,
            min: rank(0.0),
            p50: rank(0.5),
            p90: rank(0.9),
            p99: rank(0.99),
            p99_9: rank(0.999),
            max: rank(1.0),
            values: sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect(),
        }
    }

    #[test]
    fn the_odds_of_a_known_sample_are_what_the_textbook_says() {
        // x = 1..=10, y = 6..=15, five ties: U = 12.5, variance 100 / 12 * (21 - 30 / 380) = 174.34, so z = 37 / 13.204 =
        // 2.802, and p = 0.00508.
        let p = mann_whitney(&summary(1..=10), &summary(6..=15));
        assert!((p - 0.00508).abs() < 0.00001, "{p}");
        assert!(mann_whitney(&summary(1..=10), &summary(1..=10)) > 0.99);
    }

    /// A thousand latencies around `centre` as silicon scatters them: a core that is a tenth wide, and one in twenty that
    /// something disturbed. Each seed has its own, the same every time.
    fn latencies(centre: u64, seed: u64) -> Summary {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = move |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let one = move || match random(20) {
            0 => centre + random(100_000),
            _ => centre + random(centre / 20) + random(centre / 20),
        };
        summary(std::iter::repeat_with(one).take(1000))
    }

    /// How many of 200 pairs, one around 7,000 and one around `centre`, are found to differ with odds below 1 %.
    fn found_to_differ(centre: u64) -> usize {
        (0..200).filter(|n| mann_whitney(&latencies(7000, 2 * n + 1), &latencies(centre, 2 * n + 2)) < 0.01).count()
    }

    #[test]
    fn of_two_hundred_pairs_of_equal_noise_one_in_a_hundred_is_found_to_differ() {
        // Two are due; more than six would be a chance of one in two hundred.
        let differ = found_to_differ(7000);
        assert!(differ <= 6, "{differ} of 200");
    }

    #[test]
    fn a_slowdown_of_one_percent_is_found_in_noise_of_ten_nearly_always() {
        let found = found_to_differ(7070);
        assert!(found >= 195, "{found} of 200");
    }

    #[test]
    fn an_interval_of_a_median_holds_it_in_ninety_five_of_a_hundred_cases() {
        let median = latencies_median();
        let holds = (0..200).filter(|&n| {
            let (low, high) = median_interval(&latencies(7000, n));
            (low..=high).contains(&median)
        });
        let holds = holds.count();
        assert!((183..=199).contains(&holds), "{holds} of 200");
    }

    /// The median of all that [`latencies`] draws from.
    fn latencies_median() -> u64 {
        let some = (1000..1200).flat_map(|seed| latencies(7000, seed).values);
        summary(some.flat_map(|(value, count)| std::iter::repeat_n(value, count as usize))).p50
    }

    #[test]
    fn the_interval_of_a_median_is_that_of_its_ranks() {
        // Of 100 values: ranks 50 - 9.8 and 50 + 9.8 + 1.
        assert_eq!(median_interval(&summary(1..=100)), (40, 61));
        assert_eq!(median_interval(&summary(std::iter::repeat_n(7, 5))), (7, 7));
    }
}
