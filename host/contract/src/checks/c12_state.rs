//! C12: ONE_REG, re-initialisation and migration lose nothing and invent nothing.

use vtick_abi::litmus::sysreg;

use super::common::{
    PTIMER, VTIMER, asleep_before, expect_bits, expect_levels, expect_low_before, expect_quiet, expect_return,
    levels_at, low_before, returned_with, short, value_of,
};
use crate::{
    Action, ActionRef, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, TimerRegister, Transcript, Unheld,
    Value, judge, not_exercised, violated,
};
use vtick_core::lines::{Levels, Routing};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "one-reg-reads-what-the-guest-wrote",
        clause: Clause::C12,
        claim: "KVM_GET_ONE_REG reads the CVAL and CTL that the guest wrote to its vtimer.",
        catches: "A snapshot that loses a deadline; the swapped encodings of CVAL and CNT taken literally.",
        fails_on: FailsOn::Faults(&[Fault::GetReadsZero]),
        program: |p| one_reg_reads(p, TimerRegister::CntvCval, TimerRegister::CntvCtl),
    },
    Check {
        name: "one-reg-reads-what-the-guest-wrote-to-the-ptimer",
        clause: Clause::C12,
        claim: "KVM_GET_ONE_REG reads the CVAL and CTL that the guest wrote to its ptimer.",
        catches: "A snapshot that loses a deadline.",
        fails_on: FailsOn::Faults(&[Fault::GetReadsZero]),
        program: |p| one_reg_reads(p, TimerRegister::CntpCval, TimerRegister::CntpCtl),
    },
    Check {
        name: "one-reg-reads-what-userspace-set",
        clause: Clause::C12,
        claim: "Before a vCPU runs, KVM_GET_ONE_REG reads the CVAL and CTL of its vtimer as KVM_SET_ONE_REG set them, but \
                for an ISTATUS that was set.",
        catches: "A register that is not stored, or stored with a status that was true when it was saved.",
        fails_on: FailsOn::Faults(&[Fault::SetDropped, Fault::CtlSetDropped, Fault::GetReadsZero]),
        program: |p| one_reg_keeps(p, TimerRegister::CntvCval, TimerRegister::CntvCtl),
    },
    Check {
        name: "one-reg-reads-what-userspace-set-in-the-ptimer",
        clause: Clause::C12,
        claim: "Before a vCPU runs, KVM_GET_ONE_REG reads the CVAL and CTL of its ptimer as KVM_SET_ONE_REG set them, but \
                for an ISTATUS that was set.",
        catches: "A register that is not stored, or stored with a status that was true when it was saved.",
        fails_on: FailsOn::Faults(&[Fault::SetDropped, Fault::CtlSetDropped, Fault::GetReadsZero]),
        program: |p| one_reg_keeps(p, TimerRegister::CntpCval, TimerRegister::CntpCtl),
    },
    Check {
        name: "one-reg-reads-istatus-of-a-deadline-that-userspace-set",
        clause: Clause::C12,
        claim: "Before a vCPU runs, KVM_GET_ONE_REG of its vtimer's CTL reads ISTATUS as it follows from the CVAL that \
                userspace set.",
        catches: "A status of the timer as it was, in the machine from which the state comes.",
        fails_on: FailsOn::Faults(&[Fault::SetDropped, Fault::GetReadsZero]),
        program: one_reg_reads_istatus,
    },
    Check {
        name: "cval-set-through-one-reg-asserts",
        clause: Clause::C12,
        claim: "A deadline set through KVM_SET_ONE_REG asserts the vtimer's output when it passes.",
        catches: "A register that is stored and never armed.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::SetDropped]),
        program: cval_set_through_one_reg,
    },
    Check {
        name: "ctl-cleared-through-one-reg-deasserts",
        clause: Clause::C12,
        claim: "Clearing CTL of an asserted vtimer through KVM_SET_ONE_REG lowers its level by the next exit.",
        catches: "A level that outlives its timer.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh, Fault::EnableIgnored, Fault::CtlSetDropped]),
        program: |p| ctl_set_through_one_reg(p, 0),
    },
    Check {
        name: "imask-set-through-one-reg-deasserts",
        clause: Clause::C12,
        claim: "Setting IMASK of an asserted vtimer through KVM_SET_ONE_REG lowers its level by the next exit.",
        catches: "A level that outlives its timer.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh, Fault::ImaskIgnored, Fault::CtlSetDropped]),
        program: |p| ctl_set_through_one_reg(p, 3),
    },
    Check {
        name: "counter-set-through-one-reg-goes-on-from-there",
        clause: Clause::C12,
        claim: "Setting CNTVCT a second ahead through KVM_SET_ONE_REG moves the guest's counter by a second.",
        catches: "A restored guest whose clock starts from nothing.",
        fails_on: FailsOn::Faults(&[Fault::SetDropped]),
        program: counter_set_through_one_reg,
    },
    Check {
        name: "re-init-turns-the-timers-off",
        clause: Clause::C12,
        claim: "After KVM_ARM_VCPU_INIT an asserted vtimer is off and its level low.",
        catches: "A reset machine that starts with an interrupt of its former life.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh, Fault::ReinitKeepsTimers]),
        program: reinit_turns_off,
    },
    Check {
        name: "restored-state-carries-the-level",
        clause: Clause::C12,
        claim: "When the state of a vCPU with an asserted vtimer is restored after KVM_ARM_VCPU_INIT, the next exit \
                shows the level.",
        catches: "An interrupt lost in a snapshot or a migration.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::RestoreLosesTimers]),
        program: restored_state_carries_the_level,
    },
    Check {
        name: "restored-deadline-asserts",
        clause: Clause::C12,
        claim: "When the state of a vCPU with an armed vtimer is restored after KVM_ARM_VCPU_INIT, it asserts at its \
                deadline.",
        catches: "A deadline lost in a snapshot or a migration.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::RestoreLosesTimers]),
        program: restored_deadline_asserts,
    },
    Check {
        name: "armed-timer-survives-migration",
        clause: Clause::C12,
        claim: "A vtimer armed on one host CPU asserts at its deadline after its thread has moved to another.",
        catches: "Timer state left behind in the CPU that had it.",
        fails_on: FailsOn::Faults(&[Fault::NoReturnOnRise, Fault::MigrationStopsTimer]),
        program: armed_timer_survives_migration,
    },
    Check {
        name: "asserted-level-survives-migration",
        clause: Clause::C12,
        claim: "An asserted level shows, without a new notice, after the vCPU's thread has moved to another host CPU.",
        catches: "A level lost, or reported again because a CPU saw the level for the first time.",
        fails_on: FailsOn::Faults(&[Fault::LevelIsAPulse, Fault::MigrationStopsTimer]),
        program: asserted_level_survives_migration,
    },
    Check {
        name: "sleeping-vcpu-wakes-after-migration",
        clause: Clause::C12,
        claim: "A vCPU that has moved to another host CPU with its vtimer armed wakes from WFI at the deadline.",
        catches: "A background timer left behind on the other CPU.",
        fails_on: FailsOn::Faults(&[Fault::NoReturnOnRise, Fault::WfiNeverWakes, Fault::MigrationStopsTimer]),
        program: sleeping_vcpu_wakes_after_migration,
    },
    Check {
        name: "creating-a-vcpu-leaves-the-counter-running",
        clause: Clause::C12,
        claim: "Creating another vCPU while the guest runs does not turn its counter back.",
        catches: "A VM-wide counter offset that is set again for each new vCPU.",
        fails_on: FailsOn::OnlyKernels("All kernels deviate: it is violated without a fault."),
        program: creating_a_vcpu,
    },
];

