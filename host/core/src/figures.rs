//! Numbers as people read them.

/// A number with its thousands apart.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A count that is already written, and its noun, which agrees with it: "1 level", "2 levels", "0.500 levels".
pub fn plural(count: &str, noun: &str) -> String {
    if count == "1" { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A difference, with its sign and its thousands apart.
pub fn signed(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "+" };
    format!("{sign}{}", thousands(n.unsigned_abs()))
}

/// `to` against `from`, in percent of `from`.
pub fn percent(from: u64, to: u64) -> f64 {
    if from == to { 0.0 } else { (to as f64 - from as f64) * 100.0 / from as f64 }
}

/// A bar for each of `cells` parts of a distribution's range, and how many values are in each: what a table of percentiles hides.
/// `values` are in ascending order, with their counts. Empty if all are the same.
pub fn sparkline(values: &[(u64, u64)], cells: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (Some(&(min, _)), Some(&(max, _))) = (values.first(), values.last()) else { return String::new() };
    if min == max {
        return String::new();
    }
    // Logarithmic both ways: an outlier in ten thousand, ten times as far out, is what one looks for.
    let log = |value: u64| (value.max(1) as f64).ln();
    let width = (log(max) - log(min)).max(f64::MIN_POSITIVE);
    let mut counts = vec![0u64; cells];
    for &(value, count) in values {
        let cell = ((log(value) - log(min)) / width * cells as f64) as usize;
        counts[cell.min(cells - 1)] += count;
    }
    let top = counts.iter().copied().max().unwrap_or(0);
    let scale = |count: u64| (log(count) / log(top).max(1.0) * 7.0).round() as usize;
    counts.into_iter().map(|count| if count == 0 { ' ' } else { BARS[scale(count).min(7)] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart_from_the_right() {
        assert_eq!([7, 999, 1000, 1_234_567].map(thousands), ["7", "999", "1,000", "1,234,567"]);
        assert_eq!([-1500, 0, 20].map(signed), ["-1,500", "+0", "+20"]);
    }

    #[test]
    fn a_noun_agrees_with_its_count() {
        assert_eq!(
            ["1", "2", "0", "1.002"].map(|n| plural(n, "level")),
            ["1 level", "2 levels", "0 levels", "1.002 levels"]
        );
    }

    #[test]
    fn a_sparkline_shows_one_outlier_among_thousands_and_nothing_where_all_is_one_value() {
        assert_eq!(sparkline(&[(7277, 10_000)], 8), "");
        let line: Vec<char> = sparkline(&[(7277, 10_000), (90_000, 1)], 8).chars().collect();
        assert_eq!((line.len(), line[0], line[7]), (8, '█', '▁'));
        assert!(line[1..7].iter().all(|c| *c == ' '));
    }
}
