//! C8: KVM_IRQ_LINE of type CPU.

use vtick_abi::litmus::{kind, sysreg};

use super::common::{expect_bits, expect_quiet, expect_value, quiet_between};
use crate::{
    Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, Step, Transcript, Unheld, Value, disturbed,
    judge, violated,
};
use vtick_core::lines::Line;

/// ISR_EL1.{I, F} (Arm ARM DDI 0487, D24: ISR_EL1).
const ISR_IRQ: u64 = 1 << 7;
const ISR_FIQ: u64 = 1 << 6;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "irq-line-follows-raise-and-lower",
        clause: Clause::C8,
        claim: "ISR_EL1 shows an IRQ, and no FIQ, from the raising of the IRQ line to its lowering.",
        catches: "KVM_IRQ_LINE ignored; a pulse instead of a level; IRQ and FIQ swapped.",
        fails_on: FailsOn::Faults(&[
            Fault::LineUpIgnored,
            Fault::LineDownIgnored,
            Fault::LinesSwapped,
            Fault::LineIsAPulse,
            Fault::LineLostOnReturn,
        ]),
        program: |p| line_follows_raise_and_lower(p, Line::Irq, ISR_IRQ),
    },
    Check {
        name: "fiq-line-follows-raise-and-lower",
        clause: Clause::C8,
        claim: "ISR_EL1 shows a FIQ, and no IRQ, from the raising of the FIQ line to its lowering.",
        catches: "KVM_IRQ_LINE ignored for FIQ; a pulse instead of a level; IRQ and FIQ swapped.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::FiqIgnored, Fault::LinesSwapped]),
        program: |p| line_follows_raise_and_lower(p, Line::Fiq, ISR_FIQ),
    },
    Check {
        name: "raised-irq-line-is-taken-once-unmasked",
        clause: Clause::C8,
        claim: "A raised IRQ line is taken as an IRQ as soon as the guest unmasks, and not again once it is lowered.",
        catches: "A line that is shown but not delivered, or that outlives its lowering.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::LineDownIgnored]),
        program: |p| raised_line_is_taken(p, Line::Irq),
    },
    Check {
        name: "line-raised-by-another-thread-kicks-a-running-guest",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE from another thread interrupts a guest that spins without exits.",
        catches: "A line that waits for the vCPU's next exit.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::LineWaitsForExit]),
        program: line_raised_by_another_thread_kicks,
    },
    Check {
        name: "unknown-line-is-refused",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE for a CPU line that is neither IRQ nor FIQ fails with EINVAL.",
        catches: "Bad ids accepted without an error.",
        fails_on: FailsOn::Faults(&[Fault::BadLineAccepted]),
        program: |p| refused(p, 2, libc::EINVAL, "CPU line 2"),
    },
    Check {
        name: "line-of-a-vcpu-that-does-not-exist-is-refused",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE for a vCPU that was not created fails with EINVAL.",
        catches: "Bad ids accepted without an error, or an access behind the last vCPU.",
        fails_on: FailsOn::Faults(&[Fault::BadLineAccepted]),
        program: |p| refused(p, 7 << 16, libc::EINVAL, "vCPU 7 of 1"),
    },
    Check {
        name: "ppi-is-refused-without-an-in-kernel-gic",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE of type PPI fails with ENXIO in a VM without an in-kernel GIC.",
        catches: "An interrupt for a GIC that is not there.",
        fails_on: FailsOn::Faults(&[Fault::BadLineAccepted]),
        program: |p| refused(p, 2 << 24 | 27, libc::ENXIO, "a PPI"),
    },
    Check {
        name: "spi-is-refused-without-an-in-kernel-gic",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE of type SPI fails with ENXIO in a VM without an in-kernel GIC.",
        catches: "An interrupt for a GIC that is not there.",
        fails_on: FailsOn::Faults(&[Fault::BadLineAccepted]),
        program: |p| refused(p, 1 << 24 | 40, libc::ENXIO, "an SPI"),
    },
    Check {
        name: "unknown-interrupt-type-is-refused",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE of a type that does not exist fails with EINVAL.",
        catches: "Bad ids accepted without an error.",
        fails_on: FailsOn::Faults(&[Fault::BadLineAccepted]),
        program: |p| refused(p, 3 << 24, libc::EINVAL, "type 3"),
    },
    Check {
        name: "lowering-one-line-leaves-the-other",
        clause: Clause::C8,
        claim: "With both lines up, lowering IRQ leaves FIQ, and lowering FIQ leaves IRQ.",
        catches: "Lines cleared together.",
        fails_on: FailsOn::Faults(&[Fault::LoweringOneLowersBoth]),
        program: lowering_one_leaves_the_other,
    },
    Check {
        name: "raised-line-stays-up-over-many-exits",
        clause: Clause::C8,
        claim: "A raised line is still up after a hundred MMIO exits.",
        catches: "A virtual interrupt that an exit clears.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::LineLostOnReturn]),
        program: stays_up_over_exits,
    },
    Check {
        name: "unchanged-level-is-a-no-op",
        clause: Clause::C8,
        claim: "Raising a line that is up ends no KVM_RUN of a running guest and changes nothing.",
        catches: "A kick for every call: an idle controller would keep its guest busy.",
        fails_on: FailsOn::Faults(&[Fault::LineIsAPulse, Fault::UnchangedLineKicks]),
        program: unchanged_level_is_a_no_op,
    },
    Check {
        name: "raised-fiq-line-is-taken-as-a-fiq",
        clause: Clause::C8,
        claim: "A raised FIQ line is taken as a FIQ as soon as the guest unmasks, and not again once it is lowered.",
        catches: "FIQ delivered as IRQ, or not at all.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::FiqIgnored]),
        program: |p| raised_line_is_taken(p, Line::Fiq),
    },
    Check {
        name: "line-that-stays-up-interrupts-again",
        clause: Clause::C8,
        claim: "A line that stays up interrupts again each time its handler returns, and never once it is lowered.",
        catches: "A pulse instead of a level.",
        fails_on: FailsOn::Faults(&[Fault::LineIsAPulse]),
        program: stays_up_and_interrupts_again,
    },
    Check {
        name: "line-lowered-by-another-thread-falls-under-a-running-guest",
        clause: Clause::C8,
        claim: "KVM_IRQ_LINE from another thread lowers the line of a guest that spins without exits.",
        catches: "A fall that waits for the vCPU's next exit: the guest takes an interrupt that is gone.",
        fails_on: FailsOn::Faults(&[Fault::LineDownIgnored, Fault::LineWaitsForExit]),
        program: lowered_by_another_thread,
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
    for (step, due) in [(before, 0), (raised, pending), (still, pending), (lowered, 0)] {
        expect_bits(p, step, due, ISR_IRQ | ISR_FIQ);
    }
    judge(move |t| {
        for (step, due, when) in [
            (before, 0, "before anything was raised"),
            (raised, pending, "after the line was raised"),
            (still, pending, "an exit later, with the line still up"),
            (lowered, 0, "after the line was lowered"),
        ] {
            pending_at(t, step, due, when)?;
        }
        Ok(format!("{line} shown from raise to lower, the other line never"))
    })
}

