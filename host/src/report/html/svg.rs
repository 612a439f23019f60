//! The plots: SVG, drawn with the page's colours, no scripts.

use std::fmt::Write;

use super::escape;
use crate::latency::Hop;
use crate::report::figures::thousands;

/// Where marks are placed: a plot's inner area in user units.
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

fn open(width: u32, height: u32, title: &str) -> String {
    let title = escape(title);
    format!(r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}"><title>{title}</title>"#)
}

/// One distribution of several: its colour, its values with their counts, its median.
pub(super) struct Series<'a> {
    pub(super) class: usize,
    pub(super) values: &'a [(u64, u64)],
    pub(super) p50: u64,
}

/// Distributions over one logarithmic axis; counts are logarithmic too, so that one outlier in ten thousand shows.
pub(super) fn distribution(title: &str, series: &[Series<'_>], convert: impl Fn(u64) -> u64) -> String {
    const BINS: usize = 90;
    let area = Area { left: 48.0, right: 508.0, top: 24.0, bottom: 150.0 };
    let mut svg = open(520, 180, title);
    let values = || series.iter().flat_map(|s| s.values).map(|&(value, _)| convert(value).max(1) as f64);
    let (low, high) = (values().fold(f64::MAX, f64::min) * 0.85, values().fold(1.0, f64::max) * 1.18);
    let scale = |value: f64| (value.ln() - low.ln()) / (high.ln() - low.ln());
    let x = |value: f64| area.left + scale(value) * (area.right - area.left);
    let most = series.iter().flat_map(|s| s.values).map(|&(_, count)| count).max().unwrap_or(1) as f64;
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
    for s in series {
        let mut bins = [0u64; BINS];
        for &(value, count) in s.values {
            let bin = (scale(convert(value).max(1) as f64) * BINS as f64) as usize;
            bins[bin.min(BINS - 1)] += count;
        }
        for (bin, &count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (left, top) = (area.left + bin as f64 * width, y(count as f64));
            let _ = write!(
                svg,
                r#"<rect class="bar s{}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"/>"#,
                s.class,
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

/// Round numbers between two, a few of them, for a logarithmic axis.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let steps: &[f64] = match high / low {
        r if r > 300.0 => &[1.0],
        r if r > 8.0 => &[1.0, 2.0, 5.0],
        r if r > 2.5 => &[1.0, 2.0, 3.0, 5.0, 7.0],
        _ => &[1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    };
    let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
    all.filter(|tick| (low..=high).contains(tick)).collect()
}

/// One bar of a waterfall: its name, and what each hop takes.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) hops: Vec<(Hop, u64)>,
}

/// The ways of interrupts, hop behind hop from the deadline on, one bar under the other.
pub(super) fn waterfall(title: &str, bars: &[Bar], unit: &str) -> String {
    let height = 30 * bars.len() as u32 + 26;
    let mut svg = open(1000, height, title);
    let (left, right) = (210.0, 930.0);
    let whole = |bar: &Bar| bar.hops.iter().map(|(_, ticks)| ticks).sum::<u64>();
    let longest = bars.iter().map(whole).max().unwrap_or(1).max(1) as f64;
    let scale = (right - left) / longest;
    let step = [500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 50_000.0, 100_000.0, 1_000_000.0];
    let step = step.into_iter().find(|step| longest / step <= 8.0).unwrap_or(longest);
    let bottom = f64::from(height) - 22.0;
    for n in 0..=(longest / step) as u32 {
        let at = left + f64::from(n) * step * scale;
        let label = thousands((f64::from(n) * step) as u64);
        let _ = write!(svg, r#"<line class="grid-line" x1="{at:.1}" x2="{at:.1}" y1="0" y2="{bottom:.0}"/>"#);
        let _ = write!(svg, r#"<text x="{at:.1}" y="{:.0}" text-anchor="middle">{label}</text>"#, bottom + 16.0);
    }
    for (row, bar) in bars.iter().enumerate() {
        let top = row as f64 * 30.0 + 4.0;
        let name = escape(&bar.name);
        let _ = write!(
            svg,
            r#"<text class="strong" x="{:.0}" y="{:.0}" text-anchor="end">{name}</text>"#,
            left - 10.0,
            top + 15.0
        );
        let mut at = left;
        for &(hop, ticks) in &bar.hops {
            let width = ticks as f64 * scale;
            let label = thousands(ticks);
            let _ = write!(
                svg,
                r#"<rect class="fill h{}" x="{at:.1}" y="{top:.0}" width="{:.1}" height="22"><title>{}: {label} {unit}</title></rect>"#,
                hop as usize,
                width.max(0.5),
                hop.label()
            );
            at += width;
        }
        let label = thousands(whole(bar));
        let _ = write!(svg, r#"<text class="strong" x="{:.1}" y="{:.0}">{label}</text>"#, at + 8.0, top + 15.0);
    }
    svg + "</svg>"
}

/// A line of a plot over kernels: its name, and a value for each kernel that has one.
pub(super) struct Trend {
    pub(super) name: String,
    pub(super) values: Vec<Option<u64>>,
    /// Its colour.
    pub(super) class: usize,
    pub(super) dashed: bool,
    /// Its figures stand below the line, where another line's stand above.
    pub(super) below: bool,
}

/// Cost over kernels.
pub(super) fn trends(title: &str, kernels: &[&str], trends: &[Trend]) -> String {
    let area = Area { left: 64.0, right: 960.0, top: 14.0, bottom: 256.0 };
    let mut svg = open(1000, 290, title);
    let most = trends.iter().flat_map(|t| &t.values).flatten().copied().max().unwrap_or(1).max(1) as f64 * 1.08;
    let y = |value: f64| area.bottom - value / most * (area.bottom - area.top);
    let gap = (area.right - area.left) / kernels.len() as f64;
    let x = |index: usize| area.left + (index as f64 + 0.5) * gap;
    let step =
        [500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 50_000.0].into_iter().find(|step| most / step <= 7.0).unwrap_or(most);
    for n in 0..=(most / step) as u32 {
        let (at, label) = (y(f64::from(n) * step), thousands((f64::from(n) * step) as u64));
        let _ = write!(
            svg,
            r#"<line class="grid-line" x1="{:.0}" x2="{:.0}" y1="{at:.1}" y2="{at:.1}"/>"#,
            area.left, area.right
        );
        let _ = write!(svg, r#"<text x="{:.0}" y="{:.1}" text-anchor="end">{label}</text>"#, area.left - 8.0, at + 4.0);
    }
    for (index, kernel) in kernels.iter().enumerate() {
        let _ = write!(
            svg,
            r#"<text class="strong" x="{:.1}" y="{:.0}" text-anchor="middle">{}</text>"#,
            x(index),
            area.bottom + 20.0,
            escape(kernel)
        );
    }
    for trend in trends {
        let class = trend.class;
        let dash = if trend.dashed { r#" stroke-dasharray="6 4""# } else { "" };
        let known: Vec<_> = trend.values.iter().enumerate().filter_map(|(n, value)| Some((x(n), (*value)?))).collect();
        let points = known.iter().map(|&(at, value)| format!("{at:.1},{:.1}", y(value as f64))).collect::<Vec<_>>();
        let _ = write!(svg, r#"<polyline class="line s{class}"{dash} points="{}"/>"#, points.join(" "));
        for (at, value) in known {
            let (above, label, name) = (y(value as f64), thousands(value), escape(&trend.name));
            let _ = write!(
                svg,
                r#"<circle class="fill s{class}" cx="{at:.1}" cy="{above:.1}" r="4"><title>{name}: {label}</title></circle>"#
            );
            let _ = write!(
                svg,
                r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
                if trend.below { above + 17.0 } else { above - 8.0 }
            );
        }
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_within_the_range_and_few() {
        for (low, high) in [(6000.0, 20_000.0), (7000.0, 9000.0), (10.0, 1e7), (900.0, 1100.0)] {
            let ticks = ticks(low, high);
            assert!((1..=9).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (low..=high).contains(tick)), "{low} to {high}: {ticks:?}");
        }
    }

    #[test]
    fn a_waterfall_is_as_long_as_its_hops_together() {
        let bar = Bar { name: "user".to_owned(), hops: vec![(Hop::Returned, 2500), (Hop::Raised, 1500)] };
        let svg = waterfall("w", &[bar], "instructions");
        // 720 units wide, shared 5 to 3.
        assert!(svg.contains(r#"width="450.0""#) && svg.contains(r#"width="270.0""#), "{svg}");
        assert!(svg.contains(">4,000</text>"), "{svg}");
    }
}
