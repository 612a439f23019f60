//! G3: preemption. The three-deep nest is also what G7 moves to another VM.

use vtick_abi::litmus::sysreg;

use super::common::short;
use super::gic::{
    self, COUNT, GICC_BPR, GICC_HPPIR, GICC_PMR, GICC_RPR, GICD_SGIR, IDLE, INTID, SPI, VTIMER_PPI, gave, sgi_to_self,
};
use crate::fault::Fault;
use crate::{Action, Check, Clause, FailsOn, Judge, Program, Step, Transcript, Unheld, Value, judge};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "three-priorities-nest",
        clause: Clause::G3,
        claim: "A device's SPI preempts an SGI's handler, and the vtimer preempts the SPI's handler; an interrupt \
                with a priority between SGI and SPI waits for the SPI to end, and preempts the SGI.",
        catches: "Priorities ignored; an end of interrupt that drops the wrong priority, two, or none.",
        fails_on: FailsOn::Faults(&[
            Fault::PrioritiesIgnored,
            Fault::EoiIgnored,
            Fault::EoiDropsTwo,
            Fault::SpiDropped,
        ]),
        program: |p| {
            let nest = nest(p, false);
            judge(move |t| {
                nest.came_and_went(t).map(|()| "acknowledged and ended in the order of their priorities".into())
            })
        },
    },
    Check {
        name: "priority-mask-holds-back-what-is-not-higher",
        clause: Clause::G3,
        claim: "An SGI whose priority is that of GICC_PMR waits, one of a higher priority is taken, and the first comes \
                when the mask is lifted.",
        catches: "A mask that is ignored, or that loses what it holds back.",
        fails_on: FailsOn::Faults(&[Fault::PriorityMaskIgnored, Fault::PrioritiesIgnored]),
        program: priority_mask,
    },
    Check {
        name: "same-group-priority-does-not-preempt",
        clause: Clause::G3,
        claim: "With a binary point that leaves two bits of group priority, a higher priority of the same group waits, \
                and one of a higher group preempts.",
        catches: "A binary point that is ignored.",
        fails_on: FailsOn::Faults(&[Fault::BinaryPointIgnored, Fault::PrioritiesIgnored]),
        program: binary_point,
    },
];

/// The SGI that is preempted, and the one that waits.
const OUTER: u64 = 1;
const WAITING: u64 = 4;

/// What the program of [`nest`] leaves to be looked at.
pub(super) struct Nest {
    iar: Step,
    running: Step,
    end: Step,
    after: Step,
    highest_waiting: Step,
}

/// An SGI (priority 0xa0), preempted by a device's SPI (0x60), preempted by the vtimer (0x20). The innermost handler sends
/// another SGI (0x80). The device keeps its level up until its interrupt has come twice. If `moving`, the whole machine
/// goes on in a fresh VM in the innermost handler, with three interrupts active, one pending, and two inputs high.
pub(super) fn nest(p: &mut Program, moving: bool) -> Nest {
    const SPI_ENDED: u16 = 0;
    const VTIMER_ENDED: u16 = 1;
    const SPI_TAKEN: u16 = 2;
    let spi = u64::from(SPI);
    let (delay, patience) = (short(p), p.us(20_000));
    gic::enable(p);
    for (intid, priority) in [(OUTER, 0xa0), (spi, 0x60), (VTIMER_PPI, 0x20), (WAITING, 0x80)] {
        gic::set_priority(p, intid, priority);
    }
    gic::enable_spi(p, 1);
    gic::enable_interrupt(p, VTIMER_PPI);
    let nest = p.on_irq(|p| {
        let iar = gic::acknowledge(p);
        let running = p.load(4, GICC_RPR);
        p.when(INTID, OUTER, |p| {
            gic::device(p, true);
            p.unmask();
            p.wait_for(SPI_ENDED, 2, Value::Now(patience));
            p.mask();
        });
        p.when(INTID, spi, |p| {
            let count = p.signal(SPI_TAKEN);
            p.into_register(count, COUNT);
            p.when(COUNT, 1, |p| {
                p.arm_vtimer(delay);
                p.unmask();
                p.wait_for(VTIMER_ENDED, 1, Value::Now(patience));
                // What waits is not to come here.
                p.spin(delay / 10);
                p.mask();
            });
            p.when(COUNT, 2, |p| gic::device(p, false));
        });
        let highest_waiting = p.when(INTID, VTIMER_PPI, |p| {
            p.store(4, GICD_SGIR, sgi_to_self(WAITING));
            if moving {
                p.ask(Action::MoveToFreshVm);
            }
            p.write(sysreg::CNTV_CTL, 0);
            p.load(4, GICC_HPPIR)
        });
        let end = gic::end(p);
        let after = p.load(4, GICC_RPR);
        p.when(INTID, spi, |p| p.signal(SPI_ENDED));
        p.when(INTID, VTIMER_PPI, |p| p.signal(VTIMER_ENDED));
        Nest { iar, running, end, after, highest_waiting }
    });
    p.unmask();
    p.store(4, GICD_SGIR, sgi_to_self(OUTER));
    p.take(5, Value::Now(2 * patience));
    // What was not due is taken here.
    p.spin(delay / 10);
    p.mask();
    nest
}

