//! Cost over kernels.

use super::escape;
use super::plot::{Anchor, Area, Face, GAP, Plot, cut};
use vtick_core::figures::thousands;

/// A line of a plot over kernels: its name, and a value for each kernel that has one.
pub(in crate::html) struct Trend {
    pub(in crate::html) name: String,
    pub(in crate::html) values: Vec<Option<u64>>,
    /// Its colour.
    pub(in crate::html) class: usize,
    pub(in crate::html) dashed: bool,
    /// Its figures stand below the line, where another line's stand above.
    pub(in crate::html) below: bool,
}

/// Cost over kernels.
pub(in crate::html) fn trends(title: &str, kernels: &[&str], trends: &[Trend]) -> String {
    let area = Area { left: 64.0, right: 960.0, top: 14.0, bottom: 256.0 };
    let mut plot = Plot::new("trends", 1000, 290, title);
    let most = trends.iter().flat_map(|t| &t.values).flatten().copied().max().unwrap_or(1).max(1) as f64 * 1.08;
    let y = |value: f64| area.bottom - value / most * (area.bottom - area.top);
    let gap = (area.right - area.left) / kernels.len() as f64;
    let x = |index: usize| area.left + (index as f64 + 0.5) * gap;
    let step =
        [500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 50_000.0].into_iter().find(|step| most / step <= 7.0).unwrap_or(most);
    for n in 0..=(most / step) as u32 {
        let value = f64::from(n) * step;
        plot.level(&area, y(value));
        plot.left_of(&area, y(value), value);
    }
    for (index, kernel) in kernels.iter().enumerate() {
        let kernel = cut(Face::Strong, kernel, gap - 3.0 * GAP);
        plot.write(Face::Strong, Anchor::Middle, (x(index), area.bottom + 20.0), &kernel);
    }
    let known = |trend: &Trend| -> Vec<(usize, (f64, f64), u64)> {
        let values = trend.values.iter().enumerate();
        values.filter_map(|(n, value)| value.map(|value| (n, (x(n), y(value as f64)), value))).collect()
    };
    for trend in trends {
        let (class, known) = (trend.class, known(trend));
        let dash = if trend.dashed { r#" stroke-dasharray="6 4""# } else { "" };
        let points = known.iter().map(|(_, (at, mark), _)| format!("{at:.1},{mark:.1}")).collect::<Vec<_>>();
        plot.draw(format_args!(r#"<polyline class="line s{class}"{dash} points="{}"/>"#, points.join(" ")));
        for (n, (at, mark), value) in known {
            let (label, name, kernel) = (thousands(value), escape(&trend.name), escape(kernels[n]));
            plot.draw(format_args!(
                r#"<circle class="fill s{class}" cx="{at:.1}" cy="{mark:.1}" r="4"><title>{name}, {kernel}: {label}</title></circle>"#
            ));
        }
    }
    // Figures stand beside their marks, but never upon others: what has no room is in the mark's title.
    let marks: Vec<_> = trends.iter().flat_map(known).collect();
    for trend in trends {
        for (_, (at, mark), value) in known(trend) {
            let [above, below, beside] = [
                ((at, mark - 8.0), Anchor::Middle),
                ((at, mark + 17.0), Anchor::Middle),
                ((at + 9.0, mark + 4.0), Anchor::Start),
            ];
            let order = if trend.below { [below, above, beside] } else { [above, below, beside] };
            let label = thousands(value);
            order.into_iter().any(|(place, anchor)| {
                plot.write_if(Face::Plain, anchor, place, &label, |[left, right, top, bottom]| {
                    let within =
                        |x: f64, y: f64| left - 5.0 < x && x < right + 5.0 && top - 4.0 < y && y < bottom + 2.0;
                    !marks.iter().any(|&(_, (x, y), _)| (x, y) != (at, mark) && within(x, y))
                })
            });
        }
    }
    plot.end()
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
