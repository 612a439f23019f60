//! C3: the field is true on every return, whatever the exit reason.

use vtick_abi::litmus::sysreg;

use super::common::{
    BOTH, PTIMER, VTIMER, expect_levels, expect_low_before, expect_return, levels_at, low_before, short,
};
use crate::{
    Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Judged, Program, Step, Value, disturbed, judge, violated,
};
use vtick_core::exit::Exit;
use vtick_core::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "mmio-read-exit-carries-the-level",
        clause: Clause::C3,
        claim: "An MMIO read exit shows the vtimer high after its deadline and low before.",
        catches: "Levels refreshed only on EINTR exits; a level lost on the MMIO path.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::LevelLostOnMmioRead]),
        program: |p| mmio_exit_carries_the_level(p, Program::mmio_read),
    },
    Check {
        name: "mmio-write-exit-carries-the-level",
        clause: Clause::C3,
        claim: "An MMIO write exit shows the vtimer high after its deadline and low before.",
        catches: "Levels refreshed only on EINTR exits; a level lost on the MMIO path.",
        fails_on: FailsOn::Faults(&[Fault::LevelLostOnMmioWrite]),
        program: |p| mmio_exit_carries_the_level(p, Program::mmio_write),
    },
    Check {
        name: "signal-exit-carries-the-level",
        clause: Clause::C3,
        claim: "A return forced by a signal shows the level that is asserted and was reported before.",
        catches: "A level dropped, or not refreshed, when KVM_RUN ends for a signal.",
        fails_on: FailsOn::Faults(&[Fault::LevelIsAPulse, Fault::LevelLostOnSignal, Fault::SignalsIgnored]),
        program: signal_exit_carries_the_level,
    },
    Check {
        name: "vtimer-level-says-nothing-of-the-ptimer",
        clause: Clause::C3,
        claim: "With the vtimer expired and the ptimer armed for later, only the vtimer's bit is set.",
        catches: "Bits swapped or both set for one timer.",
        fails_on: FailsOn::Faults(&[Fault::BitsSwapped]),
        program: vtimer_level_says_nothing_of_the_ptimer,
    },
    Check {
        name: "ptimer-level-says-nothing-of-the-vtimer",
        clause: Clause::C3,
        claim: "With the ptimer expired and the vtimer armed for later, only the ptimer's bit is set.",
        catches: "Bits swapped or both set for one timer.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::BitsSwapped]),
        program: ptimer_level_says_nothing_of_the_vtimer,
    },
    Check {
        name: "both-timers-show-at-once",
        clause: Clause::C3,
        claim: "With both timers expired both bits are set, on MMIO reads and on MMIO writes.",
        catches: "One timer's level hiding the other's.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::LevelLostOnMmioRead, Fault::LevelLostOnMmioWrite]),
        program: both_timers_show_at_once,
    },
    Check {
        name: "first-return-ever-shows-no-level",
        clause: Clause::C3,
        claim: "No return of KVM_RUN shows a level before a guest has armed a timer.",
        catches: "A field that starts with rubbish, or a reset value of the timer taken for an assertion.",
        fails_on: FailsOn::Faults(&[Fault::LevelHighFromTheStart]),
        program: first_return_shows_no_level,
    },
    Check {
        name: "level-shows-on-every-one-of-a-hundred-exits",
        clause: Clause::C3,
        claim: "An asserted level shows on each of a hundred MMIO exits in a row, and on none after its fall.",
        catches: "A level reported once, as if it were an edge.",
        fails_on: FailsOn::Faults(&[Fault::LevelIsAPulse]),
        program: level_shows_on_every_exit,
    },
    Check {
        name: "shutdown-exit-carries-the-level",
        clause: Clause::C3,
        claim: "The KVM_EXIT_SYSTEM_EVENT of PSCI SYSTEM_OFF shows the level that is asserted.",
        catches: "A field that is refreshed only for MMIO exits and signals.",
        fails_on: FailsOn::Faults(&[Fault::LevelLostOnSystemEvent]),
        program: |p| system_event_carries_the_level(p, 0x8400_0008),
    },
    Check {
        name: "reset-exit-carries-the-level",
        clause: Clause::C3,
        claim: "The KVM_EXIT_SYSTEM_EVENT of PSCI SYSTEM_RESET shows the level that is asserted.",
        catches: "A field that is refreshed only for MMIO exits and signals.",
        fails_on: FailsOn::Faults(&[Fault::LevelLostOnSystemEvent]),
        program: |p| system_event_carries_the_level(p, 0x8400_0009),
    },
    Check {
        name: "immediate-exit-runs-no-guest-code",
        clause: Clause::C3,
        claim: "KVM_RUN with immediate_exit set returns EINTR before the guest runs, with no level invented.",
        catches: "immediate_exit ignored: userspace cannot look at the levels without running the guest.",
        fails_on: FailsOn::Faults(&[Fault::ImmediateExitIgnored]),
        program: immediate_exit_runs_no_guest_code,
    },
    Check {
        name: "immediate-exit-carries-the-level",
        clause: Clause::C3,
        claim: "A return forced by immediate_exit shows a level that rose while userspace had the vCPU.",
        catches: "The field keeps the levels of the previous return.",
        fails_on: FailsOn::OnlyKernels("All kernels deviate: it is violated without a fault."),
        program: immediate_exit_carries_the_level,
    },
    Check {
        name: "level-of-one-vcpu-does-not-show-on-another",
        clause: Clause::C3,
        claim: "While one vCPU's vtimer is asserted, no return of another vCPU shows a level.",
        catches: "Levels kept per VM, or reported on the vCPU that happens to be there.",
        fails_on: FailsOn::Faults(&[Fault::LevelOnEveryVcpu]),
        program: level_of_one_vcpu,
    },
];