fn raised_line_is_taken(p: &mut Program, line: Line) -> Judge {
    let lower = move |p: &mut Program| p.ask(Action::Line { vcpu: 0, line, level: false });
    let (due, _) = match line {
        Line::Irq => (kind::IRQ, p.on_irq(lower)),
        Line::Fiq => (kind::FIQ, p.on_fiq(lower)),
    };
    let (asked, _) = p.ask(Action::Line { vcpu: 0, line, level: true });
    let unmasked = p.unmask();
    let waited = p.take(2, Value::Now(p.us(300)));
    expect_value(p, waited, 1);
    judge(move |t| {
        let (asked, unmasked, waited) = (t.at(asked)?, t.at(unmasked)?, t.at(waited)?);
        let taken: Vec<_> = t.interrupts(0).collect();
        match taken[..] {
            [one] if one.kind == due && one.before >= asked.after && one.before <= unmasked.after => {
                Ok("taken once, when it was unmasked".to_owned())
            }
            [one] => violated(format!(
                "taken as kind {} {} ticks after unmasking",
                one.kind,
                one.before.wrapping_sub(unmasked.before) as i64
            )),
            _ => violated(format!("{} interrupts were taken, expected one", waited.value)),
        }
    })
}

fn line_raised_by_another_thread_kicks(p: &mut Program) -> Judge {
    p.on_irq(|p| p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false }));
    p.unmask();
    let delay = p.us(1000);
    let (_, raised) = p.ask(Action::LineAfter { ticks: delay, vcpu: 0, line: Line::Irq, level: true });
    let waited = p.take(1, Value::Now(p.us(20_000)));
    expect_value(p, waited, 1);
    judge(move |t| {
        t.result(raised)?;
        match t.at(waited)?.value {
            1 => Ok("the spinning guest took the interrupt".to_owned()),
            n => violated(format!("the guest spun for 20 ms and took {n} interrupts, expected one")),
        }
    })
}

fn refused(p: &mut Program, irq: u32, errno: i32, what: &'static str) -> Judge {
    let asked = p.before(Action::RawLine { irq, level: true });
    p.expect(Expectation::Result(asked, -i64::from(errno)));
    judge(move |t| match t.result(asked)? {
        error if error == -i64::from(errno) => Ok(std::io::Error::from_raw_os_error(errno).to_string()),
        other => violated(format!("KVM_IRQ_LINE for {what} returned {other}, expected {}", -errno)),
    })
}

fn pending_at(t: &Transcript, step: Step, due: u64, when: &str) -> Result<(), Unheld> {
    let isr = t.at(step)?.value & (ISR_IRQ | ISR_FIQ);
    if isr != due {
        return violated(format!("{when} ISR_EL1 read {isr:#x}, expected {due:#x}"));
    }
    Ok(())
}

