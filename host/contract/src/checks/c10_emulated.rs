//! C10 and C11 with a physical timer that KVM emulates: under a counter offset, where the CPU has none of its own for the
//! physical counter (FEAT_ECV), each access of the guest traps, and a timer of the host's kernel stands for the guest's.

use vtick_abi::litmus::sysreg;

use super::common::{
    PTIMER, VTIMER, expect_levels, expect_return, expect_value, levels_at, low_before, returned_with, short, sleep,
    value_at,
};
use crate::check::{Judge, judge};
use crate::{Action, ActionRef, Check, Clause, Expectation, FailsOn, Fault, Program, Value, violated};
use vtick_core::lines::{Levels, Routing};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "ptimer-reads-as-written-under-a-counter-offset",
        clause: Clause::C10,
        claim: "Under a counter offset, CNTP_CVAL and CNTP_CTL read as written, CNTP_TVAL counts down from what was \
                written and reads as the lower 32 bits of a longer distance, and CNTPCT reads between two readings of \
                CNTVCT.",
        catches: "A trapped access to the physical timer that goes to another register, or forgets the offset.",
        fails_on: FailsOn::Faults(&[Fault::CounterOffsetIgnored]),
        program: reads_as_written,
    },
    Check {
        name: "ptimer-follows-its-deadline-under-a-counter-offset",
        clause: Clause::C10,
        claim: "Under a counter offset, the ptimer's output is asserted at its deadline, neither before nor never, and \
                deasserted when the timer is turned off.",
        catches: "An emulated deadline that forgets the offset, or a host's timer that is not started for it.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::LevelStuckHigh]),
        program: follows_its_deadline,
    },
    Check {
        name: "ptimer-ends-kvm-run-under-a-counter-offset",
        clause: Clause::C10,
        claim: "Under a counter offset, KVM_RUN returns with the ptimer's level when the ptimer expires under a guest that \
                spins and has not come near the timer since it was enabled.",
        catches: "A timer of the host's that is left off when the guest's access has been done.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::NoReturnOnRise]),
        program: ends_kvm_run,
    },
    Check {
        name: "ptimer-moved-to-a-later-deadline-under-a-counter-offset",
        clause: Clause::C10,
        claim: "Under a counter offset, a ptimer whose deadline is moved to a later one is asserted at the later one only.",
        catches: "A host's timer that is left as it was when the guest moves its deadline.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet]),
        program: moved_to_a_later_deadline,
    },
];

pub(super) const SLEEPS: &[Check] = &[Check {
    name: "wfi-wakes-on-the-ptimer-under-a-counter-offset",
    clause: Clause::C11,
    claim: "Under a counter offset, a vCPU asleep in WFI wakes when the ptimer expires, not before, and the return that \
            ends its sleep carries the level.",
    catches: "A host's timer for sleeping vCPUs that takes the guest's deadline for one of the host's.",
    fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::WfiNeverWakes]),
    program: wfi_wakes,
}];

/// Both counters of the guest are less than the host's by this from now on.
fn offset(p: &mut Program) -> ActionRef {
    let offset = p.us(1_000);
    p.require(Action::CounterOffset(offset))
}

fn reads_as_written(p: &mut Program) -> Judge {
    offset(p);
    // TimerValue is a signed number of 32 bits ([ARM] CNTP_TVAL_EL0), however slow the host.
    let (far, delay) = (p.us(10_000_000), p.us(1_000_000).min(1 << 30));
    let before = p.read(sysreg::CNTVCT);
    let count = p.read(sysreg::CNTPCT);
    let after = p.read(sysreg::CNTVCT);
    p.write(sysreg::CNTP_CVAL, far);
    p.write(sysreg::CNTP_CTL, 3);
    let cval = p.read(sysreg::CNTP_CVAL);
    let ctl = p.read(sysreg::CNTP_CTL);
    p.write(sysreg::CNTP_TVAL, delay);
    let tval = p.read(sysreg::CNTP_TVAL);
    // All bits of the distance, of which TVAL has the lower 32.
    p.write(sysreg::CNTP_CVAL, Value::NowPhysical(1 << 32 | delay));
    let lower = p.read(sysreg::CNTP_TVAL);
    p.write(sysreg::CNTP_CTL, 0);
    let off = p.read(sysreg::CNTP_CTL);
    let longest = p.us(1_000);
    p.expect(Expectation::GivesBetween { step: count, least: (before, 0), most: (after, 0) });
    expect_value(p, cval, far);
    expect_value(p, ctl, 3);
    expect_value(p, off, 0);
    judge(move |t| {
        let (before, count, after) = (t.at(before)?.value, t.at(count)?.value, t.at(after)?.value);
        if !(before..=after).contains(&count) {
            return violated(format!("CNTPCT read {count} between CNTVCT {before} and {after}"));
        }
        value_at(t, cval, far, "CNTP_CVAL")?;
        value_at(t, ctl, 3, "CNTP_CTL (expected ENABLE, IMASK)")?;
        for tval in [tval, lower] {
            let tval = t.at(tval)?.value;
            if !(delay - longest..=delay).contains(&tval) {
                return violated(format!("CNTP_TVAL read {tval}, expected a little less than {delay}"));
            }
        }
        value_at(t, off, 0, "CNTP_CTL (expected all off)")?;
        Ok("each register read as written".to_owned())
    })
}

