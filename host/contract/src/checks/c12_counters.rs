//! C12: the guest's counters, set through ONE_REG, under an offset, and beside a sleeper.

use vtick_abi::litmus::sysreg;

use super::common::{PTIMER, Timer, VTIMER, value_of};
use crate::{
    Action, ActionRef, Check, Clause, FailsOn, Fault, Judge, Program, TimerRegister, Value, disturbed, judge, violated,
};
use vtick_core::lines::Routing;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "physical-counter-set-through-one-reg-goes-on-from-there",
        clause: Clause::C12,
        claim: "Setting CNTPCT a second ahead through KVM_SET_ONE_REG moves the guest's physical counter by that, and \
                KVM_GET_ONE_REG reads the same counter.",
        catches: "A restored guest whose physical clock starts from nothing.",
        fails_on: FailsOn::Faults(&[Fault::SetDropped, Fault::GetReadsZero]),
        program: physical_counter_set,
    },
    Check {
        name: "counter-offset-is-kept-against-one-reg",
        clause: Clause::C12,
        claim: "After KVM_ARM_SET_COUNTER_OFFSET, KVM_SET_ONE_REG of a counter succeeds and moves neither counter.",
        catches: "A snapshot that is restored with its counters over the offset that was chosen for it.",
        fails_on: FailsOn::Faults(&[Fault::CounterOffsetIgnored]),
        program: offset_is_kept,
    },
    Check {
        name: "counter-offset-is-kept-against-a-new-vcpu",
        clause: Clause::C12,
        claim: "After KVM_ARM_SET_COUNTER_OFFSET, creating another vCPU leaves the counters where they are.",
        catches: "A VM-wide counter offset that is set again for each new vCPU, though userspace chose one.",
        fails_on: FailsOn::Faults(&[Fault::CounterOffsetIgnored]),
        program: offset_is_kept_against_a_new_vcpu,
    },
    Check {
        name: "sleeper-whose-counter-is-turned-back-sleeps-until-its-vtimer-expires",
        clause: Clause::C12,
        claim: "When CNTVCT is turned back while a vCPU sleeps in WFI, the vCPU wakes when its vtimer expires by the \
                new count, not before.",
        catches: "A background timer that wakes a vCPU for nothing, or is not started again.",
        fails_on: FailsOn::Faults(&[Fault::WfiNeverWakes, Fault::LevelNeverSet]),
        program: |p| sleeper_turned_back(p, VTIMER, TimerRegister::Cntvct),
    },
    Check {
        name: "sleeper-whose-counter-is-turned-back-sleeps-until-its-ptimer-expires",
        clause: Clause::C12,
        claim: "When CNTPCT is turned back while a vCPU sleeps in WFI, the vCPU wakes when its ptimer expires by the \
                new count, not before.",
        catches: "A background timer that wakes a vCPU for nothing, or is not started again.",
        fails_on: FailsOn::Faults(&[Fault::WfiNeverWakes, Fault::PtimerNeverSet]),
        program: |p| sleeper_turned_back(p, PTIMER, TimerRegister::Cntpct),
    },
    Check {
        name: "ptimer-whose-counter-is-turned-back-asserts-by-the-new-count",
        clause: Clause::C12,
        claim: "When CNTPCT is turned back while a vCPU spins, KVM_RUN returns with the ptimer's level after the ptimer \
                has expired by the new count.",
        catches: "A host's timer that stands for the guest's, fires too early, and is not started again.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet]),
        program: spinner_turned_back,
    },
];

fn physical_counter_set(p: &mut Program) -> Judge {
    let second = p.us(1_000_000);
    let before = p.read(sysreg::CNTPCT);
    let (_, set) = p.ask(Action::Set(TimerRegister::Cntpct, Value::NowPhysical(second)));
    let after = p.read(sysreg::CNTPCT);
    let (_, got) = p.ask(Action::Get(TimerRegister::Cntpct));
    let last = p.read(sysreg::CNTPCT);
    judge(move |t| {
        value_of(t, set, "KVM_SET_ONE_REG")?;
        let got = value_of(t, got, "KVM_GET_ONE_REG")?;
        let (before, after, last) = (t.at(before)?.value, t.at(after)?.value, t.at(last)?.value);
        let moved = after.wrapping_sub(before);
        // What the call itself takes is far less than a second.
        if !(second..2 * second).contains(&moved) {
            return violated(format!("the counter moved by {moved} ticks, due were {second} and a little"));
        }
        match (after..=last).contains(&got) {
            true => Ok(format!("moved by {moved} ticks")),
            false => violated(format!("ONE_REG read {got}, the guest {after} before and {last} after it")),
        }
    })
}

