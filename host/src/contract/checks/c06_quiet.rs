//! C6: no return without a cause.

use vtick_abi::litmus::sysreg;

use crate::contract::{Check, Clause, Judge, Program, Value, judge, violated};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "ignored-level-makes-no-stream-of-exits",
        clause: Clause::C6,
        claim: "A vtimer level that stays high and that userspace ignores ends KVM_RUN once, and the guest makes \
                progress.",
        catches: "An exit storm while a level is high: userspace that predates the mode would live-lock.",
        program: ignored_level_makes_no_stream_of_exits,
    },
    Check {
        name: "masked-timer-makes-no-exit",
        clause: Clause::C6,
        claim: "A vtimer that expires with IMASK set changes no level and ends no KVM_RUN.",
        catches: "IMASK forgotten in the output; an exit for the hardware interrupt instead of the level.",
        program: masked_timer_makes_no_exit,
    },
];

fn ignored_level_makes_no_stream_of_exits(p: &mut Program) -> Judge {
    let delay = p.us(300);
    let armed = p.arm_vtimer(delay);
    let spun = p.spin_until(Value::Now(20 * delay));
    judge(move |t| {
        let (armed, spun) = (t.at(armed)?, t.at(spun)?);
        match t.returns_between(0, armed.after, spun.after).count() {
            0 => violated("KVM_RUN never returned, not even once for the rising level"),
            1 => Ok("one return for the rising level, then quiet".to_owned()),
            n => violated(format!("{n} returns while the level stayed high; one was due")),
        }
    })
}

fn masked_timer_makes_no_exit(p: &mut Program) -> Judge {
    let delay = p.us(300);
    p.write(sysreg::CNTV_CVAL, Value::Now(delay));
    let armed = p.write(sysreg::CNTV_CTL, 3);
    let spun = p.spin_until(Value::Now(5 * delay));
    let status = p.read(sysreg::CNTV_CTL);
    judge(move |t| {
        let (armed, spun) = (t.at(armed)?, t.at(spun)?);
        let ctl = t.at(status)?.value;
        if ctl != 7 {
            return violated(format!("CNTV_CTL reads {ctl:#x}, due was 0x7 (ENABLE, IMASK, ISTATUS)"));
        }
        match t.returns_between(0, armed.after, spun.after).next() {
            None => Ok("expired (ISTATUS) without an exit".to_owned()),
            Some(r) => violated(format!("KVM_RUN returned with {}, levels {}; no return was due", r.exit, r.levels)),
        }
    })
}
