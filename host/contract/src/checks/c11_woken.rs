//! C11: vCPUs that wait otherwise than in a long WFI: short sleeps, for which KVM polls first, vCPUs that are off, and
//! vCPUs that userspace has suspended.

use super::common::{PTIMER, VTIMER, asleep_before, levels_at, sleep};
use crate::{Action, Check, Clause, FailsOn, Fault, Judge, Program, judge, violated};
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line, Routing};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "each-of-twelve-short-sleeps-ends",
        clause: Clause::C11,
        claim: "A vCPU that arms its vtimer and sleeps for less than KVM polls, twelve times over, wakes twelve times, \
                each time after its deadline, and a return carries the level.",
        catches: "Halt polling that looks for all but the level of a timer, and gives the wrong time to sleep after it.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::NoReturnOnRise, Fault::WfiNeverWakes]),
        program: short_sleeps,
    },
    Check {
        name: "sleeping-vcpu-leaves-its-host-cpu",
        clause: Clause::C11,
        claim: "While a vCPU is asleep in WFI with one timer armed, or none, its thread has the host CPU for less than a \
                quarter of the time.",
        catches: "A sleep that is a loop: a background timer started for a timer that is off, or a thread that never \
                  leaves the CPU.",
        fails_on: FailsOn::OnlyKernels("The time is the host kernel's own account of the vCPU's thread."),
        program: leaves_its_host_cpu,
    },
    Check {
        name: "signal-ends-kvm-run-of-a-vcpu-that-is-off",
        clause: Clause::C11,
        claim: "A signal to a vCPU that is off ends its KVM_RUN, and the vCPU is off until PSCI CPU_ON.",
        catches: "A thread that userspace cannot get back, or a vCPU that a signal turns on.",
        fails_on: FailsOn::Faults(&[Fault::SignalsIgnored]),
        program: signal_while_off,
    },
    Check {
        name: "suspended-vcpu-wakes-on-a-line",
        clause: Clause::C11,
        claim: "KVM_RUN of a vCPU that userspace has suspended returns with KVM_SYSTEM_EVENT_WAKEUP when another thread \
                raises its IRQ line, not before; a signal in between ends KVM_RUN and not the suspension.",
        catches: "A machine in its deep sleep that its devices cannot wake.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::SignalsIgnored]),
        program: suspended_wakes_on_a_line,
    },
    Check {
        name: "suspended-vcpu-wakes-on-the-vtimer",
        clause: Clause::C11,
        claim: "When the vtimer of a vCPU that userspace has suspended expires, KVM_RUN returns with the level, not \
                before, and with KVM_SYSTEM_EVENT_WAKEUP then or once the IRQ line is raised.",
        catches: "A background timer that is not started for a suspended vCPU.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet]),
        program: suspended_wakes_on_the_vtimer,
    },
];

/// KVM_SYSTEM_EVENT_WAKEUP.
const WAKEUP: Exit = Exit::SystemEvent { event: 4 };

fn short_sleeps(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    let sleeps: Vec<_> = (0..12)
        .map(|_| {
            let armed = p.arm_vtimer(p.us(120));
            let woke = p.wfi();
            VTIMER.off(p);
            // The exit by which the line falls.
            p.mmio_read();
            (armed, woke)
        })
        .collect();
    judge(move |t| {
        for (number, &(armed, woke)) in sleeps.iter().enumerate() {
            let (deadline, set, woke) = (t.deadline(armed)?, t.at(armed)?, t.at(woke)?);
            if woke.after < deadline {
                return violated(format!("sleep {} ended {} ticks early", number + 1, deadline - woke.after));
            }
            if !t.returns_between(0, set.after, woke.after).any(|r| r.levels.contains(Levels::VTIMER)) {
                return violated(format!("sleep {} ended, but no return carried the timer's level", number + 1));
            }
        }
        Ok("woke twelve times".to_owned())
    })
}

