//! Hop behind hop.

use super::escape;
use super::plot::{Anchor, Area, Face, Plot, cut};
use vtick_core::figures::thousands;
use vtick_latency::Hop;

/// One bar of a waterfall: its name, and what each hop takes.
pub(in crate::html) struct Bar {
    pub(in crate::html) name: String,
    pub(in crate::html) hops: Vec<(Hop, u64)>,
}

/// The ways of interrupts, hop behind hop from the deadline on, one bar under the other.
pub(in crate::html) fn waterfall(title: &str, bars: &[Bar], unit: &str) -> String {
    let height = 30 * bars.len() as u32 + 26;
    let mut plot = Plot::new("waterfall", 1000, height, title);
    let area = Area { left: 210.0, right: 920.0, top: 0.0, bottom: f64::from(height) - 22.0 };
    let whole = |bar: &Bar| bar.hops.iter().map(|(_, ticks)| ticks).sum::<u64>();
    let longest = bars.iter().map(whole).max().unwrap_or(1).max(1) as f64;
    let scale = (area.right - area.left) / longest;
    let step = [500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 50_000.0, 100_000.0, 1_000_000.0];
    let step = step.into_iter().find(|step| longest / step <= 8.0).unwrap_or(longest);
    for n in 0..=(longest / step) as u32 {
        let value = f64::from(n) * step;
        plot.column(&area, area.left + value * scale);
        plot.below(&area, area.left + value * scale, value);
    }
    for (row, bar) in bars.iter().enumerate() {
        let top = row as f64 * 30.0 + 4.0;
        let name = cut(Face::Strong, &bar.name, area.left - 14.0);
        plot.write(Face::Strong, Anchor::End, (area.left - 10.0, top + 15.0), &name);
        let mut at = area.left;
        for &(hop, ticks) in &bar.hops {
            let width = ticks as f64 * scale;
            let label = thousands(ticks);
            plot.draw(format_args!(
                r#"<rect class="fill h{}" x="{at:.1}" y="{top:.0}" width="{:.1}" height="22"><title>{}, {}: {label} {unit}</title></rect>"#,
                hop as usize,
                width.max(0.5),
                escape(&bar.name),
                hop.label()
            ));
            // A figure that fits stands in its hop.
            if width > label.len() as f64 * 7.0 + 8.0 {
                plot.draw(format_args!(
                    r#"<text class="in h{}" x="{:.1}" y="{:.0}" text-anchor="middle">{label}</text>"#,
                    hop as usize,
                    at + width / 2.0,
                    top + 15.0
                ));
            }
            at += width;
        }
        plot.write(Face::Strong, Anchor::Start, (at + 8.0, top + 15.0), &thousands(whole(bar)));
    }
    plot.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waterfall_is_as_long_as_its_hops_together() {
        let bar = Bar { name: "user".to_owned(), hops: vec![(Hop::Returned, 2500), (Hop::Raised, 1500)] };
        let svg = waterfall("w", &[bar], "instructions");
        // 710 units wide, shared 5 to 3.
        assert!(svg.contains(r#"width="443.8""#) && svg.contains(r#"width="266.2""#), "{svg}");
        assert!(svg.contains(">4,000</text>"), "{svg}");
    }
}
