//! The way of a vCPU through its program: which record belongs to a handler, and where handlers end, of which the guest
//! writes no record.

use vtick_abi::litmus::{Op, REGISTERS, base, code, kind};

use crate::GuestRecord;

/// A record with its place in the program's flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traced {
    pub(super) record: GuestRecord,
    /// By how much the guest's counter may be behind the host's: what it read, happened so much later at most.
    pub(super) behind: u64,
    /// How many handlers it lies in; of an interrupt: how many were running when it came.
    pub(super) depth: usize,
    /// How many handlers ended after it, before the next record.
    pub(super) ended: usize,
    /// Whether the program leads here.
    pub(super) expected: bool,
}

impl Traced {
    /// When it had ended, for certain.
    pub(super) fn over(&self) -> u64 {
        self.record.after.saturating_add(self.behind)
    }

    pub(super) fn is_interrupt(&self) -> bool {
        matches!(self.record.kind, kind::IRQ | kind::FIQ)
    }
}

/// Where the main program or a handler is.
#[derive(Clone, Copy)]
struct Place {
    pc: u32,
    registers: [u64; REGISTERS],
}

/// Follows the records of one vCPU, which starts at `entry`, through the program. `behind`: how much the guest's counter may
/// be behind at a time.
pub(super) fn trace(ops: &[Op], entry: u32, records: &[&GuestRecord], behind: impl Fn(u64) -> u64) -> Vec<Traced> {
    let mut places = vec![Place { pc: entry, registers: [0; REGISTERS] }];
    let mut traced = Vec::with_capacity(records.len());
    for &record in records {
        let depth = places.len() - 1;
        let place = places.last_mut().expect("the main program is never left");
        let interrupt = matches!(record.kind, kind::IRQ | kind::FIQ);
        let expected = interrupt || place.pc == record.op;
        if interrupt {
            let registers = place.registers;
            places.push(Place { pc: record.op, registers });
        } else {
            place.step(ops, record);
        }
        let mut ended = 0;
        while places.len() > 1 && places.last().is_some_and(|place| code_at(ops, place.pc) == code::END) {
            places.pop();
            ended += 1;
        }
        traced.push(Traced { record: *record, behind: behind(record.after), depth, ended, expected });
    }
    traced
}

fn code_at(ops: &[Op], pc: u32) -> u16 {
    ops.get(pc as usize).map_or(code::END, |op| op.code)
}

impl Place {
    /// Goes from the operation of `record` to the next.
    fn step(&mut self, ops: &[Op], record: &GuestRecord) {
        self.pc = record.op + 1;
        let Some(op) = ops.get(record.op as usize) else { return };
        let result = if record.kind == kind::FAULT { 0 } else { record.value };
        let operand = match op.base {
            register if register >= base::REGISTER => {
                self.registers.get(usize::from(register - base::REGISTER)).copied().unwrap_or(0).wrapping_add(op.value)
            }
            // Of those that read a counter no jump depends on the value.
            _ => op.value,
        };
        if let Some(register) = self.registers.get_mut(usize::from(op.reg)) {
            *register = result;
        }
        let jumps = match op.code {
            code::LOOP => result != 0,
            code::UNLESS => result != operand,
            _ => false,
        };
        if jumps {
            self.pc = op.extra as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Program;

    fn record(op: u32, kind: u32, value: u64) -> GuestRecord {
        GuestRecord { vcpu: 0, op, kind, before: 0, after: 0, value }
    }

    #[test]
    fn a_handler_ends_where_its_operations_do_and_loops_are_followed() {
        let mut p = Program::new(1_000_000);
        p.on_irq(|p| p.note(1));
        let count = p.note(2);
        p.into_register(count, 0);
        let read = p.mmio_read();
        p.loop_to(0, read);
        let (header, ops) = p.encode();
        let (main, irq) = (header.entry[0], header.irq[0]);
        let records = [
            record(main, kind::OP, 2),
            record(irq, kind::IRQ, 0),
            record(irq, kind::OP, 1),
            record(main + 1, kind::OP, 0),
            record(main + 2, kind::OP, 1),
            record(main + 1, kind::OP, 0),
            record(main + 2, kind::OP, 0),
            record(main + 1, kind::OP, 0),
        ];
        let records: Vec<_> = records.iter().collect();
        let traced = trace(&ops, main, &records, |_| 0);
        let seen: Vec<_> = traced.iter().map(|t| (t.depth, t.ended)).collect();
        assert_eq!(seen, [(0, 0), (0, 0), (1, 1), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]);
        let expected: Vec<_> = traced.iter().map(|t| t.expected).collect();
        assert_eq!(expected, [true, true, true, true, true, true, true, false], "the loop was over");
    }
}