fn leaves_its_host_cpu(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    let sleeps = [VTIMER, PTIMER].map(|timer| {
        let armed = timer.arm(p, p.us(20_000));
        let (_, before) = p.ask(Action::CpuTime);
        let woke = p.wfi();
        let (_, after) = p.ask(Action::CpuTime);
        timer.off(p);
        // The exit by which the line falls.
        p.mmio_read();
        (Some((timer, armed)), before, woke, after)
    });
    let (_, before) = p.ask(Action::CpuTime);
    let (_, raised) = p.ask(Action::LineAfter { ticks: p.us(20_000), vcpu: 0, line: Line::Irq, level: true });
    let woke = p.wfi();
    let (_, after) = p.ask(Action::CpuTime);
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false });
    judge(move |t| {
        let mut shares = Vec::new();
        for (timer, before, woke, after) in sleeps.into_iter().chain([(None, before, woke, after)]) {
            let due = match timer {
                Some((timer, armed)) => timer.deadline(t, armed)?,
                None => t.time_of(raised)?,
            };
            let slept = asleep_before(t, woke, due)?;
            let (slept, ran) = (slept.after - slept.before, t.result(after)? - t.result(before)?);
            if ran as u64 > slept / 4 {
                return violated(format!("asleep for {slept} ticks, of which the host CPU was busy with it for {ran}"));
            }
            shares.push(format!("{ran} of {slept} ticks"));
        }
        Ok(format!("the host CPU was busy for {}", shares.join(", ")))
    })
}

fn signal_while_off(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    p.starts_off(1);
    let (_, sent) = p.ask(Action::SignalAfter { ticks: p.us(1_000), vcpu: 1 });
    // Asleep, the vCPU leaves its host CPU to the other's thread.
    p.arm_vtimer(p.us(10_000));
    p.wfi();
    VTIMER.off(p);
    let on = p.cpu_on(1);
    let started = p.on_vcpu(1, |p| p.note(1));
    judge(move |t| {
        let (sent, on, started) = (t.time_of(sent)?, t.at(on)?, t.at(started)?);
        if started.before < on.before {
            return violated(format!("vCPU 1 ran {} ticks before CPU_ON", on.before - started.before));
        }
        match t.returns_between(1, 0, on.before).next() {
            Some(r) if r.exit == Exit::Interrupted => {
                Ok(format!("returned {} ticks after it", r.returned.abs_diff(sent)))
            }
            Some(r) => violated(format!("vCPU 1 was off, and {r}")),
            None => violated("a signal was sent to the thread of a vCPU that is off, and KVM_RUN did not return"),
        }
    })
}

fn suspended_wakes_on_a_line(p: &mut Program) -> Judge {
    let ticks = sleep(p);
    p.ask(Action::SignalAfter { ticks: ticks / 2, vcpu: 0 });
    let (_, raised) = p.ask(Action::LineAfter { ticks, vcpu: 0, line: Line::Irq, level: true });
    let (asked, suspended) = p.ask(Action::Suspend);
    let after = p.note(0);
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false });
    judge(move |t| {
        let suspended = t.time_of(suspended)?;
        let after = t.at(after)?;
        let Ok(raised) = t.time_of(raised) else {
            return violated("the vCPU ran on before its line was raised");
        };
        let mut returns = t.returns_between(0, suspended, after.before);
        if !returns.any(|r| r.exit == Exit::Interrupted) {
            return violated("a signal was sent to the thread of a suspended vCPU, and KVM_RUN did not return");
        }
        match returns.find(|r| r.exit == WAKEUP) {
            // The thread that raises the line notes the time after the call.
            Some(r) if r.returned + ticks / 4 < raised => {
                violated(format!("woken {} ticks before the line was raised", raised - r.returned))
            }
            Some(r) => Ok(format!("suspended at {}, woken at {}", t.at(asked)?.after, r.returned)),
            None => violated("the vCPU ran on, and no return said KVM_SYSTEM_EVENT_WAKEUP"),
        }
    })
}

fn suspended_wakes_on_the_vtimer(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    let armed = p.arm_vtimer(sleep(p));
    let (_, suspended) = p.ask(Action::Suspend);
    let after = p.note(0);
    let high = p.mmio_read();
    VTIMER.off(p);
    judge(move |t| {
        let (deadline, suspended, after) = (t.deadline(armed)?, t.time_of(suspended)?, t.at(after)?);
        levels_at(t, high, Levels::VTIMER, "after the suspension")?;
        let returns = || t.returns_between(0, suspended, after.before);
        match returns().next() {
            Some(r) if r.returned < deadline => {
                return violated(format!("{r}, {} ticks before the deadline", deadline - r.returned));
            }
            Some(r) if !r.levels.contains(Levels::VTIMER) => {
                return violated(format!("the vtimer expired, and {r}, without its level"));
            }
            _ => {}
        }
        match returns().find(|r| r.exit == WAKEUP) {
            Some(r) => Ok(format!("woken {} ticks after the deadline, levels {}", r.returned - deadline, r.levels)),
            None => violated("the vCPU ran on, and no return said KVM_SYSTEM_EVENT_WAKEUP"),
        }
    })
}
