//! A plot under construction: it keeps its words within its edges and off one another.

use std::fmt::Write;

use super::escape;
use vtick_core::figures::thousands;

/// Where marks are placed: a plot's inner area in user units.
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// Which end of a word is at its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A word's font, as the page's style sheet has it.
#[derive(Clone, Copy)]
pub(super) enum Face {
    /// Of axes and marks.
    Plain,
    /// Of names and of what is to be read first.
    Strong,
}

/// The height of a line of 12 px, and how much of it is above the baseline.
const LINE: f64 = 15.0;
const ASCENT: f64 = 12.0;
/// How far words keep from one another and from the edges.
pub(super) const GAP: f64 = 2.0;

impl Face {
    /// The width of words in the widest font that browsers take for `system-ui` (DejaVu Sans) at 12 px; a few characters'
    /// worth of error does not matter, because it errs to the wide side.
    fn width(self, words: &str) -> f64 {
        let (narrow, wide) = match self {
            Face::Plain => (4.2, 7.7),
            Face::Strong => (4.8, 8.7),
        };
        words.chars().map(|c| if matches!(c, ',' | '.' | ' ' | 'i' | 'l') { narrow } else { wide }).sum()
    }

    fn class(self) -> &'static str {
        match self {
            Face::Plain => "",
            Face::Strong => " class=\"strong\"",
        }
    }
}

/// A rectangle: left, right, top, bottom.
type Extent = [f64; 4];

fn overlap([left, right, top, bottom]: Extent, [l, r, t, b]: Extent) -> bool {
    left < r && l < right && top < b && t < bottom
}

/// An SVG with the page's colours.
pub(super) struct Plot {
    svg: String,
    width: f64,
    words: Vec<Extent>,
}

impl Plot {
    /// Begins a plot of a kind, which is its class.
    pub(super) fn new(kind: &str, width: u32, height: u32, title: &str) -> Plot {
        let title = escape(title);
        let svg = format!(
            r#"<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}"><title>{title}</title>"#
        );
        Plot { svg, width: width.into(), words: Vec::new() }
    }

    /// Draws an element.
    pub(super) fn draw(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.svg.write_fmt(element);
    }

