//! C8: KVM_IRQ_LINE of type CPU.

use vtick_abi::litmus::sysreg;

use crate::contract::{Action, Check, Clause, Judge, Program, Value, judge, violated};
use crate::lines::Line;

/// ISR_EL1.{I, F} (Arm ARM DDI 0487, D24: ISR_EL1).
const ISR_IRQ: u64 = 1 << 7;
const ISR_FIQ: u64 = 1 << 6;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "irq-line-follows-raise-and-lower",
        clause: Clause::C8,
        claim: "ISR_EL1 shows an IRQ, and no FIQ, from the raising of the IRQ line to its lowering.",
        catches: "KVM_IRQ_LINE ignored; a pulse where a level is due; IRQ and FIQ swapped.",
        program: |p| line_follows_raise_and_lower(p, Line::Irq, ISR_IRQ),
    },
    Check {
        name: "fiq-line-follows-raise-and-lower",
        clause: Clause::C8,
        claim: "ISR_EL1 shows a FIQ, and no IRQ, from the raising of the FIQ line to its lowering.",
        catches: "KVM_IRQ_LINE ignored for FIQ; a pulse where a level is due; IRQ and FIQ swapped.",
        program: |p| line_follows_raise_and_lower(p, Line::Fiq, ISR_FIQ),
    },
    Check {
        name: "raised-irq-line-is-taken-once-unmasked",
        clause: Clause::C8,
        claim: "A raised IRQ line is taken as an IRQ as soon as the guest unmasks, and not again once it is lowered.",
        catches: "A line that is shown but not delivered, or that outlives its lowering.",
        program: raised_irq_line_is_taken,
    },
    Check {
        name: "line-raised-by-another-thread-kicks-a-running-guest",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE from another thread interrupts a guest that spins without exits.",
        catches: "A line that waits for the vCPU's next exit.",
        program: line_raised_by_another_thread_kicks,
    },
    Check {
        name: "unknown-line-is-refused",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE for a CPU line that is neither IRQ nor FIQ fails with EINVAL.",
        catches: "Bad ids accepted without a word.",
        program: unknown_line_is_refused,
    },
];

fn line_follows_raise_and_lower(p: &mut Program, line: Line, pending: u64) -> Judge {
    let before = p.read(sysreg::ISR);
    p.ask(Action::Line { vcpu: 0, line, level: true });
    let raised = p.read(sysreg::ISR);
    p.mmio_read();
    let still = p.read(sysreg::ISR);
    p.ask(Action::Line { vcpu: 0, line, level: false });
    let lowered = p.read(sysreg::ISR);
    judge(move |t| {
        for (step, due, when) in [
            (before, 0, "before anything was raised"),
            (raised, pending, "after the line was raised"),
            (still, pending, "an exit later, with the line still up"),
            (lowered, 0, "after the line was lowered"),
        ] {
            let isr = t.at(step)?.value & (ISR_IRQ | ISR_FIQ);
            if isr != due {
                return violated(format!("{when} ISR_EL1 read {isr:#x}, due was {due:#x}"));
            }
        }
        Ok(format!("{line} shown from raise to lower, the other line never"))
    })
}

fn raised_irq_line_is_taken(p: &mut Program) -> Judge {
    p.on_irq(|p| p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false }));
    let (asked, _) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
    let unmasked = p.unmask();
    let waited = p.take(2, Value::Now(p.us(300)));
    judge(move |t| {
        let (asked, unmasked, waited) = (t.at(asked)?, t.at(unmasked)?, t.at(waited)?);
        let taken: Vec<_> = t.interrupts(0).collect();
        match taken[..] {
            [irq] if irq.kind == 1 && irq.before >= asked.after && irq.before <= unmasked.after => {
                Ok("taken once, when it was unmasked".to_owned())
            }
            [one] => violated(format!(
                "taken as kind {} {} ticks after unmasking",
                one.kind,
                one.before.wrapping_sub(unmasked.before) as i64
            )),
            _ => violated(format!("{} interrupts were taken, one was due", waited.value)),
        }
    })
}

fn line_raised_by_another_thread_kicks(p: &mut Program) -> Judge {
    p.on_irq(|p| p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false }));
    p.unmask();
    let delay = p.us(1000);
    let (_, raised) = p.ask(Action::LineAfter { ticks: delay, vcpu: 0, line: Line::Irq, level: true });
    let waited = p.take(1, Value::Now(p.us(50_000)));
    judge(move |t| {
        t.result(raised)?;
        match t.at(waited)?.value {
            1 => Ok("the spinning guest took the interrupt".to_owned()),
            n => violated(format!("the guest spun for 50 ms and took {n} interrupts, one was due")),
        }
    })
}

fn unknown_line_is_refused(p: &mut Program) -> Judge {
    let asked = p.before(Action::RawLine { irq: 2, level: true });
    judge(move |t| match t.result(asked)? {
        error if error == -i64::from(libc::EINVAL) => Ok("EINVAL".to_owned()),
        other => violated(format!("KVM_IRQ_LINE for CPU line 2 returned {other}, due was -EINVAL")),
    })
}