fn mmio_exit_carries_the_level(p: &mut Program, exit: fn(&mut Program) -> Step) -> Judge {
    let delay = p.us(300);
    let armed = p.arm_vtimer(delay);
    let before = exit(p);
    VTIMER.spin_past(p, 2 * delay);
    let after = exit(p);
    expect_low_before(p, armed, before);
    expect_levels(p, after, Levels::VTIMER);
    judge(move |t| {
        low_before(t, VTIMER, armed, before)?;
        levels_at(t, after, Levels::VTIMER, "after the deadline")?;
        Ok("low before the deadline, high after".to_owned())
    })
}

fn signal_exit_carries_the_level(p: &mut Program) -> Judge {
    let (delay, later) = (p.us(300), p.us(2000));
    p.arm_vtimer(delay);
    VTIMER.spin_past(p, 2 * delay);
    let (asked, sent) = p.ask(Action::SignalAfter { ticks: delay, vcpu: 0 });
    let waited = p.spin_until(Value::Now(later));
    p.expect(Expectation::DoneAfter(sent, asked));
    p.expect(Expectation::FirstReturn(Levels::VTIMER, asked.end().to(waited.end())));
    judge(move |t| -> Judged {
        let (asked, waited) = (t.at(asked)?, t.at(waited)?);
        if t.time_of(sent)? < asked.after {
            return disturbed("the signal was sent before the guest ran on");
        }
        let Some(signal) = t.returns_between(0, asked.after, waited.after).find(|r| r.exit == Exit::Interrupted) else {
            return violated("the signal never ended KVM_RUN");
        };
        if signal.levels != Levels::VTIMER {
            return violated(format!("the signal's exit showed levels {}, expected vtimer", signal.levels));
        }
        Ok("the signal's exit shows the vtimer high".to_owned())
    })
}

fn ptimer_level_says_nothing_of_the_vtimer(p: &mut Program) -> Judge {
    p.arm_vtimer(p.us(1_000_000));
    let after = PTIMER.expire(p);
    VTIMER.off(p);
    expect_levels(p, after, Levels::PTIMER);
    judge(move |t| {
        levels_at(t, after, Levels::PTIMER, "with only the ptimer expired")?;
        Ok("only the ptimer's bit is set".to_owned())
    })
}

fn both_timers_show_at_once(p: &mut Program) -> Judge {
    VTIMER.expire(p);
    let read = PTIMER.expire(p);
    let write = p.mmio_write();
    expect_levels(p, read, BOTH);
    expect_levels(p, write, BOTH);
    judge(move |t| {
        levels_at(t, read, BOTH, "with both timers expired")?;
        levels_at(t, write, BOTH, "with both timers expired")?;
        Ok("both bits are set".to_owned())
    })
}

fn first_return_shows_no_level(p: &mut Program) -> Judge {
    p.mmio_read();
    p.expect(Expectation::EveryReturn(Levels::NONE, None));
    judge(move |t| match t.returns().find(|r| r.levels != Levels::NONE) {
        None => Ok(format!("none of {} returns showed a level", t.returns().count())),
        Some(r) => violated(format!("a return with {} showed levels {}, no timer was armed", r.exit, r.levels)),
    })
}

fn level_shows_on_every_exit(p: &mut Program) -> Judge {
    VTIMER.expire(p);
    let count = p.note(100);
    p.into_register(count, 0);
    let high = p.mmio_read();
    p.loop_to(0, high);
    VTIMER.off(p);
    let count = p.note(10);
    p.into_register(count, 0);
    let low = p.mmio_read();
    p.loop_to(0, low);
    expect_levels(p, high, Levels::VTIMER);
    expect_levels(p, low, Levels::NONE);
    judge(move |t| {
        for (step, due) in [(high, Levels::VTIMER), (low, Levels::NONE)] {
            let (from, to) = (t.at(step)?.before, t.all(step).last().map_or(0, |last| last.after));
            for r in t.returns_between(0, from, to).filter(|r| r.exit.address().is_some()) {
                if r.levels != due {
                    return violated(format!("an exit in the row showed levels {}, expected {due}", r.levels));
                }
            }
        }
        Ok("high on a hundred exits, low on the ten after the fall".to_owned())
    })
}

