//! How operations read.

use vtick_abi::layout::MAILBOX_BASE;
use vtick_abi::litmus::{Op, base, code, sysreg};
use vtick_abi::mailbox;

use super::form::Form;
use super::names::holds_time;
use super::slot::Piece::{self, Number};
use crate::program::Value;

/// PSCI functions (Arm DEN 0022).
const PSCI_VERSION: u64 = 0x8400_0000;
const CPU_SUSPEND: u64 = 0x8400_0001;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;
pub(super) const CPU_ON: u64 = 0xc400_0003;

const SCRATCH: u64 = MAILBOX_BASE + mailbox::SCRATCH;
const SINK: u64 = MAILBOX_BASE + mailbox::SINK;

/// All operations but those that go somewhere (loop, if) and those of the host.
pub(super) const OPERATIONS: &[Form<Op>] = &[
    Form {
        pattern: "note <value>",
        write: |op, _| (op.code == code::SET).then(|| vec![value(op)]),
        read: |p, _| Ok(op(code::SET, 0, of(&p[0]), 0)),
    },
    Form {
        pattern: "read <sysreg>",
        write: |op, _| (op.code == code::READ).then(|| vec![what(op)]),
        read: |p, _| match number(&p[0]) as u16 {
            register if sysreg::WRITE_ONLY.contains(&register) => Err("this register can only be written".to_owned()),
            register => Ok(op(code::READ, register, Value::Is(0), 0)),
        },
    },
    Form {
        pattern: "<sysreg> := <time>",
        write: |op, _| (op.code == code::WRITE && holds_time(op.what)).then(|| vec![what(op), value(op)]),
        read: |p, _| written(number(&p[0]) as u16, of(&p[1])),
    },
    Form {
        pattern: "<sysreg> := <value>",
        write: |op, _| (op.code == code::WRITE).then(|| vec![what(op), value(op)]),
        read: |p, _| written(number(&p[0]) as u16, of(&p[1])),
    },
    Form {
        pattern: "mask <lines>",
        write: |op, _| (op.code == code::MASK).then(|| vec![what(op)]),
        read: |p, _| Ok(op(code::MASK, number(&p[0]) as u16, Value::Is(0), 0)),
    },
    Form {
        pattern: "unmask <lines>",
        write: |op, _| (op.code == code::UNMASK).then(|| vec![what(op)]),
        read: |p, _| Ok(op(code::UNMASK, number(&p[0]) as u16, Value::Is(0), 0)),
    },
    Form { pattern: "WFI", write: |op, _| bare(op, code::WFI), read: |_, _| Ok(op(code::WFI, 0, Value::Is(0), 0)) },
    Form { pattern: "WFE", write: |op, _| bare(op, code::WFE), read: |_, _| Ok(op(code::WFE, 0, Value::Is(0), 0)) },
    Form { pattern: "SEV", write: |op, _| bare(op, code::SEV), read: |_, _| Ok(op(code::SEV, 0, Value::Is(0), 0)) },
    Form {
        pattern: "barrier",
        write: |op, _| bare(op, code::BARRIER),
        read: |_, _| Ok(op(code::BARRIER, 0, Value::Is(0), 0)),
    },
    Form {
        pattern: "spin <ticks>",
        write: |op, _| {
            (op.code == code::SPIN && op.base == base::NOW && op.value as i64 > 0).then(|| vec![Number(op.value)])
        },
        read: |p, _| Ok(op(code::SPIN, 0, Value::Now(number(&p[0])), 0)),
    },
    Form {
        pattern: "spin until <number> interrupts were taken, or <time>",
        write: |op, _| (op.code == code::TAKE).then(|| vec![Number(op.extra), value(op)]),
        read: |p, _| Ok(op(code::TAKE, 0, of(&p[1]), number(&p[0]))),
    },
    Form {
        pattern: "spin until flag <flag> is at least <number>, or <time>",
        write: |op, _| (op.code == code::AWAIT).then(|| vec![what(op), Number(op.extra), value(op)]),
        read: |p, _| Ok(op(code::AWAIT, number(&p[0]) as u16, of(&p[2]), number(&p[1]))),
    },
    Form {
        pattern: "spin until <time>",
        write: |op, _| (op.code == code::SPIN).then(|| vec![value(op)]),
        read: |p, _| Ok(op(code::SPIN, 0, of(&p[0]), 0)),
    },
    Form {
        pattern: "MMIO read",
        write: |op, _| (op.code == code::LOAD && (op.what, op.extra) == (8, SCRATCH)).then(Vec::new),
        read: |_, _| Ok(op(code::LOAD, 8, Value::Is(0), SCRATCH)),
    },
    Form {
        pattern: "MMIO read <width> at <hex>",
        write: |op, _| (op.code == code::LOAD).then(|| vec![what(op), Number(op.extra)]),
        read: |p, _| Ok(op(code::LOAD, number(&p[0]) as u16, Value::Is(0), number(&p[1]))),
    },
    Form {
        pattern: "MMIO write",
        write: |op, _| {
            let sink = (op.what, op.extra, op.base, op.value) == (8, SINK, base::ZERO, 0);
            (op.code == code::STORE && sink).then(Vec::new)
        },
        read: |_, _| Ok(op(code::STORE, 8, Value::Is(0), SINK)),
    },
    Form {
        pattern: "MMIO write <width> at <hex> := <value>",
        write: |op, _| (op.code == code::STORE).then(|| vec![what(op), Number(op.extra), value(op)]),
        read: |p, _| Ok(op(code::STORE, number(&p[0]) as u16, of(&p[2]), number(&p[1]))),
    },
    Form {
        pattern: "PSCI CPU_ON of vCPU <vcpu>",
        write: |op, program| {
            let on = op.code == code::HVC && (op.base, op.value) == (base::ZERO, CPU_ON);
            (on && op.extra == program.setup.kvm_id(op.what.into())).then(|| vec![what(op)])
        },
        read: |p, program| {
            let vcpu = number(&p[0]);
            Ok(op(code::HVC, vcpu as u16, Value::Is(CPU_ON), program.setup.kvm_id(vcpu as usize)))
        },
    },
    Form { pattern: "PSCI VERSION", write: |op, _| psci(op, PSCI_VERSION), read: |_, _| Ok(call(PSCI_VERSION)) },
    Form { pattern: "PSCI CPU_SUSPEND", write: |op, _| psci(op, CPU_SUSPEND), read: |_, _| Ok(call(CPU_SUSPEND)) },
    Form { pattern: "PSCI SYSTEM_OFF", write: |op, _| psci(op, SYSTEM_OFF), read: |_, _| Ok(call(SYSTEM_OFF)) },
    Form { pattern: "PSCI SYSTEM_RESET", write: |op, _| psci(op, SYSTEM_RESET), read: |_, _| Ok(call(SYSTEM_RESET)) },
    Form {
        pattern: "HVC x0 = <value>, x1 = <hex>",
        write: |op, _| (op.code == code::HVC && op.what == 0).then(|| vec![value(op), Number(op.extra)]),
        read: |p, _| Ok(op(code::HVC, 0, of(&p[0]), number(&p[1]))),
    },
    Form {
        pattern: "HVC x0 = <value>, x1 = <hex>, x3 = <u16>",
        write: |op, _| (op.code == code::HVC).then(|| vec![value(op), Number(op.extra), what(op)]),
        read: |p, _| Ok(op(code::HVC, number(&p[2]) as u16, of(&p[0]), number(&p[1]))),
    },
    Form {
        pattern: "signal flag <flag>",
        write: |op, _| (op.code == code::SIGNAL && (op.base, op.value) == (base::ZERO, 0)).then(|| vec![what(op)]),
        read: |p, _| Ok(op(code::SIGNAL, number(&p[0]) as u16, Value::Is(0), 0)),
    },
    Form {
        pattern: "signal flag <flag> + <value>",
        write: |op, _| (op.code == code::SIGNAL).then(|| vec![what(op), value(op)]),
        read: |p, _| Ok(op(code::SIGNAL, number(&p[0]) as u16, of(&p[1]), 0)),
    },
    Form {
        pattern: "bits <bit> to <bit> of <value>",
        write: |op, _| {
            let last = (op.extra + u64::from(op.what)).checked_sub(1)?;
            (op.code == code::FIELD).then(|| vec![Number(last), Number(op.extra), value(op)])
        },
        read: |p, _| match (number(&p[0]), number(&p[1])) {
            (last, first) if last < first => Err(format!("bits {last} to {first}: the upper bit comes first")),
            (63, 0) => Err("bits 63 to 0 are the value itself".to_owned()),
            (last, first) => Ok(op(code::FIELD, (last - first + 1) as u16, of(&p[2]), first)),
        },
    },
    Form {
        pattern: "doze until flag <flag> is at least <number>",
        write: |op, _| (op.code == code::DOZE).then(|| vec![what(op), Number(op.extra)]),
        read: |p, _| Ok(op(code::DOZE, number(&p[0]) as u16, Value::Is(0), number(&p[1]))),
    },
];