fn lowering_one_leaves_the_other(p: &mut Program) -> Judge {
    let drive = |p: &mut Program, line, level| {
        p.ask(Action::Line { vcpu: 0, line, level });
        p.read(sysreg::ISR)
    };
    drive(p, Line::Irq, true);
    let both = drive(p, Line::Fiq, true);
    let fiq = drive(p, Line::Irq, false);
    let again = drive(p, Line::Irq, true);
    let irq = drive(p, Line::Fiq, false);
    for (step, due) in [(both, ISR_IRQ | ISR_FIQ), (fiq, ISR_FIQ), (again, ISR_IRQ | ISR_FIQ), (irq, ISR_IRQ)] {
        expect_bits(p, step, due, ISR_IRQ | ISR_FIQ);
    }
    judge(move |t| {
        pending_at(t, both, ISR_IRQ | ISR_FIQ, "with both lines up")?;
        pending_at(t, fiq, ISR_FIQ, "with IRQ lowered")?;
        pending_at(t, again, ISR_IRQ | ISR_FIQ, "with IRQ raised again")?;
        pending_at(t, irq, ISR_IRQ, "with FIQ lowered")?;
        Ok("each line has its own level".to_owned())
    })
}

fn stays_up_over_exits(p: &mut Program) -> Judge {
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
    let count = p.note(100);
    p.into_register(count, 0);
    let read = p.mmio_read();
    p.loop_to(0, read);
    let up = p.read(sysreg::ISR);
    expect_bits(p, up, ISR_IRQ, ISR_IRQ | ISR_FIQ);
    judge(move |t| {
        pending_at(t, up, ISR_IRQ, "after a hundred exits")?;
        Ok("still up".to_owned())
    })
}

fn unchanged_level_is_a_no_op(p: &mut Program) -> Judge {
    let delay = p.us(500);
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
    let (from, again) = p.ask(Action::LineAfter { ticks: delay, vcpu: 0, line: Line::Irq, level: true });
    let spun = p.spin(4 * delay);
    let up = p.read(sysreg::ISR);
    expect_bits(p, up, ISR_IRQ, ISR_IRQ | ISR_FIQ);
    expect_quiet(p, from, spun);
    p.expect(Expectation::Result(again, 0));
    judge(move |t| {
        pending_at(t, up, ISR_IRQ, "after the second call")?;
        quiet_between(t, from, spun)?;
        match t.result(again)? {
            0 => Ok("accepted, no return, still up".to_owned()),
            error => violated(format!("the second call returned {error}, expected 0")),
        }
    })
}

fn stays_up_and_interrupts_again(p: &mut Program) -> Judge {
    p.on_irq(|p| p.spin(p.us(50)));
    let delay = p.us(1000);
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
    let (_, lowered) = p.ask(Action::LineAfter { ticks: delay, vcpu: 0, line: Line::Irq, level: false });
    let unmasked = p.unmask();
    let waited = p.take(u64::MAX, Value::Now(3 * delay));
    p.expect(Expectation::GivesAtLeast(waited, 3));
    judge(move |t| {
        // A host that gives the CPU to the other thread for all of that time leaves nothing to look at.
        let up = t.time_of(lowered)?.saturating_sub(t.at(unmasked)?.before);
        if up < delay / 2 {
            return disturbed(format!("the guest saw the line up for {up} ticks of {delay}"));
        }
        let taken = t.at(waited)?.value;
        if taken < 3 {
            return violated(format!("{taken} interrupts were taken while the line stayed up for {up} ticks"));
        }
        let lowered = t.time_of(lowered)?;
        let slack = delay / 2;
        match t.interrupts(0).filter(|irq| irq.before > lowered + slack).count() {
            0 => Ok(format!("{taken} interrupts, none after the line was lowered")),
            n => violated(format!("{n} of {taken} interrupts were taken after the line was lowered")),
        }
    })
}

fn lowered_by_another_thread(p: &mut Program) -> Judge {
    let delay = p.us(500);
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
    let (_, lowered) = p.ask(Action::LineAfter { ticks: delay, vcpu: 0, line: Line::Irq, level: false });
    let up = p.read(sysreg::ISR);
    p.spin(20 * delay);
    let down = p.read(sysreg::ISR);
    p.expect(Expectation::DoneAfter(lowered, up));
    expect_bits(p, up, ISR_IRQ, ISR_IRQ | ISR_FIQ);
    expect_bits(p, down, 0, ISR_IRQ | ISR_FIQ);
    judge(move |t| {
        if t.time_of(lowered)? < t.at(up)?.after {
            return disturbed("the other thread lowered the line before the guest looked");
        }
        pending_at(t, up, ISR_IRQ, "before it was lowered")?;
        pending_at(t, down, 0, "after another thread had lowered it")?;
        Ok("fell without an exit of the guest's own".to_owned())
    })
}
