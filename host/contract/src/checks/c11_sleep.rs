//! C11: WFI and what ends it.

use vtick_abi::litmus::sysreg;

use super::common::{
    PTIMER, Timer, VTIMER, asleep_before, expect_bits, expect_levels, expect_return, expect_value, levels_at, short,
    sleep, taken_at,
};
use crate::expect::LATE_US;
use crate::{Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, Step, Value, judge, violated};
use vtick_core::lines::{Levels, Line, Routing};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "wfi-wakes-on-the-vtimer-with-interrupts-masked",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI with interrupts masked wakes when the vtimer expires, and the return that ends \
                its sleep carries the level.",
        catches: "The sleep of about v5.19 to 2026: the expired timer never wakes the vCPU.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::WfiNeverWakes, Fault::WakesLate]),
        program: |p| wfi_wakes_masked(p, VTIMER),
    },
    Check {
        name: "wfi-wakes-on-the-vtimer-with-interrupts-unmasked",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI with interrupts unmasked wakes when the vtimer expires, and takes the interrupt.",
        catches: "The sleep of about v5.19 to 2026: the expired timer never wakes the vCPU.",
        fails_on: FailsOn::Faults(&[Fault::LevelLate, Fault::WfiNeverWakes]),
        program: |p| wfi_wakes_unmasked(p, VTIMER),
    },
    Check {
        name: "wfi-wakes-on-a-line-raised-by-another-thread",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI wakes when another thread raises its IRQ line.",
        catches: "KVM_IRQ_LINE that changes the line of a halted vCPU without waking it.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::LineWaitsForExit]),
        program: |p| wfi_wakes_on_a_line(p, Line::Irq),
    },
    Check {
        name: "wfi-does-not-wake-without-a-reason",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI with no timer armed and no line raised stays asleep.",
        catches: "WFI treated as a NOP, or spurious wake-ups: idle guests would burn their host.",
        fails_on: FailsOn::Faults(&[Fault::KickedAllTheTime]),
        program: wfi_stays_asleep,
    },
    Check {
        name: "wfi-wakes-on-the-ptimer-with-interrupts-masked",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI with interrupts masked wakes when the ptimer expires, and the return that ends its \
                sleep carries the level.",
        catches: "An emulated timer that no hardware timer stands in for while its vCPU sleeps.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::WfiNeverWakes]),
        program: |p| wfi_wakes_masked(p, PTIMER),
    },
    Check {
        name: "wfi-wakes-on-the-ptimer-with-interrupts-unmasked",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI with interrupts unmasked wakes when the ptimer expires, and takes the interrupt.",
        catches: "An emulated timer that no hardware timer stands in for while its vCPU sleeps.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::WakesLate]),
        program: |p| wfi_wakes_unmasked(p, PTIMER),
    },
    Check {
        name: "wfi-wakes-on-a-fiq-line-raised-by-another-thread",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI wakes when another thread raises its FIQ line.",
        catches: "A wake-up that looks only at the IRQ line.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::FiqIgnored]),
        program: |p| wfi_wakes_on_a_line(p, Line::Fiq),
    },
    Check {
        name: "wfi-with-the-line-up-does-not-sleep",
        clause: Clause::C11,
        claim: "WFI with an IRQ line up, masked or not, ends at once.",
        catches: "A vCPU put to sleep with an interrupt pending.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored]),
        program: wfi_with_the_line_up,
    },
    Check {
        name: "each-of-five-sleeps-ends",
        clause: Clause::C11,
        claim: "A vCPU that arms its vtimer and sleeps, five times over, wakes five times.",
        catches: "A background timer that works once.",
        fails_on: FailsOn::Faults(&[Fault::NoReturnOnRise, Fault::WfiNeverWakes]),
        program: each_sleep_ends,
    },
    Check {
        name: "wfi-does-not-wake-on-a-masked-timer",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI stays asleep when a vtimer with IMASK set passes its deadline.",
        catches: "A background timer armed for an output that cannot come.",
        fails_on: FailsOn::Faults(&[Fault::KickedAllTheTime]),
        program: wfi_ignores_a_masked_timer,
    },
    Check {
        name: "psci-cpu-suspend-wakes-on-the-vtimer",
        clause: Clause::C11,
        claim: "A vCPU in PSCI CPU_SUSPEND (standby) wakes when the vtimer expires, and a return carries the level.",
        catches: "The missed wake-up after CPU_SUSPEND (commit a867e9d0cc15).",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::SuspendNeverWakes]),
        program: cpu_suspend_wakes,
    },
    Check {
        name: "vcpu-turned-on-by-psci-sleeps-and-wakes",
        clause: Clause::C11,
        claim: "A vCPU that is off causes no return; turned on by PSCI CPU_ON it starts with its timers off, and wakes from \
                WFI when its vtimer expires.",
        catches: "Timer state that a reset by CPU_ON leaves behind; a vCPU that is off and burns CPU time.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::WfiNeverWakes, Fault::KickedAllTheTime]),
        program: turned_on_by_psci,
    },
    Check {
        name: "wfe-comes-to-an-end",
        clause: Clause::C11,
        claim: "WFE without an event gives up at most the host CPU, and the guest runs on.",
        catches: "WFE treated as WFI: a guest that spins politely on a lock would hang.",
        fails_on: FailsOn::OnlyKernels("The kernel handles WFE without a return that could be withheld."),
        program: wfe_ends,
    },
];

