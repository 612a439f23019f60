//! G7: a machine saved amid its interrupts, and restored.

use vtick_abi::litmus::sysreg;

use super::g3_preemption::nest;
use super::gic::{self, GICD_SGIR, INTID, VTIMER_PPI, gave, sgi_to};
use crate::fault::Fault;
use crate::{Action, Check, Clause, FailsOn, Judge, Program, judge};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "nested-interrupts-go-on-in-a-fresh-vm",
        clause: Clause::G7,
        claim: "A machine moves to a fresh VM in the innermost of three nested handlers, with an SGI pending and two \
                inputs high: everything is taken and ended as if it had not moved.",
        catches: "Active interrupts, active priorities, pending SGIs or levels that a snapshot loses.",
        fails_on: FailsOn::Faults(&[
            Fault::RestoreForgetsActive,
            Fault::RestoreForgetsPriorities,
            Fault::RestoreForgetsPending,
            Fault::RestoreForgetsLevels,
        ]),
        program: |p| {
            let nest = nest(p, true);
            judge(move |t| nest.came_and_went(t).map(|()| "nothing lost, nothing twice".to_owned()))
        },
    },
    Check {
        name: "pending-sgi-and-armed-timer-come-after-a-move",
        clause: Clause::G7,
        claim: "Two vCPUs move to a fresh VM, one with an SGI of the other pending and its vtimer armed: it takes both \
                there, the SGI from its source.",
        catches: "Lines that stay low in the new VM; a source or a deadline that is lost.",
        fails_on: FailsOn::Faults(&[Fault::RestoreForgetsPending, Fault::LineUpIgnored]),
        program: pending_and_armed,
    },
];

fn pending_and_armed(p: &mut Program) -> Judge {
    const SGI: u64 = 7;
    let delay = p.us(20_000);
    gic::enable(p);
    p.ask(Action::Meet);
    p.store(4, GICD_SGIR, sgi_to(0b10, SGI));
    p.ask(Action::Meet);
    p.ask(Action::MoveToFreshVm);
    p.ask(Action::Meet);
    let (armed, iar) = p.on_vcpu(1, |p| {
        gic::enable(p);
        gic::enable_interrupt(p, VTIMER_PPI);
        let iar = p.on_irq(|p| {
            let iar = gic::acknowledge(p);
            p.when(INTID, VTIMER_PPI, |p| p.write(sysreg::CNTV_CTL, 0));
            gic::end(p);
            p.signal(0);
            iar
        });
        let armed = p.arm_vtimer(delay);
        p.ask(Action::Meet);
        p.ask(Action::Meet);
        p.ask(Action::MoveToFreshVm);
        p.doze(0, 2);
        p.ask(Action::Meet);
        (armed, iar)
    });
    judge(move |t| {
        gave(t, iar, &[SGI, VTIMER_PPI], "acknowledged")?;
        let deadline = t.deadline(armed)?;
        let timer = t.interrupts(1).nth(1).map_or(0, |irq| irq.before);
        match timer.checked_sub(deadline) {
            Some(late) => Ok(format!("the SGI at once, the vtimer {late} ticks after its deadline")),
            None => crate::violated(format!("the vtimer came {} ticks early", deadline - timer)),
        }
    })
}
