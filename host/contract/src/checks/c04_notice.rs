//! C4: a level change makes KVM_RUN return before guest code runs on.

use super::common::{
    BOTH, PTIMER, Timer, VTIMER, expect_levels, expect_low_before, expect_return, levels_at, low_before, returned_with,
    short,
};
use crate::{
    Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, Step, Transcript, Unheld, judge, violated,
};
use vtick_core::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "rising-level-ends-kvm-run",
        clause: Clause::C4,
        claim: "When the vtimer expires under a spinning guest, KVM_RUN returns with its level high.",
        catches: "No exit on a rising level: the interrupt waits for whatever exits next.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::LevelLate, Fault::NoReturnOnRise]),
        program: rising_level_ends_kvm_run,
    },
    Check {
        name: "rising-level-ends-kvm-run-while-the-guest-spins",
        clause: Clause::C4,
        claim: "The return comes at the deadline, not before it, and not only when the guest exits by itself.",
        catches: "A notice that is early, or late by an exit.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet]),
        program: rising_level_is_on_time,
    },
    Check {
        name: "falling-level-is-noticed-before-the-guest-runs-on",
        clause: Clause::C4,
        claim: "After the guest turns an expired vtimer off, the next VM exit, even one that the kernel handles by \
                itself, returns to userspace with the level low.",
        catches: "No exit on a falling level: userspace keeps the line up, and the guest takes the interrupt again.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh, Fault::NoReturnOnFall]),
        program: |p| falling_level_is_noticed(p, VTIMER),
    },
    Check {
        name: "ptimer-rising-level-ends-kvm-run",
        clause: Clause::C4,
        claim: "When the physical timer expires under a spinning guest, KVM_RUN returns with its level high.",
        catches: "A ptimer that is emulated but never armed, or whose output is not reported.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet]),
        program: ptimer_rising_level_ends_kvm_run,
    },
    Check {
        name: "ptimer-falling-level-is-noticed-before-the-guest-runs-on",
        clause: Clause::C4,
        claim: "After the guest turns an expired ptimer off, the next VM exit, even one that the kernel handles by \
                itself, returns to userspace with the level low.",
        catches: "No exit on a falling level: userspace keeps the line up, and the guest takes the interrupt again.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh, Fault::NoReturnOnFall]),
        program: |p| falling_level_is_noticed(p, PTIMER),
    },
    Check {
        name: "level-that-rises-in-userspace-is-noticed-before-the-guest-runs",
        clause: Clause::C4,
        claim: "When the vtimer expires while userspace has the vCPU, the next KVM_RUN returns its level before guest \
                code runs.",
        catches: "A kernel that looks for changes only after guest code has run.",
        fails_on: FailsOn::Faults(&[Fault::NoReturnOnRise]),
        program: rises_in_userspace,
    },
    Check {
        name: "fall-of-one-level-is-noticed-while-the-other-stays",
        clause: Clause::C4,
        claim: "With both timers asserted, turning the vtimer off makes KVM_RUN return with only the ptimer's level.",
        catches: "A notice for 'any level' instead of for each.",
        fails_on: FailsOn::Faults(&[Fault::FallOfOneHidden, Fault::NoReturnOnFall]),
        program: fall_of_one,
    },
    Check {
        name: "rise-of-a-second-level-is-noticed-while-the-first-stays",
        clause: Clause::C4,
        claim: "With the vtimer asserted and reported, the ptimer's expiry under a spinning guest makes KVM_RUN return with \
                both levels.",
        catches: "A notice for 'any level' instead of for each.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::RiseOfSecondMissed]),
        program: rise_of_a_second,
    },
    Check {
        name: "each-of-five-deadlines-is-noticed",
        clause: Clause::C4,
        claim: "A vtimer that is turned off and armed again is noticed at every deadline, not only at the first.",
        catches: "State that outlives the first interrupt: a level taken for one already reported, a timer left \
                  masked.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet]),
        program: each_deadline_is_noticed,
    },
    Check {
        name: "deadline-behind-an-exit-that-the-kernel-handles-is-noticed",
        clause: Clause::C4,
        claim: "A vtimer that is armed, and then expires under a guest that spins behind an HVC, is noticed at each of five \
                deadlines.",
        catches: "A host interrupt that stays masked or active behind an exit of which userspace sees nothing.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::NoReturnOnRise]),
        program: noticed_behind_an_hvc,
    },
    Check {
        name: "deadline-is-noticed-after-another-vcpu-left-with-its-level-high",
        clause: Clause::C4,
        claim: "When a vCPU has returned with its vtimer's level high, the vtimer of another vCPU that runs on the same host \
                CPU makes its KVM_RUN return at its deadline.",
        catches: "A host interrupt that is masked or active for one vCPU, and stays so for the next.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::NoReturnOnRise]),
        program: noticed_after_another_left,
    },
];

