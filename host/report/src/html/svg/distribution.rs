//! How often each value was seen.

use super::plot::{Anchor, Area, Face, Plot};
use super::ticks;
use vtick_core::figures::thousands;

/// One distribution of several: its colour, its values with their counts, its median.
pub(in crate::html) struct Series<'a> {
    pub(in crate::html) class: usize,
    pub(in crate::html) values: &'a [(u64, u64)],
    pub(in crate::html) p50: u64,
}

/// Distributions over one logarithmic axis; counts are logarithmic too, so that one outlier in ten thousand shows.
pub(in crate::html) fn distribution(title: &str, series: &[Series<'_>], convert: impl Fn(u64) -> u64) -> String {
    const BINS: usize = 90;
    let area = Area { left: 48.0, right: 508.0, top: 24.0, bottom: 150.0 };
    let mut plot = Plot::new("distribution", 520, 180, title);
    let values = || series.iter().flat_map(|s| s.values).map(|&(value, _)| convert(value).max(1) as f64);
    let (low, high) = (values().fold(f64::MAX, f64::min) * 0.85, values().fold(1.0, f64::max) * 1.18);
    let scale = |value: f64| (value.ln() - low.ln()) / (high.ln() - low.ln());
    let x = |value: f64| area.left + scale(value) * (area.right - area.left);
    let bins = |s: &Series<'_>| {
        let mut bins = [0u64; BINS];
        for &(value, count) in s.values {
            let bin = (scale(convert(value).max(1) as f64) * BINS as f64) as usize;
            bins[bin.min(BINS - 1)] += count;
        }
        bins
    };
    let filled: Vec<_> = series.iter().map(|s| (s.class, bins(s))).collect();
    let most = filled.iter().flat_map(|(_, bins)| bins).copied().max().unwrap_or(1) as f64;
    let decades = most.log10().ceil().max(1.0);
    let y = |count: f64| area.bottom - (count.log10() + 0.15) / (decades + 0.15) * (area.bottom - area.top);
    for decade in 0..=decades as i32 {
        let count = 10f64.powi(decade);
        plot.level(&area, y(count));
        if decade % 2 == 0 {
            plot.left_of(&area, y(count), count);
        }
    }
    for value in ticks(low, high) {
        plot.column(&area, x(value));
        plot.below(&area, x(value), value);
    }
    let width = (area.right - area.left) / BINS as f64;
    for (class, bins) in &filled {
        for (bin, &count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (left, top) = (area.left + bin as f64 * width, y(count as f64));
            plot.draw(format_args!(
                r#"<rect class="bar s{class}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"/>"#,
                width.max(2.0),
                area.bottom - top
            ));
        }
    }
    // Medians that are close to each other share what is written of the first.
    for s in series {
        let p50 = convert(s.p50);
        plot.write(Face::Strong, Anchor::Middle, (x(p50.max(1) as f64), area.top - 9.0), &thousands(p50));
    }
    plot.axis(&area);
    plot.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_is_within_the_plot_however_many_values_it_stands_for() {
        let values: Vec<(u64, u64)> = (0..5_000).map(|n| (100_000 + n, 1)).chain([(1_000_000, 1)]).collect();
        let svg = distribution("d", &[Series { class: 0, values: &values, p50: 102_500 }], |ticks| ticks);
        let tops = svg.split("<rect").skip(1).map(|bar| bar.split(" y=\"").nth(1).unwrap().split('"').next().unwrap());
        let tops: Vec<f64> = tops.map(|top| top.parse().unwrap()).collect();
        assert!(tops.len() > 1 && tops.iter().all(|top| *top >= 24.0), "{tops:?}");
    }
}
