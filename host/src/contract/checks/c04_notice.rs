//! C4: a level change makes KVM_RUN return before guest code runs on.

use vtick_abi::litmus::sysreg;

use crate::contract::{Check, Clause, Judge, Program, Value, judge, violated};
use crate::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "rising-level-ends-kvm-run",
        clause: Clause::C4,
        claim: "When the vtimer expires under a spinning guest, KVM_RUN returns with its level high.",
        catches: "No exit on a rising level: the interrupt waits for whatever exits next.",
        program: rising_level_ends_kvm_run,
    },
    Check {
        name: "rising-level-ends-kvm-run-while-the-guest-spins",
        clause: Clause::C4,
        claim: "The return comes at the deadline, not before it, and not only when the guest exits by itself.",
        catches: "A notice that is early, or late by an exit.",
        program: rising_level_is_on_time,
    },
    Check {
        name: "falling-level-is-noticed-before-the-guest-runs-on",
        clause: Clause::C4,
        claim: "After the guest turns an expired vtimer off, the next VM exit, even one that the kernel handles by \
                itself, returns to userspace with the level low.",
        catches: "No exit on a falling level: userspace keeps the line up, and the guest takes the interrupt again.",
        program: falling_level_is_noticed,
    },
    Check {
        name: "ptimer-rising-level-ends-kvm-run",
        clause: Clause::C4,
        claim: "When the physical timer expires under a spinning guest, KVM_RUN returns with its level high.",
        catches: "A ptimer that is emulated but never armed, or whose output is not reported.",
        program: ptimer_rising_level_ends_kvm_run,
    },
];

fn rising_level_ends_kvm_run(p: &mut Program) -> Judge {
    let delay = p.us(300);
    let armed = p.arm_vtimer(delay);
    let spun = p.spin_until(Value::Now(3 * delay));
    judge(move |t| {
        let (armed, spun) = (t.at(armed)?, t.at(spun)?);
        match t.returns_between(0, armed.after, spun.after).find(|r| r.levels.contains(Levels::VTIMER)) {
            Some(r) => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            None => violated("the guest spun past its deadline and KVM_RUN never returned with the vtimer's level"),
        }
    })
}

fn rising_level_is_on_time(p: &mut Program) -> Judge {
    let delay = p.us(300);
    let armed = p.arm_vtimer(delay);
    let spun = p.spin_until(Value::Now(100 * delay));
    judge(move |t| {
        let deadline = t.deadline(armed)?;
        let spun = t.at(spun)?;
        let Some(first) =
            t.returns_between(0, t.at(armed)?.before, spun.after).find(|r| r.levels.contains(Levels::VTIMER))
        else {
            return violated("the guest spun past its deadline and KVM_RUN never returned with the vtimer's level");
        };
        if first.returned < deadline {
            return violated(format!("the level was high {} ticks before the deadline", deadline - first.returned));
        }
        Ok(format!("returned {} ticks after the deadline", first.returned - deadline))
    })
}

fn falling_level_is_noticed(p: &mut Program) -> Judge {
    let delay = p.us(300);
    p.arm_vtimer(delay);
    p.spin_until(Value::Now(2 * delay));
    let high = p.mmio_read();
    let off = p.write(sysreg::CNTV_CTL, 0);
    let call = p.hvc_psci_version();
    let ran_on = p.note(0);
    judge(move |t| {
        let high = t.exit_of(high)?;
        if high.levels != Levels::VTIMER {
            return violated(format!("before it fell the level was {}, due was vtimer", high.levels));
        }
        let (off, call, ran_on) = (t.at(off)?, t.at(call)?, t.at(ran_on)?);
        match t.returns_between(0, off.before, ran_on.before).next() {
            Some(r) if r.levels == Levels::NONE => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            Some(r) => violated(format!("KVM_RUN returned with levels {}, due were none", r.levels)),
            None => violated(format!(
                "the guest turned the timer off and went through an HVC, and ran on {} ticks later with KVM_RUN never \
                 having returned",
                ran_on.before.saturating_sub(call.before)
            )),
        }
    })
}

fn ptimer_rising_level_ends_kvm_run(p: &mut Program) -> Judge {
    let delay = p.us(300);
    let armed = p.arm_ptimer(delay);
    let spun = p.spin_until(Value::Now(3 * delay));
    judge(move |t| {
        let (armed, spun) = (t.at(armed)?, t.at(spun)?);
        match t.returns_between(0, armed.after, spun.after).find(|r| r.levels.contains(Levels::PTIMER)) {
            Some(r) if r.levels == Levels::PTIMER => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            Some(r) => violated(format!("KVM_RUN returned with levels {}, due were ptimer", r.levels)),
            None => violated("the guest spun past its deadline and KVM_RUN never returned with the ptimer's level"),
        }
    })
}