fn follows_its_deadline(p: &mut Program) -> Judge {
    offset(p);
    let delay = short(p);
    PTIMER.arm(p, delay);
    let armed = p.read(sysreg::CNTP_CVAL);
    let early = p.mmio_read();
    PTIMER.spin_past(p, 2 * delay);
    let late = p.mmio_read();
    PTIMER.off(p);
    let off = p.mmio_read();
    expect_levels(p, late, Levels::PTIMER);
    expect_levels(p, off, Levels::NONE);
    judge(move |t| {
        // With the same offset, a deadline on the guest's physical counter is the same one on its virtual counter.
        low_before(t, VTIMER, armed, early)?;
        levels_at(t, late, Levels::PTIMER, "after the deadline")?;
        levels_at(t, off, Levels::NONE, "with the timer turned off")?;
        Ok("asserted after the deadline, deasserted with the timer".to_owned())
    })
}

fn ends_kvm_run(p: &mut Program) -> Judge {
    offset(p);
    let delay = short(p);
    let armed = PTIMER.arm(p, delay);
    let spun = PTIMER.spin_past(p, 2 * delay);
    PTIMER.off(p);
    expect_return(p, Levels::PTIMER, armed, spun);
    judge(move |t| {
        returned_with(
            t,
            armed,
            spun,
            Levels::PTIMER,
            "the guest spun past the ptimer's deadline, and no return showed its level",
        )
    })
}

fn moved_to_a_later_deadline(p: &mut Program) -> Judge {
    offset(p);
    let delay = short(p);
    PTIMER.arm(p, delay);
    let moved = p.write(sysreg::CNTP_TVAL, 4 * delay);
    let armed = p.read(sysreg::CNTP_CVAL);
    PTIMER.spin_past(p, 2 * delay);
    let between = p.mmio_read();
    PTIMER.spin_past(p, 3 * delay);
    let late = p.mmio_read();
    expect_levels(p, late, Levels::PTIMER);
    judge(move |t| {
        t.at(moved)?;
        low_before(t, VTIMER, armed, between)?;
        levels_at(t, late, Levels::PTIMER, "after the later deadline")?;
        Ok("asserted after the later deadline, not after the first".to_owned())
    })
}

fn wfi_wakes(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    offset(p);
    PTIMER.arm(p, sleep(p));
    let armed = p.read(sysreg::CNTP_CVAL);
    let woke = p.wfi();
    PTIMER.off(p);
    let deadline = p.deadline_of(armed).expect("it reads a CVAL");
    p.expect(Expectation::EndsAt(woke, deadline));
    expect_return(p, Levels::PTIMER, armed, woke);
    judge(move |t| {
        let deadline = t.deadline(armed)?;
        let woke = t.at(woke)?;
        if woke.after < deadline {
            return violated(format!("WFI ended {} ticks before the deadline", deadline - woke.after));
        }
        match t.returns_between(woke.vcpu, woke.before, woke.after).find(|r| r.levels.contains(Levels::PTIMER)) {
            Some(r) => Ok(format!("woke {} ticks after the deadline, levels {}", woke.after - deadline, r.levels)),
            None => violated("WFI ended, but no return of KVM_RUN carried the timer's level"),
        }
    })
}