/// That an action succeeded.
fn done(t: &Transcript, action: ActionRef, what: &str) -> Result<(), Unheld> {
    match t.result(action)? {
        0 => Ok(()),
        error => violated(format!("{what} returned {error}, expected 0")),
    }
}

fn one_reg_reads(p: &mut Program, cval: TimerRegister, ctl: TimerRegister) -> Judge {
    let timer = if cval == TimerRegister::CntvCval { VTIMER } else { PTIMER };
    let armed = timer.arm(p, p.us(1_000_000));
    let (_, cval) = p.ask(Action::Get(cval));
    let (_, ctl) = p.ask(Action::Get(ctl));
    timer.off(p);
    p.expect(Expectation::Unless(cval, -i64::from(libc::ENOENT)));
    p.expect(Expectation::ResultIsOf(cval, armed));
    p.expect(Expectation::Result(ctl, 1));
    judge(move |t| {
        let (due, cval, ctl) =
            (t.at(armed)?.value, value_of(t, cval, "KVM_GET_ONE_REG")?, value_of(t, ctl, "KVM_GET_ONE_REG")?);
        if (cval, ctl) != (due, 1) {
            return violated(format!("ONE_REG reads CVAL {cval}, CTL {ctl:#x}; the guest wrote {due} and 0x1"));
        }
        Ok("CVAL and CTL as the guest wrote them".to_owned())
    })
}