fn offset_is_kept(p: &mut Program) -> Judge {
    p.require(Action::CounterOffset(p.us(1_000)));
    let second = p.us(1_000_000);
    let counters = [(sysreg::CNTVCT, TimerRegister::Cntvct), (sysreg::CNTPCT, TimerRegister::Cntpct)];
    let rounds = counters.map(|(counter, register)| {
        let before = p.read(counter);
        let (_, set) = p.ask(Action::Set(register, Value::Now(second)));
        (register, before, set, p.read(counter))
    });
    judge(move |t| {
        for (register, before, set, after) in rounds {
            value_of(t, set, "KVM_SET_ONE_REG")?;
            let (before, after) = (t.at(before)?.value, t.at(after)?.value);
            let moved = after.wrapping_sub(before);
            if moved >= second {
                return violated(format!("{register} was set over the offset: it moved by {moved} ticks"));
            }
        }
        Ok("neither counter moved".to_owned())
    })
}

fn offset_is_kept_against_a_new_vcpu(p: &mut Program) -> Judge {
    let offset = p.us(1_000);
    let set = p.require(Action::CounterOffset(offset));
    let (_, created) = p.ask(Action::CreateVcpu(1));
    let counts = [p.read(sysreg::CNTVCT), p.read(sysreg::CNTPCT)];
    judge(move |t| {
        value_of(t, created, "KVM_CREATE_VCPU")?;
        // The host's counter was there when the offset was set; the guest's are so much less.
        let host = t.time_of(set)?;
        for (name, count) in ["CNTVCT", "CNTPCT"].into_iter().zip(counts) {
            let count = t.at(count)?.value;
            if count.wrapping_add(offset) < host || count >= host.wrapping_add(host) {
                return violated(format!("{name} reads {count}; before, it was {} at least", host - offset));
            }
        }
        Ok("both counters went on".to_owned())
    })
}

/// By how much a counter is turned back, in microseconds: less than any guest's counter has come to.
const BACK_US: u64 = 2_000;

/// The flag by which vCPU 0 says that its timer is armed.
const ARMED: u16 = 0;

/// vCPU 1 turns a counter back, so long after vCPU 0 has armed its timer: that one may be asleep.
fn turn_back(p: &mut Program, register: TimerRegister, after: u64) -> ActionRef {
    let back = p.us(BACK_US).wrapping_neg();
    let value = if register == TimerRegister::Cntvct { Value::Now(back) } else { Value::NowPhysical(back) };
    p.on_vcpu(1, |p| {
        p.wait_for(ARMED, 1, p.us(60_000));
        p.spin(after);
        p.ask(Action::Set(register, value)).1
    })
}

fn sleeper_turned_back(p: &mut Program, timer: Timer, register: TimerRegister) -> Judge {
    p.route(Routing::Wire);
    let delay = p.us(5_000);
    // A young VM's counter is not turned back below zero.
    p.spin_until(p.us(BACK_US + 1_000));
    let armed = timer.arm(p, delay);
    let said = p.signal(ARMED);
    let woke = p.wfi();
    let counter = if register == TimerRegister::Cntvct { sysreg::CNTVCT } else { sysreg::CNTPCT };
    let count = p.read(counter);
    timer.off(p);
    let turned = turn_back(p, register, p.us(1_000));
    judge(move |t| {
        value_of(t, turned, "KVM_SET_ONE_REG")?;
        let (deadline, slept, count) = (t.at(armed)?.value, t.at(woke)?, t.at(count)?.value);
        let expired = t.at(said)?.before + delay;
        if !(slept.before..expired).contains(&t.time_of(turned)?) {
            return disturbed("the counter was not turned back while the vCPU slept");
        }
        if count < deadline {
            return violated(format!("WFI ended {} ticks before the deadline", deadline - count));
        }
        // The guest's records after this are on a counter that was turned back: the host's returns are not.
        let turned = t.time_of(turned)?;
        let told = t.returns().find(|r| r.vcpu == 0 && r.returned >= turned && r.levels.contains(timer.level));
        match told {
            Some(r) => Ok(format!("asleep from {}, woken with {}, levels {}", slept.before, r.exit, r.levels)),
            None => violated("WFI ended, but no return of KVM_RUN carried the timer's level"),
        }
    })
}

fn spinner_turned_back(p: &mut Program) -> Judge {
    // On a host with one CPU, vCPU 1 gets in between the scheduler's ticks.
    let delay = p.us(20_000);
    p.spin_until(p.us(BACK_US + 1_000));
    PTIMER.arm(p, delay);
    p.signal(ARMED);
    // Past the deadline by either count, on the virtual counter, which nobody moves.
    let spun = PTIMER.spin_past(p, 2 * delay);
    PTIMER.off(p);
    let turned = turn_back(p, TimerRegister::Cntpct, 0);
    let back = p.us(BACK_US);
    judge(move |t| {
        value_of(t, turned, "KVM_SET_ONE_REG")?;
        let (from, to) = (t.at(spun)?.before, t.at(spun)?.after);
        let due = from + delay;
        if !(from..due).contains(&t.time_of(turned)?) {
            return disturbed("the counter was not turned back before the deadline");
        }
        match t.returns_between(0, due, to).find(|r| r.levels.contains(PTIMER.level)) {
            Some(r) => Ok(format!("asserted {} ticks after the old deadline, turned back by {back}", r.returned - due)),
            None => violated("the ptimer expired by the new count, and no return showed its level"),
        }
    })
}