/// That WFI ended at the deadline, with a return that carried the level.
fn woke_at_the_deadline(p: &mut Program, timer: Timer, armed: Step, woke: Step) -> Judge {
    let late = p.us(LATE_US);
    let deadline = p.deadline_of(armed).expect("it writes a CVAL");
    p.expect(Expectation::EndsAt(woke, deadline));
    expect_return(p, timer.level, armed, woke);
    judge(move |t| {
        let deadline = timer.deadline(t, armed)?;
        let woke = asleep_before(t, woke, deadline)?;
        if woke.after < deadline {
            return violated(format!("WFI ended {} ticks before the deadline", deadline - woke.after));
        }
        if woke.after > deadline + late {
            return violated(format!("WFI ended {} ticks after the deadline", woke.after - deadline));
        }
        match t.returns_between(woke.vcpu, woke.before, woke.after).find(|r| r.levels.contains(timer.level)) {
            Some(r) => Ok(format!("woke {} ticks after the deadline, levels {}", woke.after - deadline, r.levels)),
            None => violated("WFI ended, but no return of KVM_RUN carried the timer's level"),
        }
    })
}

fn wfi_wakes_masked(p: &mut Program, timer: Timer) -> Judge {
    p.route(Routing::Wire);
    let armed = timer.arm(p, sleep(p));
    let woke = p.wfi();
    timer.off(p);
    woke_at_the_deadline(p, timer, armed, woke)
}

fn wfi_wakes_unmasked(p: &mut Program, timer: Timer) -> Judge {
    p.route(Routing::Wire);
    p.on_irq(|p| {
        timer.off(p);
        // The exit by which the line falls.
        p.mmio_read();
    });
    p.unmask();
    let armed = timer.arm(p, sleep(p));
    let woke = p.wfi();
    let taken = p.take(1, Value::Now(p.us(1000)));
    let at_the_deadline = woke_at_the_deadline(p, timer, armed, woke);
    expect_value(p, taken, 1);
    judge(move |t| {
        let reason = at_the_deadline(t)?;
        taken_at(t, taken, 1)?;
        Ok(format!("{reason}; the interrupt was taken once"))
    })
}

fn wfi_wakes_on_a_line(p: &mut Program, line: Line) -> Judge {
    let ticks = sleep(p);
    let (_, raised) = p.ask(Action::LineAfter { ticks, vcpu: 0, line, level: true });
    let woke = p.wfi();
    p.ask(Action::Line { vcpu: 0, line, level: false });
    let longest = ticks + p.us(LATE_US);
    p.expect(Expectation::EndsWithin(woke, longest));
    judge(move |t| {
        let woke = t.at(woke)?;
        let Ok(raised) = t.time_of(raised) else {
            return violated("WFI ended before the line was raised");
        };
        // The thread that raises the line notes the time after the call, the guest may be awake before that.
        if woke.after + ticks / 2 < raised {
            return violated(format!("WFI ended {} ticks before the line was raised", raised - woke.after));
        }
        Ok("woke when the line was raised".to_owned())
    })
}

fn wfi_stays_asleep(p: &mut Program) -> Judge {
    p.stop_after(p.us(100_000));
    let asleep = p.wfi();
    p.expect(Expectation::NeverEnds(asleep));
    judge(move |t| match t.all(asleep).next() {
        None => Ok("still asleep after all that time".to_owned()),
        Some(woke) => violated(format!("WFI ended after {} ticks with no reason to", woke.after - woke.before)),
    })
}