    /// A line of the grid across the area.
    pub(super) fn level(&mut self, area: &Area, y: f64) {
        let Area { left, right, .. } = area;
        self.draw(format_args!(r#"<line class="grid-line" x1="{left:.0}" x2="{right:.0}" y1="{y:.1}" y2="{y:.1}"/>"#));
    }

    /// A line of the grid from the area's bottom to its top.
    pub(super) fn column(&mut self, area: &Area, x: f64) {
        let Area { top, bottom, .. } = area;
        self.draw(format_args!(r#"<line class="grid-line" x1="{x:.1}" x2="{x:.1}" y1="{top:.0}" y2="{bottom:.0}"/>"#));
    }

    /// The line on which everything stands.
    pub(super) fn axis(&mut self, &Area { left, right, bottom, .. }: &Area) {
        self.draw(format_args!(
            r#"<line class="axis" x1="{left:.0}" x2="{right:.0}" y1="{bottom:.0}" y2="{bottom:.0}"/>"#
        ));
    }

    /// Writes words on the baseline `y`, moved as far as it takes to be within the plot; or does not, if other words are
    /// there or `is_free` says that something else is. Returns whether they are there.
    pub(super) fn write_if(
        &mut self,
        face: Face,
        anchor: Anchor,
        (x, y): (f64, f64),
        words: &str,
        is_free: impl Fn(Extent) -> bool,
    ) -> bool {
        let width = face.width(words);
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        let within = left.min(self.width - GAP - width).max(GAP);
        let extent = [within, within + width, y - ASCENT, y - ASCENT + LINE];
        let [left, right, ..] = extent;
        let taken = [left - GAP, right + GAP, extent[2], extent[3]];
        if self.words.iter().any(|other| overlap(taken, *other)) || !is_free(extent) {
            return false;
        }
        self.words.push(extent);
        // As it was asked for, if it need not be moved: the estimate of its width is none of the eye's business.
        let (x, anchor) = match anchor {
            Anchor::Start => (left, "start"),
            Anchor::Middle => ((left + right) / 2.0, "middle"),
            Anchor::End => (right, "end"),
        };
        let (class, words) = (face.class(), escape(words));
        self.draw(format_args!(r#"<text{class} x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#));
        true
    }

    /// As [`write_if`](Plot::write_if), with only other words in the way.
    pub(super) fn write(&mut self, face: Face, anchor: Anchor, at: (f64, f64), words: &str) -> bool {
        self.write_if(face, anchor, at, words, |_| true)
    }

    /// A number beside a line of the grid: left of the area, or below it.
    pub(super) fn left_of(&mut self, area: &Area, y: f64, value: f64) {
        self.write(Face::Plain, Anchor::End, (area.left - 6.0, y + 4.0), &brief(value));
    }

    /// As [`left_of`](Plot::left_of).
    pub(super) fn below(&mut self, area: &Area, x: f64, value: f64) {
        self.write(Face::Plain, Anchor::Middle, (x, area.bottom + 17.0), &brief(value));
    }

    /// The whole SVG.
    pub(super) fn end(self) -> String {
        self.svg + "</svg>"
    }
}

/// As much of `words` as `width` has room for.
pub(super) fn cut(face: Face, words: &str, width: f64) -> String {
    if face.width(words) <= width {
        return words.to_owned();
    }
    let mut kept = String::new();
    for c in words.chars() {
        if face.width(&kept) + face.width("m…") > width {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

/// A round number of an axis, in few characters.
fn brief(value: f64) -> String {
    let n = value.round() as u64;
    let tenths = |unit: u64, letter: char| match (n / unit, n % unit * 10 / unit) {
        (whole, 0) => format!("{whole}{letter}"),
        (whole, tenth) => format!("{whole}.{tenth}{letter}"),
    };
    match n {
        1_000_000_000.. if n.is_multiple_of(100_000_000) => tenths(1_000_000_000, 'G'),
        1_000_000.. if n.is_multiple_of(100_000) => tenths(1_000_000, 'M'),
        100_000.. if n.is_multiple_of(100) => tenths(1_000, 'k'),
        _ => thousands(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_would_cross_an_edge_is_moved_and_one_upon_another_is_not_written() {
        let mut plot = Plot::new("p", 200, 100, "p");
        assert!(plot.write(Face::Plain, Anchor::Middle, (195.0, 50.0), "1,000,000"));
        assert!(plot.write(Face::Plain, Anchor::End, (20.0, 50.0), "1,000,000"));
        assert!(!plot.write(Face::Strong, Anchor::Middle, (150.0, 52.0), "7"), "the first is there");
        assert!(plot.write(Face::Strong, Anchor::Middle, (150.0, 80.0), "7"));
        assert!(!plot.write_if(Face::Plain, Anchor::Middle, (100.0, 20.0), "7", |_| false));
        let width = Face::Plain.width("1,000,000");
        let svg = plot.end();
        assert_eq!(svg.matches("<text").count(), 3, "{svg}");
        assert!(svg.contains(&format!("x=\"{:.1}\"", 200.0 - GAP - width / 2.0)), "{svg}");
        assert!(svg.contains(&format!("x=\"{:.1}\"", GAP + width)), "{svg}");
    }

    #[test]
    fn numbers_of_an_axis_are_brief_and_exact() {
        let found = [0.0, 900.0, 20_000.0, 120_000.0, 120_500.0, 123_456.0, 1.2e6, 2e6, 5e9, 1.5e12].map(brief);
        assert_eq!(found, ["0", "900", "20,000", "120k", "120.5k", "123,456", "1.2M", "2M", "5G", "1500G"]);
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_one_that_fits_is_not() {
        assert_eq!(cut(Face::Strong, "6.12.118 user", 200.0), "6.12.118 user");
        let name = "6.19.0-rc3-next-20260101-timer-rework-v4 user";
        let shown = cut(Face::Strong, name, 200.0);
        assert!(shown.ends_with('…') && Face::Strong.width(&shown) <= 200.0, "{shown}");
        assert!(name.starts_with(shown.trim_end_matches('…')), "{shown}");
    }
}
