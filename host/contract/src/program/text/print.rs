//! A program as a text that [`super::parse`] reads.

use std::fmt::Write;

use vtick_abi::litmus::{self as abi, Op, code};

use super::actions::ACTIONS;
use super::expectations::EXPECTATIONS;
use super::operations::OPERATIONS;
use super::setup::{self, TRAITS};
use super::slot::Context;
use super::{Litmus, Units, form};
use crate::program::labels::Labels;
use crate::program::{Action, ActionRef, Program, Step, Value};

/// Length of a claim's line.
const WIDTH: usize = 110;

impl Program {
    /// Lengths of time as they stand in a program's text: on a host that stretches them, too.
    pub(super) fn units(&self) -> Units {
        Units::Micros(self.cntfrq * self.scale)
    }

    /// A step as a line of text, times in ticks.
    pub fn describe(&self, step: Step) -> String {
        let context = Context { units: Units::Ticks, labels: &self.labels };
        match self.op_of(step) {
            Some(op) => self.operation(op, step.block, context),
            None => "end".to_owned(),
        }
    }

    /// A step as a line of the program's text, with the name by which expectations speak of it.
    pub fn line(&self, step: Step) -> String {
        let labels = self.complete_labels();
        let context = Context { units: self.units(), labels: &labels };
        let name = labels.of_step(step).map(|name| format!("{name}: ")).unwrap_or_default();
        match self.op_of(step) {
            Some(op) => format!("{name}{}", self.operation(op, step.block, context)),
            None => "end".to_owned(),
        }
    }

    /// An action as a line of text, times in microseconds.
    pub fn action_line(&self, action: Action) -> String {
        self.action(action, Context { units: self.units(), labels: &self.labels })
    }

    /// An action as a line of text, times in ticks.
    pub fn describe_action(&self, action: Action) -> String {
        self.action(action, Context { units: Units::Ticks, labels: &self.labels })
    }

    /// Something that the transcript must show, as a line of text.
    pub fn describe_expectation(&self, expectation: &super::super::Expectation) -> String {
        let labels = self.complete_labels();
        let context = Context { units: self.units(), labels: &labels };
        form::print(EXPECTATIONS, expectation, self, context).expect("each expectation has its form")
    }

    fn action(&self, action: Action, context: Context) -> String {
        form::print(ACTIONS, &action, self, context).expect("each action has its form")
    }

    fn operation(&self, op: &Op, block: u32, context: Context) -> String {
        let text = match op.code {
            code::ACTION => format!("host: {}", self.action(self.actions[op.extra as usize], context)),
            code::UNLESS => {
                let pieces = Value::decode(op.base, op.value);
                let value = super::slot::show("value", &super::slot::Piece::Value(pieces), context);
                format!("if r{} is {value} {{", op.what)
            }
            code::LOOP => {
                let target = context.labels.of_step(Step { block, index: op.extra as u32 });
                return format!("loop r{} to {}", op.reg, target.unwrap_or("an earlier step"));
            }
            _ => {
                form::print(OPERATIONS, op, self, context).unwrap_or_else(|| format!("(unknown operation {})", op.code))
            }
        };
        match op.reg {
            register if usize::from(register) < abi::REGISTERS => format!("r{register} = {text}"),
            _ => text,
        }
    }

    /// All of it.
    fn print(&self, f: &mut dyn Write) -> std::fmt::Result {
        let labels = self.complete_labels();
        let context = Context { units: self.units(), labels: &labels };
        for said in setup::traits(self) {
            writeln!(f, "VM: {}", form::print(TRAITS, &said, self, context).expect("each trait has its form"))?;
        }
        for &index in &self.before {
            let action = ActionRef(index);
            let when = if self.is_required(action) { "require" } else { "before" };
            let name = labels.of_action(action).map(|name| format!("{name}: ")).unwrap_or_default();
            writeln!(f, "{when}: {name}{}", self.action(self.actions[index], context))?;
        }
        for (block, written) in self.blocks.iter().enumerate() {
            if block > 0 || !written.ops.is_empty() {
                writeln!(f, "{}:", written.title)?;
                self.print_block(f, block, &labels)?;
            }
        }
        for expectation in &self.expectations {
            let text = form::print(EXPECTATIONS, expectation, self, context);
            writeln!(f, "{}", text.expect("each expectation has its form"))?;
        }
        match &self.neighbour {
            Some(neighbour) => {
                writeln!(f, "beside:")?;
                neighbour.print(f)
            }
            None => Ok(()),
        }
    }

    fn print_block(&self, f: &mut dyn Write, block: usize, labels: &Labels) -> std::fmt::Result {
        let context = Context { units: self.units(), labels };
        let ops = &self.blocks[block].ops;
        let mut ends: Vec<u64> = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            end_conditions(f, &mut ends, index)?;
            let step = Step { block: block as u32, index: index as u32 };
            let name = labels.of_step(step).map(|name| format!("{name}: ")).unwrap_or_default();
            let indent = 4 * (ends.len() + 1);
            writeln!(f, "{:indent$}{name}{}", "", self.operation(op, block as u32, context))?;
            if op.code == code::UNLESS {
                ends.push(op.extra);
            }
        }
        end_conditions(f, &mut ends, ops.len())
    }
}

/// Ends the conditions that reach to here.
fn end_conditions(f: &mut dyn Write, ends: &mut Vec<u64>, index: usize) -> std::fmt::Result {
    while ends.last() == Some(&(index as u64)) {
        ends.pop();
        writeln!(f, "{:indent$}}}", "", indent = 4 * (ends.len() + 1))?;
    }
    Ok(())
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.print(f)
    }
}

impl std::fmt::Display for Litmus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut line = String::new();
        for word in self.claim.split_whitespace() {
            if !line.is_empty() && line.len() + word.len() > WIDTH {
                writeln!(f, "claim:{line}")?;
                line.clear();
            }
            line += " ";
            line += word;
        }
        if !line.is_empty() {
            writeln!(f, "claim:{line}")?;
        }
        if let Some(clause) = &self.clause {
            writeln!(f, "clause: {clause}")?;
        }
        write!(f, "{}", self.program)
    }
}
