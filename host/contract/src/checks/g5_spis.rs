//! G5: SPIs from devices of the host.

use super::common::sleep;
use super::gic::{self, COUNT, GICD_ISPENDR, SPI, gave};
use crate::fault::Fault;
use crate::{Action, Check, Clause, FailsOn, Judge, Program, Value, disturbed, judge, violated};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "level-held-over-eoi-comes-again",
        clause: Clause::G5,
        claim: "A level-sensitive SPI whose device keeps its output up comes again after each EOIR, and not again \
                after the output has fallen.",
        catches: "A level treated as an edge; a level that outlives its fall.",
        fails_on: FailsOn::Faults(&[Fault::SpiLevelForgotten, Fault::SpiDropped, Fault::LineUpIgnored]),
        program: level_held_over_eoi,
    },
    Check {
        name: "edge-held-over-eoi-comes-once",
        clause: Clause::G5,
        claim: "An edge-triggered SPI comes once for each rise of its device's output, however long the output stays \
                up.",
        catches: "An edge treated as a level; an edge that is lost.",
        fails_on: FailsOn::Faults(&[Fault::EdgeIsLevel, Fault::SpiDropped]),
        program: edge_held_over_eoi,
    },
    Check {
        name: "pulse-of-an-edge-is-kept",
        clause: Clause::G5,
        claim: "A pulse on an edge-triggered SPI that nobody could take while it lasted is taken afterwards; one on a \
                level-sensitive SPI is gone.",
        catches: "An edge forgotten when its input falls.",
        fails_on: FailsOn::Faults(&[Fault::PulseForgotten, Fault::EdgeIsLevel]),
        program: pulse,
    },
    Check {
        name: "spi-wakes-the-vcpu-it-is-targeted-at",
        clause: Clause::G5,
        claim: "An SPI that a device's own thread raises wakes the vCPU it is targeted at from WFI, and no other.",
        catches: "A line raised at the wrong vCPU, or not at all, when no vCPU's thread does it.",
        fails_on: FailsOn::Faults(&[Fault::SpiDropped, Fault::OnlyTheLineOfVcpu0, Fault::LineWaitsForExit]),
        program: spi_wakes_its_target,
    },
];

fn level_held_over_eoi(p: &mut Program) -> Judge {
    let pause = p.us(20);
    gic::enable(p);
    gic::enable_spi(p, 1);
    let iar = p.on_irq(|p| {
        let iar = gic::acknowledge(p);
        let count = p.signal(0);
        p.into_register(count, COUNT);
        p.when(COUNT, 3, |p| gic::device(p, false));
        gic::end(p);
        iar
    });
    p.unmask();
    gic::device(p, true);
    p.take(3, Value::Now(50 * pause));
    p.spin(pause);
    p.mask();
    judge(move |t| {
        gave(t, iar, &[SPI.into(); 3], "acknowledged")?;
        Ok("came three times while it was up, and not again".to_owned())
    })
}

fn edge_held_over_eoi(p: &mut Program) -> Judge {
    let pause = p.us(20);
    gic::enable(p);
    gic::make_spi_edge(p);
    gic::enable_spi(p, 1);
    let iar = gic::take_and_count(p, 0);
    p.unmask();
    gic::device(p, true);
    p.spin(pause);
    let first = p.take(0, 0);
    gic::device(p, false);
    gic::device(p, true);
    p.spin(pause);
    p.mask();
    judge(move |t| {
        gave(t, first, &[1], "interrupts taken after the first rise")?;
        gave(t, iar, &[SPI.into(); 2], "acknowledged")?;
        Ok("once for each of two rises".to_owned())
    })
}

fn pulse(p: &mut Program) -> Judge {
    let pause = p.us(20);
    let pending = GICD_ISPENDR + u64::from(SPI) / 32 * 4;
    let pulse = |p: &mut Program| {
        gic::device(p, true);
        gic::device(p, false);
        p.load(4, pending)
    };
    gic::enable(p);
    gic::enable_spi(p, 1);
    let iar = gic::take_and_count(p, 0);
    let level = pulse(p);
    gic::make_spi_edge(p);
    let edge = pulse(p);
    p.load(4, pending);
    p.unmask();
    p.spin(pause);
    p.mask();
    judge(move |t| {
        gave(t, level, &[0], "GICD_ISPENDR after the pulse of a level")?;
        gave(t, edge, &[1 << (SPI % 32)], "GICD_ISPENDR after the pulse of an edge")?;
        gave(t, iar, &[SPI.into()], "acknowledged")?;
        Ok("the edge's pulse was kept, the level's was not".to_owned())
    })
}

fn spi_wakes_its_target(p: &mut Program) -> Judge {
    let delay = sleep(p);
    gic::enable(p);
    p.ask(Action::Meet);
    let (_, raised) = p.ask(Action::SpiAfter { ticks: delay, intid: SPI, level: true });
    p.ask(Action::Meet);
    let (iar, waited) = p.on_vcpu(1, |p| {
        gic::enable(p);
        gic::enable_spi(p, 0b10);
        let iar = p.on_irq(|p| {
            let iar = gic::acknowledge(p);
            gic::device(p, false);
            gic::end(p);
            p.signal(0);
            iar
        });
        p.ask(Action::Meet);
        let waited = p.doze(0, 1);
        p.ask(Action::Meet);
        (iar, waited)
    });
    judge(move |t| {
        let (raised, waited) = (t.time_of(raised)?, t.at(waited)?);
        gave(t, iar, &[SPI.into()], "acknowledged")?;
        let Some(irq) = t.interrupts(1).next() else { return violated("no interrupt was taken") };
        if waited.before > irq.before || irq.before < raised.saturating_sub(delay) {
            return disturbed("the SPI was raised before the vCPU waited for it");
        }
        Ok("woke, and took it".to_owned())
    })
}
