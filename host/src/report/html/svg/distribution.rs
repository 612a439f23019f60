//! How often each value was seen.

use std::fmt::Write;

use super::{Area, open, ticks};
use crate::figures::thousands;

/// One distribution of several: its colour, its values with their counts, its median.
pub(in crate::report::html) struct Series<'a> {
    pub(in crate::report::html) class: usize,
    pub(in crate::report::html) values: &'a [(u64, u64)],
    pub(in crate::report::html) p50: u64,
}

/// Distributions over one logarithmic axis; counts are logarithmic too, so that one outlier in ten thousand shows.
pub(in crate::report::html) fn distribution(
    title: &str,
    series: &[Series<'_>],
    convert: impl Fn(u64) -> u64,
) -> String {
    const BINS: usize = 90;
    let area = Area { left: 48.0, right: 508.0, top: 24.0, bottom: 150.0 };
    let mut svg = open("distribution", 520, 180, title);
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
        let (at, label) = (y(10f64.powi(decade)), thousands(10u64.pow(decade as u32)));
        let _ = write!(
            svg,
            r#"<line class="grid-line" x1="{:.0}" x2="{:.0}" y1="{at:.1}" y2="{at:.1}"/>"#,
            area.left, area.right
        );
        if decade % 2 == 0 {
            let _ =
                write!(svg, r#"<text x="{:.0}" y="{:.1}" text-anchor="end">{label}</text>"#, area.left - 5.0, at + 4.0);
        }
    }
    for value in ticks(low, high) {
        let at = x(value);
        let _ = write!(
            svg,
            r#"<line class="grid-line" x1="{at:.1}" x2="{at:.1}" y1="{:.0}" y2="{:.0}"/>"#,
            area.top, area.bottom
        );
        let label = thousands(value as u64);
        let _ = write!(svg, r#"<text x="{at:.1}" y="{:.0}" text-anchor="middle">{label}</text>"#, area.bottom + 17.0);
    }
    let width = (area.right - area.left) / BINS as f64;
    for (class, bins) in &filled {
        for (bin, &count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (left, top) = (area.left + bin as f64 * width, y(count as f64));
            let _ = write!(
                svg,
                r#"<rect class="bar s{class}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"/>"#,
                width.max(2.0),
                area.bottom - top
            );
        }
    }
    // The medians, written above their marks unless another one is already there.
    let mut taken: Vec<f64> = Vec::new();
    for s in series {
        let at = x(convert(s.p50).max(1) as f64);
        if taken.iter().all(|other| (other - at).abs() > 48.0) {
            let label = thousands(convert(s.p50));
            let _ = write!(
                svg,
                r#"<text class="strong" x="{at:.1}" y="{:.0}" text-anchor="middle">{label}</text>"#,
                area.top - 9.0
            );
            taken.push(at);
        }
    }
    let _ = write!(
        svg,
        r#"<line class="axis" x1="{:.0}" x2="{:.0}" y1="{:.0}" y2="{:.0}"/></svg>"#,
        area.left, area.right, area.bottom, area.bottom
    );
    svg
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
