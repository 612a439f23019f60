//! The GIC as the programs of the G clauses drive it, and what their transcripts say of it. Tag `[GICv2]`: Arm IHI 0048B.

use std::collections::{BTreeMap, HashMap};

use vtick_abi::layout::{GICC_BASE, GICD_BASE};

use crate::{Action, Event, Program, Step, Transcript, Unheld, Value, violated};
use vtick_core::lines::Routing;

// The Distributor's registers [GICv2/4.1.2].
pub(super) const GICD_CTLR: u64 = GICD_BASE;
pub(super) const GICD_TYPER: u64 = GICD_BASE + 0x004;
pub(super) const GICD_IIDR: u64 = GICD_BASE + 0x008;
pub(super) const GICD_IGROUPR: u64 = GICD_BASE + 0x080;
pub(super) const GICD_ISENABLER: u64 = GICD_BASE + 0x100;
pub(super) const GICD_ISPENDR: u64 = GICD_BASE + 0x200;
pub(super) const GICD_ISACTIVER: u64 = GICD_BASE + 0x300;
pub(super) const GICD_ICACTIVER: u64 = GICD_BASE + 0x380;
pub(super) const GICD_IPRIORITYR: u64 = GICD_BASE + 0x400;
pub(super) const GICD_ITARGETSR: u64 = GICD_BASE + 0x800;
pub(super) const GICD_ICFGR: u64 = GICD_BASE + 0xc00;
pub(super) const GICD_SGIR: u64 = GICD_BASE + 0xf00;
pub(super) const GICD_ICPIDR2: u64 = GICD_BASE + 0xfe8;
// The CPU interface's [GICv2/4.1.3].
pub(super) const GICC_CTLR: u64 = GICC_BASE;
pub(super) const GICC_PMR: u64 = GICC_BASE + 0x04;
pub(super) const GICC_BPR: u64 = GICC_BASE + 0x08;
pub(super) const GICC_IAR: u64 = GICC_BASE + 0x0c;
pub(super) const GICC_EOIR: u64 = GICC_BASE + 0x10;
pub(super) const GICC_RPR: u64 = GICC_BASE + 0x14;
pub(super) const GICC_HPPIR: u64 = GICC_BASE + 0x18;
pub(super) const GICC_AIAR: u64 = GICC_BASE + 0x20;
pub(super) const GICC_AEOIR: u64 = GICC_BASE + 0x24;
pub(super) const GICC_DIR: u64 = GICC_BASE + 0x1000;

/// GICC_CTLR.{EnableGrp0, EnableGrp1, FIQEn, EOImode}.
pub(super) const ENABLE_GROUP_0: u64 = 1 << 0;
pub(super) const ENABLE_GROUP_1: u64 = 1 << 1;
pub(super) const FIQ_EN: u64 = 1 << 3;
pub(super) const EOI_MODE: u64 = 1 << 9;

/// What GICC_RPR reads when no priority is active.
pub(super) const IDLE: u64 = 0xff;
/// An SPI that the programs use.
pub(super) const SPI: u32 = 40;
/// The virtual timer's PPI.
pub(super) const VTIMER_PPI: u64 = 27;

/// GICD_SGIR to the CPUs of a list, a bit each.
pub(super) fn sgi_to(list: u64, intid: u64) -> u64 {
    list << 16 | intid
}

/// GICD_SGIR to all CPUs but the one that writes it.
pub(super) fn sgi_to_others(intid: u64) -> u64 {
    0b01 << 24 | intid
}

/// GICD_SGIR to the CPU that writes it.
pub(super) fn sgi_to_self(intid: u64) -> u64 {
    0b10 << 24 | intid
}

/// Routes levels and lines through the GIC, and turns it on for this vCPU: Group 0, all priorities.
pub(super) fn enable(p: &mut Program) {
    enable_with(p, ENABLE_GROUP_0);
}

/// The same with GICC_CTLR as given, and both groups enabled in the Distributor.
pub(super) fn enable_with(p: &mut Program, ctlr: u64) {
    p.route(Routing::Gic);
    p.store(4, GICD_CTLR, 0b11);
    p.store(4, GICC_PMR, 0xff);
    p.store(4, GICC_CTLR, ctlr);
}

