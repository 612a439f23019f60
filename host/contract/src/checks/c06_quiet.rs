//! C6: no return without a cause.

use vtick_abi::litmus::sysreg;

use super::common::{
    PTIMER, Timer, VTIMER, expect_levels, expect_quiet, expect_value, levels_at, quiet_between, short,
};
use crate::{Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, Value, judge, violated};
use vtick_core::lines::{Levels, Line};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "ignored-level-makes-no-stream-of-exits",
        clause: Clause::C6,
        claim: "A vtimer level that stays high and that userspace ignores ends KVM_RUN once, and the guest makes \
                progress.",
        catches: "An exit storm while a level is high: userspace that predates the mode would live-lock.",
        fails_on: FailsOn::Faults(&[
            Fault::NoReturnOnRise,
            Fault::StormWhileHigh,
            Fault::StormWithoutLevel,
            Fault::StormWithoutEnd,
        ]),
        program: |p| ignored_level_makes_no_stream_of_exits(p, VTIMER),
    },
    Check {
        name: "masked-timer-makes-no-exit",
        clause: Clause::C6,
        claim: "A vtimer that expires with IMASK set changes no level and ends no KVM_RUN.",
        catches: "IMASK forgotten in the output; an exit for the hardware interrupt instead of the level.",
        fails_on: FailsOn::Faults(&[Fault::KickedAllTheTime]),
        program: masked_timer_makes_no_exit,
    },
    Check {
        name: "ignored-ptimer-level-makes-no-stream-of-exits",
        clause: Clause::C6,
        claim: "A ptimer level that stays high and that userspace ignores ends KVM_RUN once, and the guest makes \
                progress.",
        catches: "Endless physical-timer interrupts (commit b4a1583abc83).",
        fails_on: FailsOn::Faults(&[Fault::NoReturnOnRise, Fault::StormWhileHigh, Fault::StormWithoutEnd]),
        program: |p| ignored_level_makes_no_stream_of_exits(p, PTIMER),
    },
    Check {
        name: "disabled-timer-makes-no-exit",
        clause: Clause::C6,
        claim: "A vtimer whose deadline passes with ENABLE clear changes no level and ends no KVM_RUN.",
        catches: "ENABLE forgotten in the output.",
        fails_on: FailsOn::Faults(&[Fault::EnableIgnored]),
        program: disabled_timer_makes_no_exit,
    },
    Check {
        name: "guest-without-timers-is-not-disturbed",
        clause: Clause::C6,
        claim: "A guest that spins with no timer armed and no line raised causes no return of KVM_RUN.",
        catches: "Returns for the host's own interrupts.",
        fails_on: FailsOn::Faults(&[Fault::KickedAllTheTime, Fault::StormFromTheStart]),
        program: guest_without_timers,
    },
    Check {
        name: "raised-line-makes-no-exit",
        clause: Clause::C6,
        claim: "A line that userspace has raised and that the guest has masked ends no KVM_RUN.",
        catches: "A pending interrupt taken for a reason to return.",
        fails_on: FailsOn::Faults(&[Fault::RaisedLineReturns]),
        program: raised_line_makes_no_exit,
    },
    Check {
        name: "high-level-costs-one-exit-per-mmio-access",
        clause: Clause::C6,
        claim: "While a level stays high and is ignored, fifty MMIO accesses make exactly fifty returns.",
        catches: "A notice repeated at every entry.",
        fails_on: FailsOn::Faults(&[Fault::StormWhileHigh, Fault::ReturnsWithoutReason]),
        program: one_exit_per_access,
    },
];

fn ignored_level_makes_no_stream_of_exits(p: &mut Program, timer: Timer) -> Judge {
    let delay = short(p);
    let armed = timer.arm(p, delay);
    let spun = timer.spin_past(p, 10 * delay);
    p.expect(Expectation::Returns(1, armed.start().to(spun.end())));
    judge(move |t| {
        let (armed, spun) = (t.at(armed)?, t.at(spun)?);
        match t.returns_between(0, armed.before, spun.after).count() {
            0 => violated("KVM_RUN never returned, not even once for the rising level"),
            1 => Ok("one return for the rising level, then quiet".to_owned()),
            n => violated(format!("{n} returns while the level stayed high; expected one")),
        }
    })
}

fn masked_timer_makes_no_exit(p: &mut Program) -> Judge {
    let delay = p.us(300);
    p.write(sysreg::CNTV_CVAL, Value::Now(delay));
    let armed = p.write(sysreg::CNTV_CTL, 3);
    let spun = p.spin(20 * delay);
    let status = p.read(sysreg::CNTV_CTL);
    expect_value(p, status, 7);
    expect_quiet(p, armed, spun);
    judge(move |t| {
        let (armed, spun) = (t.at(armed)?, t.at(spun)?);
        let ctl = t.at(status)?.value;
        if ctl != 7 {
            return violated(format!("CNTV_CTL reads {ctl:#x}, expected 0x7 (ENABLE, IMASK, ISTATUS)"));
        }
        match t.returns_between(0, armed.after, spun.after).next() {
            None => Ok("expired (ISTATUS) without an exit".to_owned()),
            Some(r) => violated(format!("KVM_RUN returned with {}, levels {}; expected no return", r.exit, r.levels)),
        }
    })
}

fn disabled_timer_makes_no_exit(p: &mut Program) -> Judge {
    let delay = short(p);
    let armed = p.write(sysreg::CNTV_CVAL, Value::Now(delay));
    let spun = p.spin(3 * delay);
    let low = p.mmio_read();
    expect_quiet(p, armed, spun);
    expect_levels(p, low, Levels::NONE);
    judge(move |t| {
        quiet_between(t, armed, spun)?;
        levels_at(t, low, Levels::NONE, "after the deadline of a disabled timer")?;
        Ok("no return, no level".to_owned())
    })
}

fn guest_without_timers(p: &mut Program) -> Judge {
    let from = p.note(0);
    // Longer than a tick of a host with HZ=250.
    let spun = p.spin(p.us(10_000));
    expect_quiet(p, from, spun);
    judge(move |t| {
        quiet_between(t, from, spun)?;
        Ok("no return in 10 ms".to_owned())
    })
}

fn raised_line_makes_no_exit(p: &mut Program) -> Judge {
    let (_, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
    let spun = p.spin(p.us(2000));
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false });
    p.expect(Expectation::Returns(0, spun.whole()));
    judge(move |t| match t.returns_between(0, t.time_of(raised)?, t.at(spun)?.after).next() {
        None => Ok("no return in 2 ms".to_owned()),
        Some(r) => violated(format!("KVM_RUN returned with {}, levels {}; expected no return", r.exit, r.levels)),
    })
}

fn one_exit_per_access(p: &mut Program) -> Judge {
    let high = VTIMER.expire(p);
    let count = p.note(50);
    p.into_register(count, 0);
    let read = p.mmio_read();
    p.loop_to(0, read);
    let after = p.note(0);
    expect_levels(p, high, VTIMER.level);
    p.expect(Expectation::Returns(50, count.end().to(after.start())));
    judge(move |t| {
        levels_at(t, high, VTIMER.level, "before the accesses")?;
        let to = t.all(read).last().map_or(0, |last| last.after);
        match t.returns_between(0, t.at(read)?.before, to).count() {
            50 => Ok("fifty".to_owned()),
            n => violated(format!("{n} returns for fifty accesses")),
        }
    })
}
