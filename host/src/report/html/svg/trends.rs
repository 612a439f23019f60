//! Cost over kernels.

use std::fmt::Write;

use super::{Area, escape, open};
use crate::figures::thousands;

/// A line of a plot over kernels: its name, and a value for each kernel that has one.
pub(in crate::report::html) struct Trend {
    pub(in crate::report::html) name: String,
    pub(in crate::report::html) values: Vec<Option<u64>>,
    /// Its colour.
    pub(in crate::report::html) class: usize,
    pub(in crate::report::html) dashed: bool,
    /// Its figures stand below the line, where another line's stand above.
    pub(in crate::report::html) below: bool,
}

/// Cost over kernels.
pub(in crate::report::html) fn trends(title: &str, kernels: &[&str], trends: &[Trend]) -> String {
    let area = Area { left: 64.0, right: 960.0, top: 14.0, bottom: 256.0 };
    let mut svg = open("trends", 1000, 290, title);
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
    // Figures stand beside their marks, but never upon one another: what has no room is in the mark's title.
    let mut placed: Vec<(f64, f64)> = Vec::new();
    let mut figures = String::new();
    let marks = |column: f64| {
        let index = (0..kernels.len()).find(|n| x(*n) == column);
        trends.iter().filter_map(move |trend| trend.values[index?]).map(|value| y(value as f64))
    };
    for trend in trends {
        let class = trend.class;
        let dash = if trend.dashed { r#" stroke-dasharray="6 4""# } else { "" };
        let known: Vec<_> = trend.values.iter().enumerate().filter_map(|(n, value)| Some((x(n), (*value)?))).collect();
        let points = known.iter().map(|&(at, value)| format!("{at:.1},{:.1}", y(value as f64))).collect::<Vec<_>>();
        let _ = write!(svg, r#"<polyline class="line s{class}"{dash} points="{}"/>"#, points.join(" "));
        for (at, value) in known {
            let (mark, label, name) = (y(value as f64), thousands(value), escape(&trend.name));
            let _ = write!(
                svg,
                r#"<circle class="fill s{class}" cx="{at:.1}" cy="{mark:.1}" r="4"><title>{name}: {label}</title></circle>"#
            );
            let (above, below, beside) = (mark - 8.0, mark + 17.0, mark + 4.0);
            let order = if trend.below { [below, above, beside] } else { [above, below, beside] };
            let is_free = |&place: &f64| {
                let column = if place == beside { at + 34.0 } else { at };
                let upon_another = placed.iter().any(|&(x, y)| (x - column).abs() < 44.0 && (y - place).abs() <= 13.0);
                let upon_a_mark = marks(at).any(|other| other != mark && (place - 16.0..place + 5.0).contains(&other));
                !upon_another && (place == beside || !upon_a_mark)
            };
            if let Some(place) = order.into_iter().find(is_free) {
                let (column, anchor, from) = match place == beside {
                    true => (at + 34.0, "start", at + 9.0),
                    false => (at, "middle", at),
                };
                let _ = write!(figures, r#"<text x="{from:.1}" y="{place:.1}" text-anchor="{anchor}">{label}</text>"#);
                placed.push((column, place));
            }
        }
    }
    svg + &figures + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_would_stand_upon_one_another_are_left_to_the_marks_title() {
        let trend =
            |value| Trend { name: "n".into(), values: vec![Some(value)], class: 0, dashed: false, below: false };
        let svg = trends("t", &["k"], &[trend(10_000), trend(10_010), trend(10_020)]);
        let figures = svg.matches(">10,0").count();
        assert_eq!((figures, svg.matches("<circle").count()), (2 + 1, 3), "above, below, and on the axis\n{svg}");
        let apart = trends("t", &["k"], &[trend(10_000), trend(5_000), trend(2_000)]);
        assert_eq!(apart.matches(r#"text-anchor="middle">"#).count(), 3 + 1, "and the kernel\n{apart}");
    }
}