fn wfi_with_the_line_up(p: &mut Program) -> Judge {
    p.on_irq(|p| p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false }));
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
    let masked = p.wfi();
    p.unmask();
    let taken = p.take(1, Value::Now(p.us(1000)));
    let longest = p.us(LATE_US);
    expect_value(p, taken, 1);
    p.expect(Expectation::EndsWithin(masked, longest));
    judge(move |t| {
        taken_at(t, taken, 1)?;
        let masked = t.at(masked)?;
        match masked.after - masked.before {
            took if took < longest => Ok("over at once".to_owned()),
            took => violated(format!("WFI took {took} ticks with the line up")),
        }
    })
}

fn each_sleep_ends(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    let judges: Vec<_> = (0..5)
        .map(|_| {
            let armed = p.arm_vtimer(p.us(1000));
            let woke = p.wfi();
            VTIMER.off(p);
            // The exit by which the line falls.
            p.mmio_read();
            woke_at_the_deadline(p, VTIMER, armed, woke)
        })
        .collect();
    judge(move |t| {
        judges.iter().try_for_each(|judge| judge(t).map(drop))?;
        Ok("woke five times".to_owned())
    })
}

fn wfi_ignores_a_masked_timer(p: &mut Program) -> Judge {
    p.stop_after(p.us(100_000));
    p.write(sysreg::CNTV_CVAL, Value::Now(short(p)));
    let armed = p.write(sysreg::CNTV_CTL, 3);
    let asleep = p.wfi();
    p.expect(Expectation::NeverEnds(asleep));
    judge(move |t| {
        t.at(armed)?;
        match t.all(asleep).next() {
            None => Ok("still asleep after all that time".to_owned()),
            Some(woke) => violated(format!("WFI ended after {} ticks with no reason to", woke.after - woke.before)),
        }
    })
}

fn cpu_suspend_wakes(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    let armed = p.arm_vtimer(sleep(p));
    // PSCI CPU_SUSPEND, 32-bit: StateType 0 is standby (Arm DEN 0022, 5.4).
    let woke = p.hvc(0x8400_0001, 0);
    let high = p.mmio_read();
    VTIMER.off(p);
    let at_the_deadline = woke_at_the_deadline(p, VTIMER, armed, woke);
    expect_value(p, woke, 0);
    expect_levels(p, high, Levels::VTIMER);
    judge(move |t| {
        match t.at(woke)?.value {
            0 => {}
            error => return violated(format!("CPU_SUSPEND returned {:#x}, expected 0 (SUCCESS)", error as u32)),
        }
        levels_at(t, high, Levels::VTIMER, "after CPU_SUSPEND")?;
        at_the_deadline(t)
    })
}

fn turned_on_by_psci(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    p.starts_off(1);
    p.spin(p.us(3000));
    let on = p.cpu_on(1);
    let (at_first, armed, woke) = p.on_vcpu(1, |p| {
        let at_first = p.read(sysreg::CNTV_CTL);
        let armed = p.arm_vtimer(sleep(p));
        let woke = p.wfi();
        VTIMER.off(p);
        (at_first, armed, woke)
    });
    let at_the_deadline = woke_at_the_deadline(p, VTIMER, armed, woke);
    expect_value(p, on, 0);
    expect_bits(p, at_first, 0, 1);
    judge(move |t| {
        let on = t.at(on)?;
        if on.value != 0 {
            return violated(format!("CPU_ON returned {:#x}, expected 0 (SUCCESS)", on.value as u32));
        }
        if let Some(r) = t.returns_between(1, 0, on.before).next() {
            return violated(format!("vCPU 1 was off, and {r}"));
        }
        match t.at(at_first)?.value & 1 {
            0 => at_the_deadline(t),
            _ => violated("CNTV_CTL.ENABLE was set when vCPU 1 started"),
        }
    })
}

fn wfe_ends(p: &mut Program) -> Judge {
    let waited = p.wfe();
    let again = p.wfe();
    let longest = p.us(LATE_US);
    p.expect(Expectation::EndsWithin(waited, longest));
    p.expect(Expectation::EndsWithin(again, longest));
    judge(move |t| {
        t.at(waited)?;
        t.at(again)?;
        Ok("WFE ended twice".to_owned())
    })
}
