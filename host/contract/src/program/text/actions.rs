//! How the host's actions read.

use super::form::Form;
use super::operations::{number, of};
use super::slot::Piece::{self, Number};
use crate::program::{Action, TimerRegister, Value};
use vtick_core::lines::Line;

pub(super) const ACTIONS: &[Form<Action>] = &[
    Form {
        pattern: "<verb> <line> of vCPU <vcpu>",
        write: |action, _| match *action {
            Action::Line { vcpu, line, level } => Some(vec![Number(level.into()), of_line(line), Number(vcpu as u64)]),
            _ => None,
        },
        read: |p, _| Ok(Action::Line { vcpu: number(&p[2]) as usize, line: line(&p[1]), level: number(&p[0]) != 0 }),
    },
    Form {
        pattern: "<verb> <line> of vCPU <vcpu> by another thread after <ticks>",
        write: |action, _| match *action {
            Action::LineAfter { ticks, vcpu, line, level } => {
                Some(vec![Number(level.into()), of_line(line), Number(vcpu as u64), Number(ticks)])
            }
            _ => None,
        },
        read: |p, _| {
            let (vcpu, ticks) = (number(&p[2]) as usize, number(&p[3]));
            Ok(Action::LineAfter { ticks, vcpu, line: line(&p[1]), level: number(&p[0]) != 0 })
        },
    },
    Form {
        pattern: "signal vCPU <vcpu> by another thread after <ticks>",
        write: |action, _| match *action {
            Action::SignalAfter { ticks, vcpu } => Some(vec![Number(vcpu as u64), Number(ticks)]),
            _ => None,
        },
        read: |p, _| Ok(Action::SignalAfter { vcpu: number(&p[0]) as usize, ticks: number(&p[1]) }),
    },
    Form {
        pattern: "set immediate_exit",
        write: |action, _| (*action == Action::ImmediateExit { after: 0 }).then(Vec::new),
        read: |_, _| Ok(Action::ImmediateExit { after: 0 }),
    },
    Form {
        pattern: "stay in userspace for <ticks>, set immediate_exit",
        write: |action, _| match *action {
            Action::ImmediateExit { after } => Some(vec![Number(after)]),
            _ => None,
        },
        read: |p, _| Ok(Action::ImmediateExit { after: number(&p[0]) }),
    },
    Form {
        pattern: "stay in userspace for <ticks>",
        write: |action, _| match *action {
            Action::Stay { ticks } => Some(vec![Number(ticks)]),
            _ => None,
        },
        read: |p, _| Ok(Action::Stay { ticks: number(&p[0]) }),
    },
    Form {
        pattern: "wait for the other vCPUs",
        write: |action, _| (*action == Action::Meet).then(Vec::new),
        read: |_, _| Ok(Action::Meet),
    },
    Form {
        pattern: "KVM_CHECK_EXTENSION(<u32>)",
        write: |action, _| match *action {
            Action::CheckExtension { capability } => Some(vec![Number(capability.into())]),
            _ => None,
        },
        read: |p, _| Ok(Action::CheckExtension { capability: number(&p[0]) as u32 }),
    },
    Form {
        pattern: "KVM_CHECK_EXTENSION(<u32>) on /dev/kvm",
        write: |action, _| match *action {
            Action::CheckSystemExtension { capability } => Some(vec![Number(capability.into())]),
            _ => None,
        },
        read: |p, _| Ok(Action::CheckSystemExtension { capability: number(&p[0]) as u32 }),
    },
    Form {
        pattern: "KVM_IRQ_LINE(irq = <hex>, level = <number>)",
        write: |action, _| match *action {
            Action::RawLine { irq, level } => Some(vec![Number(irq.into()), Number(level.into())]),
            _ => None,
        },
        read: |p, _| match (u32::try_from(number(&p[0])), number(&p[1])) {
            (Ok(irq), level @ 0..=1) => Ok(Action::RawLine { irq, level: level == 1 }),
            _ => Err("irq is a number of 32 bits, and level is 0 or 1".to_owned()),
        },
    },
    Form {
        pattern: "KVM_GET_ONE_REG <timer>",
        write: |action, _| match *action {
            Action::Get(register) => Some(vec![Piece::Timer(register)]),
            _ => None,
        },
        read: |p, _| Ok(Action::Get(timer(&p[0]))),
    },
    Form {
        pattern: "KVM_SET_ONE_REG <timer> := <value>",
        write: |action, _| match *action {
            Action::Set(register, value) => Some(vec![Piece::Timer(register), Piece::Value(value)]),
            _ => None,
        },
        read: |p, _| match of(&p[1]) {
            Value::Register(..) => Err("the guest's general registers are not the host's".to_owned()),
            value => Ok(Action::Set(timer(&p[0]), value)),
        },
    },
    Form {
        pattern: "<verb> INTID <intid>",
        write: |action, _| match *action {
            Action::Spi { intid, level } => Some(vec![Number(level.into()), Number(intid.into())]),
            _ => None,
        },
        read: |p, _| Ok(Action::Spi { intid: number(&p[1]) as u32, level: number(&p[0]) != 0 }),
    },
    Form {
        pattern: "<verb> INTID <intid> by another thread after <ticks>",
        write: |action, _| match *action {
            Action::SpiAfter { ticks, intid, level } => {
                Some(vec![Number(level.into()), Number(intid.into()), Number(ticks)])
            }
            _ => None,
        },
        read: |p, _| {
            Ok(Action::SpiAfter { ticks: number(&p[2]), intid: number(&p[1]) as u32, level: number(&p[0]) != 0 })
        },
    },
    Form {
        pattern: "save the machine, and go on in a fresh VM",
        write: |action, _| (*action == Action::MoveToFreshVm).then(Vec::new),
        read: |_, _| Ok(Action::MoveToFreshVm),
    },
    Form {
        pattern: "save all registers, KVM_ARM_VCPU_INIT, restore them with the timers",
        write: |action, _| (*action == Action::Reinit { restore_timers: true }).then(Vec::new),
        read: |_, _| Ok(Action::Reinit { restore_timers: true }),
    },
    Form {
        pattern: "save all registers, KVM_ARM_VCPU_INIT, restore them without the timers",
        write: |action, _| (*action == Action::Reinit { restore_timers: false }).then(Vec::new),
        read: |_, _| Ok(Action::Reinit { restore_timers: false }),
    },
    Form {
        pattern: "move this thread to the next host CPU",
        write: |action, _| (*action == Action::Migrate).then(Vec::new),
        read: |_, _| Ok(Action::Migrate),
    },
    Form {
        pattern: "kvm_valid_regs := kvm_dirty_regs := <hex>",
        write: |action, _| match *action {
            Action::SyncFlags(flags) => Some(vec![Number(flags)]),
            _ => None,
        },
        read: |p, _| Ok(Action::SyncFlags(number(&p[0]))),
    },
    Form {
        pattern: "KVM_CREATE_VCPU(<number>)",
        write: |action, _| match *action {
            Action::CreateVcpu(id) => Some(vec![Number(id)]),
            _ => None,
        },
        read: |p, _| Ok(Action::CreateVcpu(number(&p[0]))),
    },
    Form {
        pattern: "KVM_ARM_SET_COUNTER_OFFSET(<ticks>)",
        write: |action, _| match *action {
            Action::CounterOffset(offset) => Some(vec![Number(offset)]),
            _ => None,
        },
        read: |p, _| Ok(Action::CounterOffset(number(&p[0]))),
    },
    Form {
        pattern: "KVM_HAS_DEVICE_ATTR(timer interrupt <number>)",
        write: |action, _| match *action {
            Action::HasTimerInterrupt { attribute } => Some(vec![Number(attribute)]),
            _ => None,
        },
        read: |p, _| Ok(Action::HasTimerInterrupt { attribute: number(&p[0]) }),
    },
    Form {
        pattern: "KVM_GET_DEVICE_ATTR(timer interrupt <number>)",
        write: |action, _| match *action {
            Action::GetTimerInterrupt { attribute } => Some(vec![Number(attribute)]),
            _ => None,
        },
        read: |p, _| Ok(Action::GetTimerInterrupt { attribute: number(&p[0]) }),
    },
    Form {
        pattern: "KVM_SET_DEVICE_ATTR(timer interrupt <number> := INTID <u32>)",
        write: |action, _| match *action {
            Action::SetTimerInterrupt { attribute, intid } => Some(vec![Number(attribute), Number(intid.into())]),
            _ => None,
        },
        read: |p, _| Ok(Action::SetTimerInterrupt { attribute: number(&p[0]), intid: number(&p[1]) as u32 }),
    },
    Form {
        pattern: "suspend this vCPU",
        write: |action, _| (*action == Action::Suspend).then(Vec::new),
        read: |_, _| Ok(Action::Suspend),
    },
    Form {
        pattern: "look at the CPU time",
        write: |action, _| (*action == Action::CpuTime).then(Vec::new),
        read: |_, _| Ok(Action::CpuTime),
    },
    Form {
        pattern: "in another VM: KVM_ARM_VCPU_INIT with the PMU, KVM_RUN, KVM_ARM_VCPU_INIT without, KVM_RUN",
        write: |action, _| (*action == Action::ForbiddenInitSequence).then(Vec::new),
        read: |_, _| Ok(Action::ForbiddenInitSequence),
    },
];

fn of_line(line: Line) -> Piece {
    Number(match line {
        Line::Irq => 0,
        Line::Fiq => 1,
    })
}

fn line(piece: &Piece) -> Line {
    if number(piece) == 0 { Line::Irq } else { Line::Fiq }
}

fn timer(piece: &Piece) -> TimerRegister {
    match piece {
        Piece::Timer(register) => *register,
        other => unreachable!("{other:?} in a slot for a timer register"),
    }
}