fn rising_level_ends_kvm_run(p: &mut Program) -> Judge {
    let delay = p.us(300);
    let armed = p.arm_vtimer(delay);
    let spun = VTIMER.spin_past(p, 3 * delay);
    expect_return(p, Levels::VTIMER, armed, spun);
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
    let spun = VTIMER.spin_past(p, 10 * delay);
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

fn falling_level_is_noticed(p: &mut Program, timer: Timer) -> Judge {
    let high = timer.expire(p);
    let off = timer.off(p);
    let call = p.hvc_psci_version();
    let ran_on = p.note(0);
    expect_levels(p, high, timer.level);
    p.expect(Expectation::FirstReturn(Levels::NONE, off.start().to(ran_on.start())));
    judge(move |t| {
        levels_at(t, high, timer.level, "before it fell")?;
        let (off, call, ran_on) = (t.at(off)?, t.at(call)?, t.at(ran_on)?);
        match t.returns_between(0, off.before, ran_on.before).next() {
            Some(r) if r.levels == Levels::NONE => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            Some(r) => violated(format!("KVM_RUN returned with levels {}, expected none", r.levels)),
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
    let spun = PTIMER.spin_past(p, 3 * delay);
    expect_return(p, Levels::PTIMER, armed, spun);
    judge(move |t| {
        let (armed, spun) = (t.at(armed)?, t.at(spun)?);
        match t.returns_between(0, armed.after, spun.after).find(|r| r.levels.contains(Levels::PTIMER)) {
            Some(r) if r.levels == Levels::PTIMER => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            Some(r) => violated(format!("KVM_RUN returned with levels {}, expected ptimer", r.levels)),
            None => violated("the guest spun past its deadline and KVM_RUN never returned with the ptimer's level"),
        }
    })
}

fn rises_in_userspace(p: &mut Program) -> Judge {
    let delay = short(p);
    p.notes_pc();
    let armed = p.arm_vtimer(delay);
    let (asked, stayed) = p.ask(Action::Stay { ticks: 3 * delay });
    expect_low_before(p, armed, asked);
    expect_return(p, Levels::VTIMER, asked, asked);
    judge(move |t| {
        low_before(t, VTIMER, armed, asked)?;
        // The operation that asked ends when the guest runs on. KVM_RUN first finishes the MMIO write that asked.
        let (asked_at, stayed, ran_on) = (t.exit_of(asked)?.pc, t.time_of(stayed)?, t.at(asked)?.after);
        let next = asked_at.map(|pc| pc + 4);
        match t.returns_between(0, stayed, ran_on).find(|r| r.levels == Levels::VTIMER) {
            Some(r) if r.pc == next => Ok(format!("{r}: no instruction behind the access that userspace answered")),
            Some(r) => violated(format!("{r}; the guest had been left before {:#x}", next.unwrap_or(0))),
            None => violated("the guest ran on, and no return of KVM_RUN had shown the vtimer's level"),
        }
    })
}

fn fall_of_one(p: &mut Program) -> Judge {
    VTIMER.expire(p);
    let high = PTIMER.expire(p);
    let off = VTIMER.off(p);
    p.hvc_psci_version();
    let ran_on = p.note(0);
    PTIMER.off(p);
    expect_levels(p, high, BOTH);
    p.expect(Expectation::FirstReturn(Levels::PTIMER, off.start().to(ran_on.start())));
    judge(move |t| {
        levels_at(t, high, BOTH, "with both timers expired")?;
        match t.returns_between(0, t.at(off)?.before, t.at(ran_on)?.before).next() {
            Some(r) if r.levels == Levels::PTIMER => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            Some(r) => violated(format!("KVM_RUN returned with levels {}, expected ptimer", r.levels)),
            None => violated("the guest turned the vtimer off, went through an HVC and ran on, without a return"),
        }
    })
}

fn rise_of_a_second(p: &mut Program) -> Judge {
    let delay = short(p);
    VTIMER.expire(p);
    let armed = PTIMER.arm(p, delay);
    let spun = PTIMER.spin_past(p, 2 * delay);
    expect_return(p, BOTH, armed, spun);
    judge(move |t| {
        returned_with(
            t,
            armed,
            spun,
            BOTH,
            "the guest spun past the ptimer's deadline, and no return showed both levels",
        )
    })
}

fn each_deadline_is_noticed(p: &mut Program) -> Judge {
    let delay = p.us(100);
    let rounds: Vec<_> = (0..5)
        .map(|_| {
            let armed = VTIMER.arm(p, delay);
            let spun = VTIMER.spin_past(p, 2 * delay);
            VTIMER.off(p);
            (armed, spun, p.mmio_read())
        })
        .collect();
    for &(armed, spun, low) in &rounds {
        expect_return(p, Levels::VTIMER, armed, spun);
        expect_levels(p, low, Levels::NONE);
    }
    judge(move |t| {
        for (round, &(armed, spun, low)) in rounds.iter().enumerate() {
            noticed_in_round(t, round, armed, spun)?;
            levels_at(t, low, Levels::NONE, "after the timer was turned off")?;
        }
        Ok("noticed five times".to_owned())
    })
}

/// That the vtimer's deadline of one of five rounds was noticed.
fn noticed_in_round(t: &Transcript, round: usize, armed: Step, spun: Step) -> Result<String, Unheld> {
    let missed = format!("deadline {} of 5 passed without a return that shows it", round + 1);
    returned_with(t, armed, spun, Levels::VTIMER, &missed)
}

fn noticed_behind_an_hvc(p: &mut Program) -> Judge {
    let delay = p.us(100);
    let rounds: Vec<_> = (0..5)
        .map(|_| {
            let armed = VTIMER.arm(p, delay);
            p.hvc_psci_version();
            let spun = VTIMER.spin_past(p, 2 * delay);
            VTIMER.off(p);
            p.mmio_read();
            (armed, spun)
        })
        .collect();
    for &(armed, spun) in &rounds {
        expect_return(p, Levels::VTIMER, armed, spun);
    }
    judge(move |t| {
        for (round, &(armed, spun)) in rounds.iter().enumerate() {
            noticed_in_round(t, round, armed, spun)?;
        }
        Ok("noticed five times".to_owned())
    })
}

fn noticed_after_another_left(p: &mut Program) -> Judge {
    let delay = short(p);
    p.ask(Action::Meet);
    // Until the other has come to the second meeting: the last one to run on the CPU is this vCPU.
    p.ask(Action::Stay { ticks: p.us(1_000) });
    let high = VTIMER.expire(p);
    p.ask(Action::Meet);
    p.ask(Action::Stay { ticks: p.us(3_000) });
    VTIMER.off(p);
    let (armed, spun) = p.on_vcpu(1, |p| {
        p.ask(Action::Meet);
        p.ask(Action::Meet);
        let armed = VTIMER.arm(p, delay);
        let spun = VTIMER.spin_past(p, 2 * delay);
        VTIMER.off(p);
        (armed, spun)
    });
    expect_levels(p, high, Levels::VTIMER);
    expect_return(p, Levels::VTIMER, armed, spun);
    judge(move |t| {
        levels_at(t, high, Levels::VTIMER, "after the first vCPU's deadline")?;
        returned_with(
            t,
            armed,
            spun,
            Levels::VTIMER,
            "the second vCPU spun past its deadline, and no return showed its vtimer's level",
        )
    })
}
