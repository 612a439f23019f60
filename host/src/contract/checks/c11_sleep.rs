//! C11: WFI and what ends it.

use vtick_abi::litmus::sysreg;

use crate::contract::{Action, Check, Clause, Judge, Program, Step, Value, judge, violated};
use crate::lines::{Levels, Line, Routing};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "wfi-wakes-on-the-vtimer-with-interrupts-masked",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI with interrupts masked wakes when the vtimer expires, and the return that ends \
                its sleep carries the level.",
        catches: "The sleep of about v5.19 to 2026: the expired timer never wakes the vCPU.",
        program: wfi_wakes_masked,
    },
    Check {
        name: "wfi-wakes-on-the-vtimer-with-interrupts-unmasked",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI with interrupts unmasked wakes when the vtimer expires, and takes the interrupt.",
        catches: "The sleep of about v5.19 to 2026: the expired timer never wakes the vCPU.",
        program: wfi_wakes_unmasked,
    },
    Check {
        name: "wfi-wakes-on-a-line-raised-by-another-thread",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI wakes when another thread raises its IRQ line.",
        catches: "KVM_IRQ_LINE that changes the line of a halted vCPU without waking it.",
        program: wfi_wakes_on_a_line,
    },
    Check {
        name: "wfi-does-not-wake-without-a-reason",
        clause: Clause::C11,
        claim: "A vCPU asleep in WFI with no timer armed and no line raised stays asleep.",
        catches: "WFI treated as a NOP, or spurious wake-ups: idle guests would burn their host.",
        program: wfi_stays_asleep,
    },
];

/// Longer than KVM polls before it lets a halted vCPU sleep (halt_poll_ns, 500 us).
fn sleep(p: &Program) -> u64 {
    p.us(3000)
}

fn woke_at_the_deadline(armed: Step, woke: Step) -> Judge {
    judge(move |t| {
        let deadline = t.deadline(armed)?;
        let woke = t.at(woke)?;
        if woke.after < deadline {
            return violated(format!("WFI ended {} ticks before the deadline", deadline - woke.after));
        }
        match t.returns_between(0, woke.before, woke.after).find(|r| r.levels.contains(Levels::VTIMER)) {
            Some(r) => Ok(format!("woke {} ticks after the deadline, levels {}", woke.after - deadline, r.levels)),
            None => violated("WFI ended, but no return of KVM_RUN carried the vtimer's level"),
        }
    })
}

fn wfi_wakes_masked(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    let armed = p.arm_vtimer(sleep(p));
    let woke = p.wfi();
    p.write(sysreg::CNTV_CTL, 0);
    woke_at_the_deadline(armed, woke)
}

fn wfi_wakes_unmasked(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    p.on_irq(|p| {
        p.write(sysreg::CNTV_CTL, 0);
        // The exit by which the line falls.
        p.mmio_read();
    });
    p.unmask();
    let armed = p.arm_vtimer(sleep(p));
    let woke = p.wfi();
    let taken = p.take(1, Value::Now(p.us(1000)));
    let at_the_deadline = woke_at_the_deadline(armed, woke);
    judge(move |t| {
        let reason = at_the_deadline(t)?;
        match t.at(taken)?.value {
            1 => Ok(format!("{reason}; the interrupt was taken once")),
            n => violated(format!("{n} interrupts were taken, one was due")),
        }
    })
}

fn wfi_wakes_on_a_line(p: &mut Program) -> Judge {
    let ticks = sleep(p);
    let (_, raised) = p.ask(Action::LineAfter { ticks, vcpu: 0, line: Line::Irq, level: true });
    let woke = p.wfi();
    p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false });
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
    p.stop_after(p.us(20_000));
    let asleep = p.wfi();
    judge(move |t| match t.all(asleep).next() {
        None => Ok("still asleep after 20 ms".to_owned()),
        Some(woke) => violated(format!("WFI ended after {} ticks with no reason to", woke.after - woke.before)),
    })
}
