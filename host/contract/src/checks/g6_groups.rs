//! G6: interrupt groups, and the FIQ line.

use vtick_abi::litmus::{kind, sysreg};

use super::common::value_at;
use super::gic::{
    self, ENABLE_GROUP_0, ENABLE_GROUP_1, FIQ_EN, GICC_AEOIR, GICC_AIAR, GICC_EOIR, GICC_IAR, GICD_IGROUPR, GICD_SGIR,
    IAR, gave, sgi_to, sgi_to_self,
};
use crate::fault::Fault;
use crate::{Action, Check, Clause, FailsOn, Judge, Program, Step, Transcript, Unheld, Value, judge, violated};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "group-0-is-fiq-and-group-1-irq",
        clause: Clause::G6,
        claim: "Of two pending SGIs only the higher drives its line: FIQ for Group 0; when it is acknowledged, IRQ for \
                Group 1.",
        catches: "Groups ignored; both lines up for one of them; FIQ and IRQ confused.",
        fails_on: FailsOn::Faults(&[Fault::GroupsIgnored, Fault::FiqIgnored, Fault::LinesSwapped]),
        program: one_after_the_other,
    },
    Check {
        name: "fiq-and-irq-at-the-same-time-on-two-vcpus",
        clause: Clause::G6,
        claim: "Two SGIs, one of each group, raise the FIQ line of one vCPU and the IRQ line of another at the same time; \
                each is taken once.",
        catches: "Lines of different vCPUs confused.",
        fails_on: FailsOn::Faults(&[Fault::GroupsIgnored, Fault::FiqIgnored, Fault::OnlyTheLineOfVcpu0]),
        program: at_the_same_time,
    },
];

/// ISR_EL1.{I, F} (Arm ARM DDI 0487, D24: ISR_EL1).
const ISR_IRQ: u64 = 1 << 7;
const ISR_FIQ: u64 = 1 << 6;
/// An SGI of each group: the number is the group.
const GROUP_0: u64 = 0;
const GROUP_1: u64 = 1;
const CTLR: u64 = ENABLE_GROUP_0 | ENABLE_GROUP_1 | FIQ_EN;

/// Both handlers: FIQ acknowledges and ends in Group 0, IRQ in Group 1, and each notes ISR_EL1 after acknowledging.
struct Handlers {
    fiq: (Step, Step),
    irq: (Step, Step),
}

fn handlers(p: &mut Program) -> Handlers {
    let body = |p: &mut Program, iar: u64, eoir: u64| {
        let acknowledged = p.load(4, iar);
        p.into_register(acknowledged, IAR);
        let isr = p.read(sysreg::ISR);
        p.store(4, eoir, Value::Register(IAR, 0));
        p.signal(0);
        (acknowledged, isr)
    };
    let fiq = p.on_fiq(|p| body(p, GICC_IAR, GICC_EOIR));
    let irq = p.on_irq(|p| body(p, GICC_AIAR, GICC_AEOIR));
    Handlers { fiq, irq }
}

/// How many FIQs and IRQs a vCPU took.
fn taken(t: &Transcript, vcpu: usize, due: (usize, usize)) -> Result<(), Unheld> {
    let count = |kind| t.interrupts(vcpu).filter(|record| record.kind == kind).count();
    match (count(kind::FIQ), count(kind::IRQ)) {
        taken if taken == due => Ok(()),
        (fiq, irq) => violated(format!("vCPU {vcpu} took {fiq} FIQs and {irq} IRQs, expected {} and {}", due.0, due.1)),
    }
}

fn one_after_the_other(p: &mut Program) -> Judge {
    let pause = p.us(20);
    gic::enable_with(p, CTLR);
    p.store(4, GICD_IGROUPR, 1 << GROUP_1);
    gic::set_priority(p, GROUP_0, 0x40);
    gic::set_priority(p, GROUP_1, 0x80);
    let handlers = handlers(p);
    p.store(4, GICD_SGIR, sgi_to_self(GROUP_1));
    let irq_alone = p.read(sysreg::ISR);
    p.store(4, GICD_SGIR, sgi_to_self(GROUP_0));
    let fiq_alone = p.read(sysreg::ISR);
    p.unmask();
    p.take(2, Value::Now(10 * pause));
    p.spin(pause);
    p.mask();
    let none = p.read(sysreg::ISR);
    judge(move |t| {
        value_at(t, irq_alone, ISR_IRQ, "with Group 1 pending, ISR_EL1")?;
        value_at(t, fiq_alone, ISR_FIQ, "with a higher Group 0 pending, too, ISR_EL1")?;
        taken(t, 0, (1, 1))?;
        gave(t, handlers.fiq.0, &[GROUP_0], "acknowledged by the FIQ handler")?;
        gave(t, handlers.irq.0, &[GROUP_1], "acknowledged by the IRQ handler")?;
        // While the higher is active, the lower is not signalled.
        value_at(t, handlers.fiq.1, 0, "in the FIQ handler, ISR_EL1")?;
        value_at(t, none, 0, "at the end, ISR_EL1")?;
        Ok("IRQ, then only FIQ, then each taken once".to_owned())
    })
}

fn at_the_same_time(p: &mut Program) -> Judge {
    let pause = p.us(100_000);
    let part = |p: &mut Program| {
        gic::enable_with(p, CTLR);
        p.store(4, GICD_IGROUPR, 1 << GROUP_1);
        let handlers = handlers(p);
        p.ask(Action::Meet);
        handlers
    };
    let wait = |p: &mut Program| {
        p.ask(Action::Meet);
        let isr = p.read(sysreg::ISR);
        p.ask(Action::Meet);
        p.unmask();
        p.take(1, Value::Now(pause));
        p.mask();
        isr
    };
    let on_0 = part(p);
    p.store(4, GICD_SGIR, sgi_to(0b01, GROUP_0));
    p.store(4, GICD_SGIR, sgi_to(0b10, GROUP_1));
    let isr_0 = wait(p);
    let (on_1, isr_1) = p.on_vcpu(1, |p| (part(p), wait(p)));
    judge(move |t| {
        value_at(t, isr_0, ISR_FIQ, "ISR_EL1 of the vCPU with Group 0 pending")?;
        value_at(t, isr_1, ISR_IRQ, "ISR_EL1 of the vCPU with Group 1 pending")?;
        taken(t, 0, (1, 0))?;
        taken(t, 1, (0, 1))?;
        gave(t, on_0.fiq.0, &[GROUP_0], "acknowledged by vCPU 0")?;
        gave(t, on_1.irq.0, &[GROUP_1], "acknowledged by vCPU 1")?;
        Ok("FIQ up on one vCPU and IRQ on the other, each taken once".to_owned())
    })
}