fn system_event_carries_the_level(p: &mut Program, function: u64) -> Judge {
    p.powers_off();
    let high = VTIMER.expire(p);
    p.hvc(function, 0);
    expect_levels(p, high, Levels::VTIMER);
    p.expect(Expectation::LastReturn(Levels::VTIMER));
    judge(move |t| {
        levels_at(t, high, Levels::VTIMER, "before the guest turned itself off")?;
        match t.returns().find(|r| matches!(r.exit, Exit::SystemEvent { .. })) {
            Some(r) if r.levels == Levels::VTIMER => Ok(format!("{} with levels {}", r.exit, r.levels)),
            Some(r) => violated(format!("{} with levels {}, expected vtimer", r.exit, r.levels)),
            None => violated("PSCI made no KVM_EXIT_SYSTEM_EVENT"),
        }
    })
}

fn immediate_exit_runs_no_guest_code(p: &mut Program) -> Judge {
    let (asked, set) = p.ask(Action::ImmediateExit { after: 0 });
    p.expect(Expectation::Returns(2, asked.whole()));
    p.expect(Expectation::EveryReturn(Levels::NONE, None));
    judge(move |t| {
        let (set, ran_on) = (t.time_of(set)?, t.at(asked)?.after);
        match t.returns_between(0, set, ran_on).next() {
            Some(r) if r.exit == Exit::Interrupted && r.levels == Levels::NONE => {
                Ok("EINTR before the guest ran on, levels none".to_owned())
            }
            Some(r) => violated(format!("returned with {}, levels {}; expected EINTR and none", r.exit, r.levels)),
            None => violated("the guest ran on, and KVM_RUN did not return"),
        }
    })
}

fn immediate_exit_carries_the_level(p: &mut Program) -> Judge {
    let delay = short(p);
    let armed = p.arm_vtimer(delay);
    let (asked, set) = p.ask(Action::ImmediateExit { after: 3 * delay });
    expect_low_before(p, armed, asked);
    // The exit that asked, and the one that is forced.
    p.expect(Expectation::Returns(2, asked.whole()));
    expect_return(p, Levels::VTIMER, asked, asked);
    judge(move |t| {
        low_before(t, VTIMER, armed, asked)?;
        let (set, ran_on) = (t.time_of(set)?, t.at(asked)?.after);
        match t.returns_between(0, set, ran_on).next() {
            Some(r) if r.levels == Levels::VTIMER => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            Some(r) => violated(format!(
                "the vtimer expired before KVM_RUN was called with immediate_exit set; it returned {} with levels {}, \
                 expected vtimer",
                r.exit, r.levels
            )),
            None => violated("the guest ran on, and KVM_RUN did not return"),
        }
    })
}

fn level_of_one_vcpu(p: &mut Program) -> Judge {
    let high = VTIMER.expire(p);
    p.ask(Action::Meet);
    p.ask(Action::Meet);
    let still = p.mmio_read();
    let other = p.on_vcpu(1, |p| {
        p.ask(Action::Meet);
        let other = p.mmio_read();
        p.mmio_write();
        p.ask(Action::Meet);
        other
    });
    for (step, due) in [(high, Levels::VTIMER), (other, Levels::NONE), (still, Levels::VTIMER)] {
        expect_levels(p, step, due);
    }
    judge(move |t| {
        levels_at(t, high, Levels::VTIMER, "on the vCPU whose vtimer is asserted,")?;
        levels_at(t, other, Levels::NONE, "on the other vCPU")?;
        levels_at(t, still, Levels::VTIMER, "after the other vCPU's exits")?;
        match t.returns().find(|r| r.vcpu == 1 && r.levels != Levels::NONE) {
            None => Ok("each vCPU shows its own".to_owned()),
            Some(r) => violated(format!("a return of vCPU 1 showed levels {}, expected none", r.levels)),
        }
    })
}

fn vtimer_level_says_nothing_of_the_ptimer(p: &mut Program) -> Judge {
    let delay = p.us(300);
    p.arm_ptimer(p.us(1_000_000));
    p.arm_vtimer(delay);
    VTIMER.spin_past(p, 2 * delay);
    let after = p.mmio_read();
    p.write(sysreg::CNTP_CTL, 0);
    expect_levels(p, after, Levels::VTIMER);
    judge(move |t| {
        levels_at(t, after, Levels::VTIMER, "with only the vtimer expired")?;
        Ok("only the vtimer's bit is set".to_owned())
    })
}
