//! C5: a change coalesces with an exit that happens anyway.

use vtick_abi::litmus::sysreg;

use crate::contract::{Check, Clause, Judge, Program, Value, judge, violated};
use crate::exit::Exit;
use crate::lines::Levels;

pub(super) const CHECKS: &[Check] = &[Check {
    name: "falling-level-rides-on-the-next-mmio-exit",
    clause: Clause::C5,
    claim: "After an asserted vtimer is set to the far future, the next MMIO exit shows its level low, and no exit of \
            its own is spent on the change.",
    catches: "A stale level on the MMIO exit that follows rearming; an extra exit for every falling level.",
    program: falling_level_rides_on_the_next_mmio_exit,
}];

fn falling_level_rides_on_the_next_mmio_exit(p: &mut Program) -> Judge {
    let delay = p.us(300);
    p.arm_vtimer(delay);
    p.spin_until(Value::Now(2 * delay));
    let high = p.mmio_read();
    let rearmed = p.write(sysreg::CNTV_CVAL, Value::Now(p.us(10_000_000)));
    let low = p.mmio_read();
    let ran_on = p.note(0);
    p.write(sysreg::CNTV_CTL, 0);
    judge(move |t| {
        let (high, low) = (t.exit_of(high)?, t.exit_of(low)?);
        if high.levels != Levels::VTIMER {
            return violated(format!("before rearming the level was {}, due was vtimer", high.levels));
        }
        if low.levels != Levels::NONE {
            return violated(format!("the MMIO exit after rearming showed levels {}, due were none", low.levels));
        }
        let own = t
            .returns_between(0, t.at(rearmed)?.before, t.at(ran_on)?.after)
            .filter(|r| r.exit == Exit::Interrupted)
            .count();
        if own > 0 {
            return violated(format!("{own} exits of its own for a change that an MMIO exit carried"));
        }
        Ok("the MMIO exit carried the change".to_owned())
    })
}
