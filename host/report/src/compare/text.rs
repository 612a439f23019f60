//! A comparison in words, for a terminal or a pull request.

use std::fmt::Write;

use super::{Comparison, Confidence, Difference, SIGNIFICANT};
use vtick_core::figures::{signed, thousands};

impl Comparison {
    /// The comparison as text, or as Markdown for a pull request. Figures that are identical are counted, not listed.
    pub fn to_text(&self, markdown: bool) -> String {
        let mut text = String::new();
        let unit = self.unit.name();
        let [before, after] = &self.kernels;
        let _ = match before == after {
            true => writeln!(text, "Linux {before}; medians in {unit}"),
            false => writeln!(text, "Linux {before} -> {after}; medians in {unit}"),
        };
        if !self.others.is_empty() {
            text.push_str("the kernel is not the only difference between the records:\n");
            self.others.iter().for_each(|line| text.push_str(&format!("- {line}\n")));
        }
        if self.is_identical() {
            let _ = writeln!(text, "identical: {} figures, value for value", self.differences.len());
            return text;
        }
        if markdown {
            text.push_str("\n| scenario | irqchip | figure | before | after | change | | confidence |\n|---|---|---|--:|--:|--:|--:|---|\n");
        }
        let changed = |d: &&Difference| d.confidence != Confidence::Identical && !d.is_tail_alone();
        for d in self.differences.iter().filter(changed) {
            let (before, after) = (thousands(d.before), thousands(d.after));
            let delta = signed(d.after as i64 - d.before as i64);
            let percent = format!("{:+.2} %", d.percent());
            let confidence = d.confidence.words(d.before == d.after);
            let figure = if d.part { format!("> {}", d.figure) } else { d.figure.to_owned() };
            let _ = match markdown {
                true => writeln!(
                    text,
                    "| {} | {} | {figure} | {before} | {after} | {delta} | {percent} | {confidence} |",
                    d.scenario, d.irqchip
                ),
                false => writeln!(
                    text,
                    "{:<20} {:<7} {figure:<22} {before:>10} -> {after:>10} {delta:>9} {percent:>10}  {confidence}",
                    d.scenario, d.irqchip
                ),
            };
        }
        let count = |which: fn(&Difference) -> bool| self.differences.iter().filter(|d| which(d)).count();
        let same = count(|d| d.confidence == Confidence::Identical);
        let tail = count(Difference::is_tail_alone);
        let all = self.differences.len();
        let _ = writeln!(
            text,
            "\nof {all} figures, {same} are identical and {tail} differ only beyond the 99th percentile"
        );
        for line in &self.dearer {
            let _ = writeln!(text, "{line}");
        }
        for name in &self.missing {
            let _ = writeln!(text, "{name}: only in the first record");
        }
        text
    }
}

impl Confidence {
    fn words(&self, same_median: bool) -> String {
        match *self {
            Confidence::Identical => "identical".to_owned(),
            Confidence::Exact if same_median => "exact; only the tail differs".to_owned(),
            Confidence::Exact => "exact".to_owned(),
            Confidence::Estimated { p, low, high } => {
                let verdict = if p < SIGNIFICANT { "differs" } else { "noise" };
                format!("{verdict}: p = {p:.4}, 95 % within {} to {}", signed(low), signed(high))
            }
        }
    }
}
