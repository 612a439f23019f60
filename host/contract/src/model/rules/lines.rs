//! C8: an interrupt is taken when, and only when, its line is high and the guest has it unmasked; and ISR_EL1 reads as the
//! lines are.

use vtick_abi::litmus::{code, kind, sysreg};

use super::super::Judge;
use super::super::history::History;
use super::super::vcpu::Vcpu;
use crate::{Clause, Ending};
use vtick_core::lines::Line;

const LINES: [Line; 2] = [Line::Irq, Line::Fiq];
/// ISR_EL1.{I, F}.
const PENDING: [u64; 2] = [1 << 7, 1 << 6];
/// The vectors of IRQ and FIQ from the current exception level with SP_ELx (Arm ARM DDI 0487, D1.3).
const VECTORS: [u64; 2] = [0x280, 0x300];

pub(crate) fn judge(judge: &mut Judge, vcpu: &Vcpu, lines: &[History; 2]) {
    for traced in &vcpu.traced {
        let record = traced.record;
        // The guest's counter may be behind.
        let at = (record.before, record.before + traced.behind);
        match record.kind {
            kind::IRQ => taken(judge, vcpu, lines, 0, at),
            kind::FIQ => taken(judge, vcpu, lines, 1, at),
            kind::OP => {
                let op = &judge.ops[record.op as usize];
                if op.code == code::READ && op.what == sysreg::ISR {
                    pending(judge, vcpu, lines, record.value, (record.before, traced.over()));
                }
            }
            _ => {}
        }
    }
    if let Some(Ending::Exception { vector, .. }) = vcpu.ending
        && let Some(number) = VECTORS.iter().position(|due| due == vector)
        && let Some(run) = vcpu.runs.last()
    {
        taken(judge, vcpu, lines, number, (run.exit.entered, run.exit.returned));
    }
    not_taken(judge, vcpu, lines);
}

/// An interrupt was taken between these two times.
fn taken(judge: &mut Judge, vcpu: &Vcpu, lines: &[History; 2], number: usize, (first, at): (u64, u64)) {
    let line = LINES[number];
    // Since the guest was last seen before it, with a little time for a line that falls on the way.
    let from = first.saturating_sub(judge.tolerance.take);
    if !lines[number].may_be_high(from, at) {
        let low = lines[number].low_since(at).map_or(0, |since| at - since);
        let what = format!("the guest took an {line} although the line had been low for {low} ticks; expected none");
        judge.object(Clause::C8, "taken-with-line-low", vcpu.index, at, what);
    } else if !vcpu.unmasked[number].may_be_high(from, at) {
        let what = format!("the guest took an {line} although the interrupt was masked; expected none");
        judge.object(Clause::C8, "taken-while-masked", vcpu.index, at, what);
    }
}

/// ISR_EL1 was read between these two times.
fn pending(judge: &mut Judge, vcpu: &Vcpu, lines: &[History; 2], value: u64, (from, to): (u64, u64)) {
    for number in 0..2 {
        let history = &lines[number];
        let (bit, line) = (PENDING[number], LINES[number]);
        let fits = if value & bit != 0 { history.may_be_high(from, to) } else { history.may_be_low(from, to) };
        if !fits {
            let (seen, due) = if value & bit != 0 { ("set", "clear") } else { ("clear", "set") };
            let what = format!("ISR_EL1 read {value:#x}: the bit of {line} is {seen}, expected {due}, as the line is");
            judge.object(Clause::C8, "isr-shows-the-lines", vcpu.index, to, what);
        }
    }
}

/// Guest code that runs on with an interrupt neither masked nor taken.
fn not_taken(judge: &mut Judge, vcpu: &Vcpu, lines: &[History; 2]) {
    for &instant in &vcpu.instants {
        for number in 0..2 {
            let Some(unmasked) = vcpu.unmasked[number].high_since(instant.at) else { continue };
            let Some(high) = lines[number].high_since(instant.at) else { continue };
            let due = high.max(unmasked);
            if due + judge.tolerance.take < instant.at {
                let what = format!(
                    "guest code ran in {} with {} high and unmasked for {} ticks; expected the interrupt",
                    judge.op(instant.op),
                    LINES[number],
                    instant.at - due
                );
                judge.object(Clause::C8, "high-line-is-taken", vcpu.index, instant.at, what);
            }
        }
    }
}