const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;
const ISTATUS: u64 = 1 << 2;
/// A CVAL long after any counter's value, with bits in both halves.
const FAR: u64 = 0x5a5a_a5a5_3c3c_c3c3;

fn one_reg_keeps(p: &mut Program, cval: TimerRegister, ctl: TimerRegister) -> Judge {
    set_and_get(
        p,
        &[
            (cval, FAR, cval, FAR),
            (ctl, ENABLE, ctl, ENABLE),
            (ctl, ENABLE | ISTATUS, ctl, ENABLE),
            (ctl, ENABLE | IMASK, ctl, ENABLE | IMASK),
            (cval, !FAR & u64::MAX >> 1, ctl, ENABLE | IMASK),
            (ctl, 0, cval, !FAR & u64::MAX >> 1),
        ],
    )
}

fn one_reg_reads_istatus(p: &mut Program) -> Judge {
    let (cval, ctl) = (TimerRegister::CntvCval, TimerRegister::CntvCtl);
    set_and_get(
        p,
        &[
            (cval, FAR, cval, FAR),
            (ctl, ENABLE | IMASK, ctl, ENABLE | IMASK),
            (cval, 0, ctl, ENABLE | IMASK | ISTATUS),
            (ctl, ENABLE, ctl, ENABLE | ISTATUS),
            (cval, FAR, ctl, ENABLE),
            (ctl, 0, cval, FAR),
        ],
    )
}

/// Before the vCPU runs: a register is set to a value, and one is got, for which so much is due.
fn set_and_get(p: &mut Program, steps: &[(TimerRegister, u64, TimerRegister, u64)]) -> Judge {
    let steps: Vec<_> = steps
        .iter()
        .map(|&(register, value, asked, due)| {
            let set = p.before(Action::Set(register, Value::Is(value)));
            (register, value, set, asked, p.before(Action::Get(asked)), due)
        })
        .collect();
    judge(move |t| {
        for &(register, value, set, asked, got, due) in &steps {
            value_of(t, set, "KVM_SET_ONE_REG")?;
            let got = value_of(t, got, "KVM_GET_ONE_REG")?;
            if got != due {
                return violated(format!(
                    "{register} was set to {value:#x}: {asked} reads {got:#x}, expected {due:#x}"
                ));
            }
        }
        Ok("as set, with ISTATUS as it is".to_owned())
    })
}

fn cval_set_through_one_reg(p: &mut Program) -> Judge {
    let delay = short(p);
    p.arm_vtimer(p.us(1_000_000));
    let (asked, set) = p.ask(Action::Set(TimerRegister::CntvCval, Value::Now(delay)));
    let read = p.read(sysreg::CNTV_CVAL);
    let early = p.mmio_read();
    let spun = VTIMER.spin_past(p, 3 * delay);
    p.expect(Expectation::Result(set, 0));
    expect_low_before(p, read, early);
    expect_return(p, Levels::VTIMER, asked, spun);
    judge(move |t| {
        done(t, set, "KVM_SET_ONE_REG")?;
        low_before(t, VTIMER, read, early)?;
        returned_with(
            t,
            asked,
            spun,
            Levels::VTIMER,
            "the deadline passed under a spinning guest, and no return showed the level",
        )
    })
}

