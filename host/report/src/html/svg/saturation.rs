//! How many interrupts come of so many ticks.

use super::plot::{Anchor, Area, Face, Plot};
use super::ticks;
use vtick_core::figures::thousands;

/// A periodic timer at several rates, on one interrupt controller.
pub(in crate::html) struct Rates {
    pub(in crate::html) class: usize,
    /// From one tick to the next, and from one interrupt to the next.
    pub(in crate::html) points: Vec<(u64, u64)>,
}

/// Both logarithmic, faster to the right and down: on the dashed line every tick has its interrupt, above it none comes
/// that often.
pub(in crate::html) fn saturation(title: &str, rates: &[Rates], unit: &str) -> String {
    let area = Area { left: 110.0, right: 940.0, top: 12.0, bottom: 250.0 };
    let mut plot = Plot::new("saturation", 1000, 300, title);
    let all = || rates.iter().flat_map(|rates| &rates.points).flat_map(|&(period, interval)| [period, interval]);
    let (low, high) = (all().min().unwrap_or(1).max(1) as f64 * 0.7, all().max().unwrap_or(1).max(1) as f64 * 1.4);
    let share = |value: f64| (value.max(1.0).ln() - low.ln()) / (high.ln() - low.ln());
    let x = |value: f64| area.right - share(value) * (area.right - area.left);
    let y = |value: f64| area.bottom - share(value) * (area.bottom - area.top);
    for value in ticks(low, high) {
        plot.level(&area, y(value));
        plot.column(&area, x(value));
        plot.left_of(&area, y(value), value);
        plot.below(&area, x(value), value);
    }
    let (slow, fast) = (high / 1.4, low / 0.7);
    plot.draw(format_args!(
        r#"<line class="ideal" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
        x(slow),
        y(slow),
        x(fast),
        y(fast)
    ));
    let below = ((area.left + area.right) / 2.0, area.bottom + 40.0);
    plot.write(Face::Plain, Anchor::Middle, below, &format!("a tick every so many {unit}"));
    for Rates { class, points } in rates {
        let mut points = points.clone();
        points.sort_unstable();
        let line =
            points.iter().map(|&(period, interval)| format!("{:.1},{:.1}", x(period as f64), y(interval as f64)));
        let line = line.collect::<Vec<_>>().join(" ");
        plot.draw(format_args!(r#"<polyline class="line s{class}" points="{line}"/>"#));
        for (period, interval) in points {
            plot.draw(format_args!(
                r#"<circle class="fill s{class}" cx="{:.1}" cy="{:.1}" r="4"><title>a tick every {}: an interrupt every {}</title></circle>"#,
                x(period as f64),
                y(interval as f64),
                thousands(period),
                thousands(interval)
            ));
        }
    }
    plot.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_served_lies_on_the_dashed_line_and_one_that_is_not_above_it() {
        let svg = saturation("s", &[Rates { class: 0, points: vec![(100_000, 100_000), (1_000, 20_000)] }], "ticks");
        let attribute = |name: &str| -> Vec<f64> {
            let name = format!(" {name}=\"");
            svg.split(&name).skip(1).map(|part| part.split('"').next().unwrap().parse().unwrap()).collect()
        };
        let (up, ideal_from) = (attribute("cy"), svg.split("class=\"ideal\"").nth(1).unwrap());
        // Sorted by period: the fast one first.
        assert!(ideal_from.contains(&format!("y1=\"{:.1}\"", up[1])), "{svg}");
        let fast: f64 = ideal_from.split(" y2=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert!(up[0] < fast, "{} is above {fast}", up[0]);
    }
}
