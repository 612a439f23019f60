//! Values in the order in which they came: what drifts, and what comes round.

use super::plot::{Anchor, Area, Face, Plot};
use super::ticks;
use vtick_core::figures::thousands;

/// Columns of a plot: each stands for as many values as come to it.
const COLUMNS: usize = 115;

/// What one measurement took, interrupt by interrupt, each vCPU's from its first on.
pub(in crate::html) struct Course {
    pub(in crate::html) class: usize,
    /// Each vCPU's values.
    pub(in crate::html) vcpus: Vec<Vec<u64>>,
    /// How many there were, of which these are evenly spread.
    pub(in crate::html) of: u64,
}

/// The least, the median and the most of the values that come to one column.
type Column = (usize, [u64; 3]);

impl Course {
    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![Vec::new(); COLUMNS];
        for values in &self.vcpus {
            for (n, value) in values.iter().enumerate() {
                columns[n * COLUMNS / values.len()].push(*value);
            }
        }
        let filled = columns.into_iter().enumerate().filter(|(_, values)| !values.is_empty());
        let summed = filled.map(|(column, mut values)| {
            values.sort_unstable();
            (column, [values[0], values[values.len() / 2], values[values.len() - 1]])
        });
        summed.collect()
    }
}

/// Each course as a line of medians in the band between the least and the most, over a logarithmic axis.
pub(in crate::html) fn timeline(title: &str, courses: &[Course], convert: impl Fn(u64) -> u64) -> String {
    let area = Area { left: 48.0, right: 508.0, top: 8.0, bottom: 92.0 };
    let mut plot = Plot::new("timeline", 520, 120, title);
    let all: Vec<_> = courses.iter().map(|course| (course.class, course.columns())).collect();
    let values = || all.iter().flat_map(|(_, columns)| columns).flat_map(|(_, column)| column).map(|v| convert(*v));
    let (low, high) =
        (values().min().unwrap_or(1).max(1) as f64 * 0.85, values().max().unwrap_or(1).max(1) as f64 * 1.18);
    let place = |value: f64| area.bottom - (value.ln() - low.ln()) / (high.ln() - low.ln()) * (area.bottom - area.top);
    let y = |ticks: u64| place(convert(ticks).max(1) as f64);
    let x = |column: usize| area.left + (column as f64 + 0.5) / COLUMNS as f64 * (area.right - area.left);
    for value in few(ticks(low, high)) {
        plot.level(&area, place(value));
        plot.left_of(&area, place(value), value);
    }
    for (class, columns) in &all {
        let upper = columns.iter().map(|(column, [.., most])| format!("{:.1},{:.1}", x(*column), y(*most) - 0.6));
        let lower =
            columns.iter().rev().map(|(column, [least, ..])| format!("{:.1},{:.1}", x(*column), y(*least) + 0.6));
        let band = upper.chain(lower).collect::<Vec<_>>().join(" ");
        let median = columns.iter().map(|(column, [_, median, _])| format!("{:.1},{:.1}", x(*column), y(*median)));
        let median = median.collect::<Vec<_>>().join(" ");
        plot.draw(format_args!(
            r#"<polygon class="band s{class}" points="{band}"/><polyline class="line thin s{class}" points="{median}"/>"#
        ));
    }
    let last = courses.iter().map(|course| course.of).max().unwrap_or(0);
    plot.axis(&area);
    for (at, anchor, n) in [(area.left, Anchor::Start, 1), (area.right, Anchor::End, last)] {
        plot.write(Face::Plain, anchor, (at, area.bottom + 17.0), &thousands(n));
    }
    plot.end()
}

/// Not more labels than there is room for.
fn few(ticks: Vec<f64>) -> Vec<f64> {
    let step = ticks.len().div_ceil(4).max(1);
    ticks.into_iter().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_the_least_the_median_and_the_most_of_what_came_in_its_time() {
        let values: Vec<u64> = (0..COLUMNS as u64 * 10).collect();
        let course = Course { class: 0, vcpus: vec![values], of: 1150 };
        let columns = course.columns();
        assert_eq!((columns.len(), columns[0], columns[1]), (COLUMNS, (0, [0, 5, 9]), (1, [10, 15, 19])));
    }

    #[test]
    fn few_values_leave_columns_empty_and_the_vcpus_share_one_axis() {
        let course = Course { class: 0, vcpus: vec![vec![5], vec![1, 9]], of: 2 };
        assert_eq!(course.columns(), [(0, [1, 5, 5]), (57, [9, 9, 9])]);
        let svg = timeline("t", &[course], |ticks| ticks);
        assert!(svg.contains("<polygon") && svg.contains(">2</text>"), "{svg}");
    }
}