fn ctl_set_through_one_reg(p: &mut Program, ctl: u64) -> Judge {
    let high = VTIMER.expire(p);
    let (_, set) = p.ask(Action::Set(TimerRegister::CntvCtl, Value::Is(ctl)));
    let low = p.mmio_read();
    let read = p.read(sysreg::CNTV_CTL);
    p.expect(Expectation::Result(set, 0));
    expect_levels(p, high, Levels::VTIMER);
    expect_levels(p, low, Levels::NONE);
    expect_bits(p, read, ctl, 3);
    judge(move |t| {
        done(t, set, "KVM_SET_ONE_REG")?;
        levels_at(t, high, Levels::VTIMER, "before CTL was set")?;
        levels_at(t, low, Levels::NONE, "after CTL was set")?;
        match t.at(read)?.value {
            value if value & 3 == ctl => Ok("low, and the guest reads CTL as it was set".to_owned()),
            value => violated(format!("the guest reads CTL {value:#x}, set was {ctl:#x}")),
        }
    })
}

fn counter_set_through_one_reg(p: &mut Program) -> Judge {
    let second = p.us(1_000_000);
    let before = p.read(sysreg::CNTVCT);
    let (_, set) = p.ask(Action::Set(TimerRegister::Cntvct, Value::Now(second)));
    let after = p.read(sysreg::CNTVCT);
    p.expect(Expectation::Result(set, 0));
    p.expect(Expectation::GivesBetween { step: after, least: (before, second), most: (before, 2 * second) });
    judge(move |t| {
        done(t, set, "KVM_SET_ONE_REG")?;
        let moved = t.at(after)?.value.wrapping_sub(t.at(before)?.value);
        // What the call itself takes is far less than a second.
        match moved {
            moved if (second..2 * second).contains(&moved) => Ok(format!("moved by {moved} ticks")),
            moved => violated(format!("the counter moved by {moved} ticks, expected {second} and a little")),
        }
    })
}

fn reinit_turns_off(p: &mut Program) -> Judge {
    let high = VTIMER.expire(p);
    let (_, reinit) = p.ask(Action::Reinit { restore_timers: false });
    let low = p.mmio_read();
    let ctl = p.read(sysreg::CNTV_CTL);
    p.expect(Expectation::Result(reinit, 0));
    expect_levels(p, high, Levels::VTIMER);
    expect_levels(p, low, Levels::NONE);
    expect_bits(p, ctl, 0, 1);
    judge(move |t| {
        done(t, reinit, "KVM_ARM_VCPU_INIT with the registers restored")?;
        levels_at(t, high, Levels::VTIMER, "before")?;
        levels_at(t, low, Levels::NONE, "after KVM_ARM_VCPU_INIT")?;
        match t.at(ctl)?.value & 1 {
            0 => Ok("off, and low".to_owned()),
            _ => violated("CNTV_CTL.ENABLE is still set after KVM_ARM_VCPU_INIT"),
        }
    })
}

fn restored_state_carries_the_level(p: &mut Program) -> Judge {
    let high = VTIMER.expire(p);
    let (_, reinit) = p.ask(Action::Reinit { restore_timers: true });
    let still = p.mmio_read();
    p.expect(Expectation::Result(reinit, 0));
    expect_levels(p, high, Levels::VTIMER);
    expect_levels(p, still, Levels::VTIMER);
    judge(move |t| {
        done(t, reinit, "KVM_ARM_VCPU_INIT with the registers restored")?;
        levels_at(t, high, Levels::VTIMER, "before")?;
        levels_at(t, still, Levels::VTIMER, "after the timer's state was restored")?;
        Ok("high again".to_owned())
    })
}

fn restored_deadline_asserts(p: &mut Program) -> Judge {
    let delay = p.us(3000);
    let armed = p.arm_vtimer(delay);
    let (asked, reinit) = p.ask(Action::Reinit { restore_timers: true });
    let spun = VTIMER.spin_past(p, 2 * delay);
    p.expect(Expectation::Result(reinit, 0));
    expect_return(p, Levels::VTIMER, asked, spun);
    judge(move |t| {
        done(t, reinit, "KVM_ARM_VCPU_INIT with the registers restored")?;
        let deadline = t.deadline(armed)?;
        match t.returns_between(0, t.at(asked)?.before, t.at(spun)?.after).find(|r| r.levels == Levels::VTIMER) {
            Some(r) if r.returned >= deadline => Ok(format!("asserted {} ticks after it", r.returned - deadline)),
            Some(r) => violated(format!("asserted {} ticks before the deadline", deadline - r.returned)),
            None => violated("the deadline passed under a spinning guest, and no return showed the level"),
        }
    })
}

