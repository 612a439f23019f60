//! What the returns of KVM_RUN must show, as statements of the test's host part.

use vtick_abi::litmus::code;

use super::super::Source;
use super::super::judge::in_c;
use crate::program::{Action, Expectation, Span, Step};
use vtick_core::lines::Levels;

impl Source<'_> {
    /// Numbers of the operations before which the guest says where it is: those at which a span begins or ends.
    pub(super) fn marks(&self) -> Vec<u32> {
        let mut marks = Vec::new();
        for expectation in self.program.expectations() {
            let (first, last) = match *expectation {
                Expectation::LevelsAt(step, _) => (self.number(step), self.number(step)),
                Expectation::SomeReturn(_, span)
                | Expectation::FirstReturn(_, span)
                | Expectation::EveryReturn(_, Some(span))
                | Expectation::Returns(_, span) => self.ends(span),
                _ => continue,
            };
            marks.extend([first, last + 1].map(|number| self.written(number)));
        }
        marks.sort_unstable();
        marks.dedup();
        let end = self.ops.iter().position(|op| op.code == code::END).expect("a program ends") as u32;
        assert!(marks.iter().all(|&number| number <= end + 1), "{}: no span is in a handler", self.case.name());
        marks
    }

    /// The first operation from this one on that is a statement of the guest.
    fn written(&self, mut number: u32) -> u32 {
        while self.ops[number as usize - 1].code != code::END && self.statement(number as usize - 1).is_empty() {
            number += 1;
        }
        number
    }

    /// The statements that judge what userspace saw.
    pub(super) fn expected(&self) -> String {
        let conditions = self.program.expectations().iter().filter_map(|expectation| {
            let (condition, said) = match *expectation {
                Expectation::LevelsAt(step, due) => {
                    let mark = self.mark_of(step);
                    let condition = format!("levels_at({mark}, {})", names(due));
                    (condition, format!("the MMIO exit behind at({mark}) shows {}", said(due)))
                }
                Expectation::SomeReturn(due, span) => {
                    let condition = format!("returned({}, {}) > 0", self.marked(span), names(due));
                    (condition, format!("a return {} shows {}", self.between(span), said(due)))
                }
                Expectation::FirstReturn(due, span) => {
                    let condition = format!("first_return({}) == {}", self.marked(span), names(due));
                    (condition, format!("the first return {} shows {}", self.between(span), said(due)))
                }
                Expectation::Returns(due, span) => {
                    let condition = format!("returned({}, ANY) == {due}", self.marked(span));
                    let often = if due == 1 { "once".to_owned() } else { format!("{due} times") };
                    (condition, format!("KVM_RUN returns {often} {}", self.between(span)))
                }
                // The guest asserts these.
                Expectation::InTime(..) | Expectation::Gives { .. } => return None,
                Expectation::EndsAt(..) | Expectation::EndsWithin(..) => return None,
                // The library's vcpu_set_reg() asserts this.
                Expectation::Result(action, 0) if matches!(self.program.actions()[action.0], Action::Set(..)) => {
                    return None;
                }
                _ => unreachable!("the selftest has no words for {}", self.program.describe_expectation(expectation)),
            };
            Some(format!("\texpect({condition}, \"{said}\");\n")).map(|line| match line.len() {
                // A tab is eight columns wide, and counts as one here.
                ..=92 => line,
                _ => format!("\texpect({condition},\n\t       \"{said}\");\n"),
            })
        });
        conditions.collect()
    }

    /// The mark of the operation with this number.
    fn mark(&self, number: u32) -> usize {
        let number = self.written(number);
        self.marks().iter().position(|&mark| mark == number).expect("a span begins and ends with a mark") + 1
    }

    fn mark_of(&self, step: Step) -> usize {
        self.mark(self.number(step))
    }

    /// From which mark to which.
    fn marked(&self, span: Span) -> String {
        let (first, last) = self.ends(span);
        format!("{}, {}", self.mark(first), self.mark(last + 1) - 1)
    }

    /// The same in words.
    fn between(&self, span: Span) -> String {
        let (first, last) = self.ends(span);
        format!("between at({}) and at({})", self.mark(first), self.mark(last + 1))
    }
}

/// Levels in words.
fn said(levels: Levels) -> String {
    match names(levels).as_str() {
        "0" => "no level".to_owned(),
        names => format!("only {names}"),
    }
}

fn names(levels: Levels) -> String {
    in_c(levels, ["VTIMER", "PTIMER", "PMU"])
}
