//! Hop behind hop.

use std::fmt::Write;

use super::{escape, open};
use crate::figures::thousands;
use crate::latency::Hop;

/// One bar of a waterfall: its name, and what each hop takes.
pub(in crate::report::html) struct Bar {
    pub(in crate::report::html) name: String,
    pub(in crate::report::html) hops: Vec<(Hop, u64)>,
}

/// The ways of interrupts, hop behind hop from the deadline on, one bar under the other.
pub(in crate::report::html) fn waterfall(title: &str, bars: &[Bar], unit: &str) -> String {
    let height = 30 * bars.len() as u32 + 26;
    let mut svg = open("waterfall", 1000, height, title);
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
            // A figure that fits stands in its hop.
            if width > label.len() as f64 * 7.0 + 8.0 {
                let _ = write!(
                    svg,
                    r#"<text class="in h{}" x="{:.1}" y="{:.0}" text-anchor="middle">{label}</text>"#,
                    hop as usize,
                    at + width / 2.0,
                    top + 15.0
                );
            }
            at += width;
        }
        let label = thousands(whole(bar));
        let _ = write!(svg, r#"<text class="strong" x="{:.1}" y="{:.0}">{label}</text>"#, at + 8.0, top + 15.0);
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waterfall_is_as_long_as_its_hops_together() {
        let bar = Bar { name: "user".to_owned(), hops: vec![(Hop::Returned, 2500), (Hop::Raised, 1500)] };
        let svg = waterfall("w", &[bar], "instructions");
        // 720 units wide, shared 5 to 3.
        assert!(svg.contains(r#"width="450.0""#) && svg.contains(r#"width="270.0""#), "{svg}");
        assert!(svg.contains(">4,000</text>"), "{svg}");
    }
}