/// That the thread moved, or that it had nowhere to go.
fn moved(t: &Transcript, action: ActionRef) -> Result<(), Unheld> {
    match t.result(action)? {
        0 => Ok(()),
        error if error == -i64::from(libc::ENODEV) => not_exercised("this host has one CPU to run on"),
        error => {
            not_exercised(format!("the thread may not be moved to another CPU: sched_setaffinity returned {error}"))
        }
    }
}

fn armed_timer_survives_migration(p: &mut Program) -> Judge {
    let delay = p.us(3000);
    p.arm_vtimer(delay);
    let (asked, migrated) = p.ask(Action::Migrate);
    let spun = VTIMER.spin_past(p, 2 * delay);
    p.expect(Expectation::Unless(migrated, -i64::from(libc::ENODEV)));
    expect_return(p, Levels::VTIMER, asked, spun);
    judge(move |t| {
        moved(t, migrated)?;
        returned_with(
            t,
            asked,
            spun,
            Levels::VTIMER,
            "the deadline passed under a spinning guest, and no return showed the level",
        )
    })
}

fn asserted_level_survives_migration(p: &mut Program) -> Judge {
    let high = VTIMER.expire(p);
    let (_, migrated) = p.ask(Action::Migrate);
    let from = p.note(0);
    let to = p.spin(short(p));
    let still = p.mmio_read();
    VTIMER.off(p);
    let low = p.mmio_read();
    p.expect(Expectation::Unless(migrated, -i64::from(libc::ENODEV)));
    expect_levels(p, high, Levels::VTIMER);
    expect_quiet(p, from, to);
    expect_levels(p, still, Levels::VTIMER);
    expect_levels(p, low, Levels::NONE);
    judge(move |t| {
        moved(t, migrated)?;
        levels_at(t, high, Levels::VTIMER, "before")?;
        super::common::quiet_between(t, from, to)?;
        levels_at(t, still, Levels::VTIMER, "on the other CPU")?;
        levels_at(t, low, Levels::NONE, "after the timer was turned off")?;
        Ok("high on both CPUs, told once".to_owned())
    })
}

fn sleeping_vcpu_wakes_after_migration(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    let armed = p.arm_vtimer(p.us(5000));
    let (_, migrated) = p.ask(Action::Migrate);
    let woke = p.wfi();
    VTIMER.off(p);
    p.expect(Expectation::Unless(migrated, -i64::from(libc::ENODEV)));
    expect_return(p, Levels::VTIMER, armed, woke);
    judge(move |t| {
        moved(t, migrated)?;
        let woke = asleep_before(t, woke, t.deadline(armed)?)?;
        match t.returns_between(0, woke.before, woke.after).find(|r| r.levels == Levels::VTIMER) {
            Some(r) => Ok(format!("woke with {}, levels {}", r.exit, r.levels)),
            None => violated("WFI ended, but no return of KVM_RUN carried the timer's level"),
        }
    })
}

fn creating_a_vcpu(p: &mut Program) -> Judge {
    // Longer than the call takes: a counter that is turned back has not come as far again.
    let ahead = p.us(20_000);
    p.spin_until(ahead);
    let before = p.read(sysreg::CNTVCT);
    let (_, created) = p.ask(Action::CreateVcpu(1));
    let after = p.read(sysreg::CNTVCT);
    p.expect(Expectation::Result(created, 0));
    p.expect(Expectation::GivesBetween { step: after, least: (before, 0), most: (before, p.us(10_000_000)) });
    judge(move |t| {
        done(t, created, "KVM_CREATE_VCPU")?;
        // The host's counter knows how long it took. The guest's records, on a counter that may have been turned back, do not.
        let at = t.time_of(created)?;
        let asked = t.returns().rfind(|r| r.returned <= at && r.exit.address().is_some());
        let took = asked.map_or(0, |r| at - r.returned);
        let (before, after) = (t.at(before)?.value, t.at(after)?.value);
        match after.checked_sub(before) {
            Some(passed) if passed >= took => Ok(format!("went on, by {passed} ticks")),
            _ => violated(format!("the counter read {before} before, and {after} after a call that took {took} ticks")),
        }
    })
}
