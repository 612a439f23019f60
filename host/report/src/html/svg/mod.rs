//! The plots: SVG, drawn with the page's colours, no scripts.

mod distribution;
mod plot;
mod saturation;
mod timeline;
mod trends;
mod waterfall;

use super::escape;

pub(super) use distribution::{Series, distribution};
pub(super) use saturation::{Rates, saturation};
pub(super) use timeline::{Course, timeline};
pub(super) use trends::{Trend, trends};
pub(super) use waterfall::{Bar, waterfall};

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
}