impl Nest {
    /// That everything was taken and ended in the order of priorities, and nothing twice.
    pub(super) fn came_and_went(&self, t: &Transcript) -> Result<(), Unheld> {
        let spi = u64::from(SPI);
        gave(t, self.iar, &[OUTER, spi, VTIMER_PPI, spi, WAITING], "acknowledged")?;
        gave(t, self.running, &[0xa0, 0x60, 0x20, 0x60, 0x80], "running priorities after that")?;
        gave(t, self.end, &[VTIMER_PPI, spi, spi, WAITING, OUTER], "ended")?;
        gave(t, self.after, &[0x60, 0xa0, 0xa0, 0xa0, IDLE], "running priorities after that")?;
        gave(t, self.highest_waiting, &[WAITING], "GICC_HPPIR in the innermost handler")
    }
}

fn priority_mask(p: &mut Program) -> Judge {
    const HELD_BACK: u64 = 1;
    const HIGHER: u64 = 2;
    let pause = p.us(20);
    gic::enable(p);
    gic::set_priority(p, HELD_BACK, 0x60);
    gic::set_priority(p, HIGHER, 0x58);
    p.store(4, GICC_PMR, 0x60);
    let iar = gic::take_and_count(p, 0);
    p.unmask();
    p.store(4, GICD_SGIR, sgi_to_self(HELD_BACK));
    p.spin(pause);
    p.store(4, GICD_SGIR, sgi_to_self(HIGHER));
    p.spin(pause);
    p.store(4, GICC_PMR, 0xff);
    p.spin(pause);
    p.mask();
    judge(move |t| {
        gave(t, iar, &[HIGHER, HELD_BACK], "acknowledged")?;
        Ok("the higher first, the other when the mask was lifted".to_owned())
    })
}

fn binary_point(p: &mut Program) -> Judge {
    const RUNNING: u64 = 1;
    const SAME_GROUP: u64 = 2;
    const HIGHER_GROUP: u64 = 3;
    let pause = p.us(20);
    gic::enable(p);
    for (intid, priority) in [(RUNNING, 0x70), (SAME_GROUP, 0x40), (HIGHER_GROUP, 0x30)] {
        gic::set_priority(p, intid, priority);
    }
    // Group priority: bits [7:6] [GICv2/3.3.3].
    p.store(4, GICC_BPR, 5);
    let (iar, end) = p.on_irq(|p| {
        let iar = gic::acknowledge(p);
        p.when(INTID, RUNNING, |p| {
            p.unmask();
            p.store(4, GICD_SGIR, sgi_to_self(SAME_GROUP));
            p.spin(pause);
            p.store(4, GICD_SGIR, sgi_to_self(HIGHER_GROUP));
            p.spin(pause);
            p.mask();
        });
        (iar, gic::end(p))
    });
    p.unmask();
    p.store(4, GICD_SGIR, sgi_to_self(RUNNING));
    p.take(3, Value::Now(10 * pause));
    p.mask();
    judge(move |t| {
        gave(t, iar, &[RUNNING, HIGHER_GROUP, SAME_GROUP], "acknowledged")?;
        gave(t, end, &[HIGHER_GROUP, RUNNING, SAME_GROUP], "ended")?;
        Ok("the higher group preempted, the same group waited".to_owned())
    })
}
