//! G4: priority drop and deactivation.

use super::gic::{
    self, COUNT, ENABLE_GROUP_0, EOI_MODE, GICC_DIR, GICC_RPR, GICD_ICACTIVER, GICD_ISACTIVER, GICD_SGIR, IAR, IDLE,
    INTID, SPI, gave, sgi_to_self,
};
use crate::fault::Fault;
use crate::{Check, Clause, FailsOn, Judge, Program, Value, judge};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "eoi-mode-1-deactivates-only-with-dir",
        clause: Clause::G4,
        claim: "With EOImode 1, EOIR lets a lower priority in, but the level that is still up comes again only after \
                DIR.",
        catches: "EOIR that deactivates, or drops nothing; DIR that does nothing.",
        fails_on: FailsOn::Faults(&[Fault::DirIgnored, Fault::EoiDeactivatesAlways, Fault::EoiIgnored]),
        program: eoi_mode_1,
    },
    Check {
        name: "sgi-made-active-by-hand-waits-until-cleared",
        clause: Clause::G4,
        claim: "An SGI that ISACTIVER made active is not taken when it is sent; the guest takes the SGI after \
                ICACTIVER has cleared the active state.",
        catches: "An active interrupt that is taken again; the active registers ignored.",
        fails_on: FailsOn::Faults(&[Fault::ActiveWritesIgnored]),
        program: active_by_hand,
    },
    Check {
        name: "icactiver-ends-an-active-sgi",
        clause: Clause::G4,
        claim: "A handler that clears its SGI through ICACTIVER, instead of ending it, takes it once and leaves nothing \
                active.",
        catches: "An active state that only EOIR can clear.",
        fails_on: FailsOn::Faults(&[Fault::ActiveWritesIgnored]),
        program: cleared_by_its_handler,
    },
];

fn eoi_mode_1(p: &mut Program) -> Judge {
    const LOWER: u64 = 3;
    const SPI_DONE: u16 = 0;
    const SPI_TAKEN: u16 = 1;
    let spi = u64::from(SPI);
    let pause = p.us(20);
    gic::enable_with(p, ENABLE_GROUP_0 | EOI_MODE);
    gic::enable_spi(p, 1);
    gic::set_priority(p, spi, 0x40);
    gic::set_priority(p, LOWER, 0x80);
    let (iar, dropped, active, deactivated) = p.on_irq(|p| {
        let iar = gic::acknowledge(p);
        // With the SPI's priority active, a lower one waits...
        p.when(INTID, spi, |p| {
            p.store(4, GICD_SGIR, sgi_to_self(LOWER));
            p.unmask();
            p.spin(pause);
            p.mask();
        });
        gic::end(p);
        let dropped = p.load(4, GICC_RPR);
        let active = p.load(4, GICD_ISACTIVER + spi / 32 * 4);
        // ...and comes when that is dropped; the SPI, whose level is up, is active and does not.
        p.when(INTID, spi, |p| {
            p.unmask();
            p.spin(pause);
            p.mask();
            let count = p.signal(SPI_TAKEN);
            p.into_register(count, COUNT);
            p.when(COUNT, 2, |p| gic::device(p, false));
        });
        p.store(4, GICC_DIR, Value::Register(IAR, 0));
        let deactivated = p.load(4, GICD_ISACTIVER + spi / 32 * 4);
        p.when(INTID, spi, |p| p.signal(SPI_DONE));
        (iar, dropped, active, deactivated)
    });
    gic::device(p, true);
    p.unmask();
    p.wait_for(SPI_DONE, 2, Value::Now(20 * pause));
    p.spin(pause);
    p.mask();
    judge(move |t| {
        let bit = 1 << (spi % 32);
        gave(t, iar, &[spi, LOWER, spi, LOWER], "acknowledged")?;
        gave(t, dropped, &[IDLE; 4], "running priorities after EOIR")?;
        gave(t, active, &[bit, bit, bit, bit], "GICD_ISACTIVER after EOIR")?;
        gave(t, deactivated, &[bit, 0, bit, 0], "GICD_ISACTIVER after DIR")?;
        Ok("the lower one came after EOIR, the level again after DIR, and not when it had fallen".to_owned())
    })
}

fn active_by_hand(p: &mut Program) -> Judge {
    let pause = p.us(20);
    gic::enable(p);
    let iar = gic::take_and_count(p, 0);
    p.unmask();
    p.store(4, GICD_ISACTIVER, 1 << 1);
    let set = p.load(4, GICD_ISACTIVER);
    p.store(4, GICD_SGIR, sgi_to_self(1));
    p.spin(pause);
    let waited = p.take(0, 0);
    p.store(4, GICD_ICACTIVER, 1 << 1);
    p.spin(pause);
    p.mask();
    let cleared = p.load(4, GICD_ISACTIVER);
    judge(move |t| {
        gave(t, set, &[1 << 1], "GICD_ISACTIVER when the SGI was made active")?;
        gave(t, waited, &[0], "interrupts taken while it was active")?;
        gave(t, iar, &[1], "acknowledged")?;
        gave(t, cleared, &[0], "GICD_ISACTIVER at the end")?;
        Ok("waited, and came when it was cleared".to_owned())
    })
}

fn cleared_by_its_handler(p: &mut Program) -> Judge {
    let pause = p.us(20);
    gic::enable(p);
    let (iar, active, cleared) = p.on_irq(|p| {
        let iar = gic::acknowledge(p);
        let active = p.load(4, GICD_ISACTIVER);
        p.store(4, GICD_ICACTIVER, 1 << 1);
        (iar, active, p.load(4, GICD_ISACTIVER))
    });
    p.unmask();
    p.store(4, GICD_SGIR, sgi_to_self(1));
    p.spin(pause);
    p.mask();
    judge(move |t| {
        gave(t, iar, &[1], "acknowledged")?;
        gave(t, active, &[1 << 1], "GICD_ISACTIVER in the handler")?;
        gave(t, cleared, &[0], "GICD_ISACTIVER after ICACTIVER")?;
        Ok("taken once, and inactive".to_owned())
    })
}
