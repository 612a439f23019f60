//! C10: output = ENABLE && !IMASK && counter >= CVAL.

use vtick_abi::litmus::sysreg;

use crate::contract::{Check, Clause, Judge, Program, Value, judge, violated};
use crate::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "deadline-in-the-past-asserts-at-once",
        clause: Clause::C10,
        claim: "A vtimer enabled with CVAL in the past asserts its output at once.",
        catches: "A timer that is armed by its distance to the deadline, and sleeps through a negative one.",
        program: deadline_in_the_past,
    },
    Check {
        name: "deadline-far-away-never-asserts",
        clause: Clause::C10,
        claim: "A vtimer enabled with CVAL at 2^63 - 1 asserts nothing.",
        catches: "A signed comparison, or an overflow in converting the deadline.",
        program: deadline_far_away,
    },
    Check {
        name: "clearing-imask-while-expired-asserts",
        clause: Clause::C10,
        claim: "An expired vtimer asserts its output when IMASK is cleared, and deasserts it when IMASK is set.",
        catches: "An output that depends on the deadline passing, not on the state.",
        program: clearing_imask,
    },
];

fn deadline_in_the_past(p: &mut Program) -> Judge {
    let past = p.us(1000);
    // The counter starts at zero with the VM: before this, the past would lie beyond the wrap.
    p.spin_until(2 * past);
    p.write(sysreg::CNTV_CVAL, Value::Now(past.wrapping_neg()));
    p.write(sysreg::CNTV_CTL, 1);
    let exit = p.mmio_read();
    let ctl = p.read(sysreg::CNTV_CTL);
    judge(move |t| {
        let (exit, ctl) = (t.exit_of(exit)?, t.at(ctl)?.value);
        if ctl != 5 {
            return violated(format!("CNTV_CTL reads {ctl:#x}, due was 0x5 (ENABLE, ISTATUS)"));
        }
        if exit.levels != Levels::VTIMER {
            return violated(format!("the next exit showed levels {}, due were vtimer", exit.levels));
        }
        Ok("asserted by the next exit".to_owned())
    })
}

fn deadline_far_away(p: &mut Program) -> Judge {
    // Not 2^64 - 1: QEMU 7.2 adds CNTVOFF without looking at the carry, and then fires for ever.
    p.write(sysreg::CNTV_CVAL, u64::MAX >> 1);
    p.write(sysreg::CNTV_CTL, 1);
    p.spin_until(Value::Now(p.us(1000)));
    let exit = p.mmio_read();
    let ctl = p.read(sysreg::CNTV_CTL);
    judge(move |t| {
        let (exit, ctl) = (t.exit_of(exit)?, t.at(ctl)?.value);
        if exit.levels != Levels::NONE || ctl != 1 {
            return violated(format!(
                "levels {}, CNTV_CTL {ctl:#x}; due were none and 0x1 (ENABLE, no ISTATUS)",
                exit.levels
            ));
        }
        Ok("nothing asserted".to_owned())
    })
}

fn clearing_imask(p: &mut Program) -> Judge {
    p.write(sysreg::CNTV_CVAL, 0);
    p.write(sysreg::CNTV_CTL, 3);
    let masked = p.mmio_read();
    p.write(sysreg::CNTV_CTL, 1);
    let unmasked = p.mmio_read();
    p.write(sysreg::CNTV_CTL, 3);
    let masked_again = p.mmio_read();
    judge(move |t| {
        for (step, due, when) in [
            (masked, Levels::NONE, "with IMASK set"),
            (unmasked, Levels::VTIMER, "with IMASK cleared"),
            (masked_again, Levels::NONE, "with IMASK set again"),
        ] {
            let levels = t.exit_of(step)?.levels;
            if levels != due {
                return violated(format!("{when} the exit showed levels {levels}, due were {due}"));
            }
        }
        Ok("the output follows IMASK".to_owned())
    })
}