fn op(code: u16, what: u16, value: Value, extra: u64) -> Op {
    let (base, value) = value.encode();
    Op { code, what, base, reg: u16::MAX, value, extra }
}

fn call(function: u64) -> Op {
    op(code::HVC, 0, Value::Is(function), 0)
}

fn psci(op: &Op, function: u64) -> Option<Vec<Piece>> {
    let is = op.code == code::HVC && (op.base, op.value, op.extra, op.what) == (base::ZERO, function, 0, 0);
    is.then(Vec::new)
}

fn bare(op: &Op, code: u16) -> Option<Vec<Piece>> {
    (op.code == code).then(Vec::new)
}

fn value(op: &Op) -> Piece {
    Piece::Value(Value::decode(op.base, op.value))
}

fn what(op: &Op) -> Piece {
    Number(op.what.into())
}

/// The number in a slot for one.
pub(super) fn number(piece: &Piece) -> u64 {
    match piece {
        Number(number) => *number,
        other => unreachable!("{other:?} in a slot for a number"),
    }
}

/// The operand in a slot for one.
pub(super) fn of(piece: &Piece) -> Value {
    match piece {
        Piece::Value(value) => *value,
        other => unreachable!("{other:?} in a slot for a value"),
    }
}

/// A write of a register: not of one that the guest cannot write.
fn written(register: u16, value: Value) -> Result<Op, String> {
    if sysreg::READ_ONLY.contains(&register) {
        return Err("this register can only be read".to_owned());
    }
    Ok(op(code::WRITE, register, value, 0))
}