/// Enables a PPI or SPI.
pub(super) fn enable_interrupt(p: &mut Program, intid: u64) {
    p.store(4, GICD_ISENABLER + intid / 32 * 4, 1 << (intid % 32));
}

/// Enables [`SPI`], targeted at these CPUs.
pub(super) fn enable_spi(p: &mut Program, targets: u64) {
    p.store(1, GICD_ITARGETSR + u64::from(SPI), targets);
    enable_interrupt(p, SPI.into());
}

/// Makes [`SPI`] edge-triggered.
pub(super) fn make_spi_edge(p: &mut Program) {
    let spi = u64::from(SPI);
    p.store(4, GICD_ICFGR + spi / 16 * 4, 0b10 << (spi % 16 * 2));
}

/// Sets an interrupt's priority.
pub(super) fn set_priority(p: &mut Program, intid: u64, priority: u64) {
    p.store(1, GICD_IPRIORITYR + intid, priority);
}

/// A device raises or lowers [`SPI`], on this vCPU's thread.
pub(super) fn device(p: &mut Program, level: bool) {
    p.ask(Action::Spi { intid: SPI, level });
}

/// General registers of a handler: GICC_IAR as read, and the INTID in it.
pub(super) const IAR: u16 = 0;
pub(super) const INTID: u16 = 1;
/// A register for a count.
pub(super) const COUNT: u16 = 2;

/// Acknowledges into [`IAR`] and [`INTID`].
pub(super) fn acknowledge(p: &mut Program) -> Step {
    let iar = p.load(4, GICC_IAR);
    p.into_register(iar, IAR);
    let intid = p.field(Value::Register(IAR, 0), 0, 10);
    p.into_register(intid, INTID);
    iar
}

/// Ends what was acknowledged.
pub(super) fn end(p: &mut Program) -> Step {
    p.store(4, GICC_EOIR, Value::Register(IAR, 0))
}

/// This vCPU's IRQ handler: acknowledges, ends and counts in `flag`. The step is the acknowledgement.
pub(super) fn take_and_count(p: &mut Program, flag: u16) -> Step {
    p.on_irq(|p| {
        let iar = acknowledge(p);
        end(p);
        p.signal(flag);
        iar
    })
}

/// What a step gave each time, in order.
pub(super) fn values(t: &Transcript, step: Step) -> Vec<u64> {
    t.all(step).map(|record| record.value).collect()
}

/// That a step gave these values, in this order.
pub(super) fn gave(t: &Transcript, step: Step, due: &[u64], what: &str) -> Result<(), Unheld> {
    match values(t, step) {
        seen if seen == due => Ok(()),
        seen => violated(format!("{what}: seen {}, expected {}", list(&seen), list(due))),
    }
}

fn list(values: &[u64]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:#x}")).collect();
    format!("[{}]", values.join(" "))
}

/// That vCPU `vcpu` acknowledged each of these values of GICC_IAR as often as due, and nothing else.
pub(super) fn acknowledged(
    t: &Transcript,
    vcpu: usize,
    step: Step,
    due: &BTreeMap<u64, usize>,
) -> Result<usize, Unheld> {
    let mut seen = BTreeMap::new();
    for iar in values(t, step) {
        *seen.entry(iar).or_insert(0) += 1;
    }
    for iar in seen.keys().chain(due.keys()) {
        let (seen, due) = (seen.get(iar).unwrap_or(&0), due.get(iar).unwrap_or(&0));
        if seen != due {
            let (intid, source) = (iar & 0x3ff, iar >> 10);
            return violated(format!(
                "vCPU {vcpu} acknowledged INTID {intid} of CPU {source} {seen} times, expected {due}"
            ));
        }
    }
    Ok(seen.values().sum())
}

/// That every line was driven when it moved, and at no other time.
pub(super) fn lines_only_moved(t: &Transcript) -> Result<usize, Unheld> {
    let mut up = HashMap::new();
    let mut calls = 0;
    for event in &t.events {
        if let Event::Line { vcpu, line, level, .. } = *event {
            calls += 1;
            if std::mem::replace(up.entry((vcpu, line)).or_insert(false), level) == level {
                let to = if level { "raised, and it was up" } else { "lowered, and it was down" };
                return violated(format!("{line} of vCPU {vcpu} was {to}"));
            }
        }
    }
    Ok(calls)
}
