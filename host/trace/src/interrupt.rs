//! Interrupts, put together from the events of a trace: raised, acknowledged, ended.

use std::collections::BTreeMap;

use super::{Event, Source, TimedEvent};
use vtick_core::lines::{INTIDS, Levels};

/// One interrupt of one vCPU, as far as the trace has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Who took it, or would have.
    pub vcpu: u8,
    /// Its INTID.
    pub intid: u32,
    /// The vCPU that sent it: of an SGI.
    pub sender: Option<u8>,
    /// When its cause was seen: the return of KVM_RUN that reported the level, the device's output, the write of
    /// GICD_SGIR. Counter, in ticks; `None`: before the trace begins.
    pub raised: Option<u64>,
    /// When GICC_IAR was read, in ticks; `None`: not in the trace.
    pub acknowledged: Option<u64>,
    /// When GICC_EOIR was written, in ticks; `None`: not in the trace.
    pub ended: Option<u64>,
}

/// INTIDs from here on are SPIs, which any vCPU may take.
const SPI: u32 = 32;
/// INTIDs below this are SGIs, of which each sender has its own.
const SGIS: u32 = 16;

/// Every interrupt in a trace of so many vCPUs that was merged, in the order in which they ended; those that did not last. One whose level fell again before it was
/// acknowledged was none.
pub fn interrupts(vcpus: u8, merged: &[(Source, &TimedEvent)]) -> Vec<Interrupt> {
    let mut follower = Follower { vcpus, ..Follower::default() };
    for (source, record) in merged {
        follower.take(*source, record.at, record.event);
    }
    follower.finish()
}

/// A vCPU and an interrupt as GICC_IAR names it. SPIs that wait belong to none: vCPU 0 stands for all.
type Key = (u8, u32);

#[derive(Default)]
struct Follower {
    vcpus: u8,
    levels: BTreeMap<u8, Levels>,
    /// Inputs of the GIC that are high: raised again as soon as they have ended.
    high: BTreeMap<Key, bool>,
    waiting: BTreeMap<Key, u64>,
    active: BTreeMap<Key, Interrupt>,
    done: Vec<Interrupt>,
}

impl Follower {
    fn take(&mut self, source: Source, at: u64, event: Event) {
        if let Event::Output { intid, high } = event {
            self.input((0, intid), at, high);
        }
        let Source::Vcpu(vcpu) = source else { return };
        if let Event::Returned { levels, .. } = event {
            let before = self.levels.insert(vcpu, levels).unwrap_or_default();
            for (device, intid) in INTIDS.into_iter().filter(|(device, _)| (before.0 ^ levels.0) & device.0 != 0) {
                let high = levels.contains(device);
                self.input((vcpu, intid), at, high);
                if !high {
                    self.waiting.remove(&(vcpu, intid));
                }
            }
        }
        if let Some((intid, targets)) = event.sent(vcpu, self.vcpus) {
            let id = intid | u32::from(vcpu) << 10;
            for target in (0..self.vcpus).filter(|target| targets >> target & 1 != 0) {
                self.waiting.entry((target, id)).or_insert(at);
            }
        }
        if let Some(id) = event.acknowledged() {
            let raised = self.waiting.remove(&waits_as(vcpu, id));
            let sender = (id & 0x3ff < SGIS).then_some((id >> 10) as u8);
            let acknowledged = Some(at);
            let interrupt = Interrupt { vcpu, intid: id & 0x3ff, sender, raised, acknowledged, ended: None };
            self.active.insert((vcpu, id), interrupt);
        }
        if let Some(id) = event.ended()
            && let Some(interrupt) = self.active.remove(&(vcpu, id))
        {
            self.done.push(Interrupt { ended: Some(at), ..interrupt });
            let waits = waits_as(vcpu, id);
            if self.high.get(&waits).copied().unwrap_or_default() {
                self.waiting.insert(waits, at);
            }
        }
    }

    /// An input of the GIC moved. The fall of an SPI does not take back what an edge has raised.
    fn input(&mut self, key: Key, at: u64, high: bool) {
        self.high.insert(key, high);
        if high {
            self.waiting.insert(key, at);
        }
    }

    fn finish(mut self) -> Vec<Interrupt> {
        self.done.extend(self.active.into_values());
        let waiting = self.waiting.into_iter().map(|((vcpu, id), raised)| Interrupt {
            vcpu,
            intid: id & 0x3ff,
            sender: (id & 0x3ff < SGIS).then_some((id >> 10) as u8),
            raised: Some(raised),
            acknowledged: None,
            ended: None,
        });
        self.done.extend(waiting);
        self.done
    }
}

fn waits_as(vcpu: u8, id: u32) -> Key {
    if id & 0x3ff >= SPI { (0, id) } else { (vcpu, id) }
}

#[cfg(test)]
mod tests {
    use vtick_abi::layout::{GICC_BASE, GICD_BASE};

    use super::*;
    use crate::{Tape, Trace};
    use vtick_core::Unit;
    use vtick_core::exit::Exit;

    const IAR: u64 = GICC_BASE + 0xc;
    const EOIR: u64 = GICC_BASE + 0x10;
    const SGIR: u64 = GICD_BASE + 0xf00;

    /// One vCPU's tape, written in the order of the calls.
    struct Vcpu(Tape);

    impl Vcpu {
        fn new() -> Vcpu {
            Vcpu(Tape::new(64))
        }

        fn levels(mut self, at: u64, levels: Levels) -> Vcpu {
            self.0.returned(at - 1, at, &Exit::Interrupted, levels);
            self
        }

        fn reads(mut self, at: u64, address: u64, value: u64) -> Vcpu {
            self.0.access(at, address, 4, value, false);
            self
        }

        fn writes(mut self, at: u64, address: u64, value: u64) -> Vcpu {
            self.0.access(at, address, 4, value, true);
            self
        }
    }

    fn of(vcpus: Vec<Vcpu>, outside: Tape) -> Vec<Interrupt> {
        let mut tapes: Vec<_> = (0..).map(Source::Vcpu).zip(vcpus.into_iter().map(|vcpu| vcpu.0)).collect();
        tapes.push((Source::Outside, outside));
        let trace = Trace { unit: Unit::Instructions, frequency: 1, tapes };
        interrupts(trace.vcpus(), &trace.merged())
    }

    fn interrupt(
        vcpu: u8,
        intid: u32,
        raised: Option<u64>,
        acknowledged: Option<u64>,
        ended: Option<u64>,
    ) -> Interrupt {
        Interrupt { vcpu, intid, sender: None, raised, acknowledged, ended }
    }

    #[test]
    fn a_timer_interrupt_lasts_from_the_return_that_told_its_level_to_eoir() {
        let vcpu =
            Vcpu::new().levels(10, Levels::VTIMER).reads(20, IAR, 27).levels(25, Levels::NONE).writes(30, EOIR, 27);
        assert_eq!(of(vec![vcpu], Tape::off()), [interrupt(0, 27, Some(10), Some(20), Some(30))]);
    }

    #[test]
    fn a_level_that_is_still_high_at_its_end_raises_again_there() {
        let vcpu = Vcpu::new().levels(10, Levels::VTIMER).reads(20, IAR, 27).writes(30, EOIR, 27).reads(40, IAR, 27);
        let due = [interrupt(0, 27, Some(10), Some(20), Some(30)), interrupt(0, 27, Some(30), Some(40), None)];
        assert_eq!(of(vec![vcpu], Tape::off()), due);
    }

    #[test]
    fn a_level_that_falls_before_it_is_acknowledged_was_no_interrupt() {
        let vcpu = Vcpu::new().levels(10, Levels::VTIMER).levels(20, Levels::NONE);
        assert_eq!(of(vec![vcpu], Tape::off()), []);
    }

    #[test]
    fn an_sgi_is_raised_by_its_sender_and_taken_by_its_target() {
        let sender = Vcpu::new().writes(10, SGIR, 1 << 17 | 5);
        let target = Vcpu::new().reads(20, IAR, 5).writes(30, EOIR, 5);
        let due = Interrupt { sender: Some(0), ..interrupt(1, 5, Some(10), Some(20), Some(30)) };
        assert_eq!(of(vec![sender, target], Tape::off()), [due]);
    }

    #[test]
    fn an_spi_raised_from_outside_belongs_to_whoever_acknowledges_it() {
        let mut outside = Tape::new(8);
        outside.output(10, 33, true);
        outside.output(12, 33, false);
        let taker = Vcpu::new().reads(20, IAR, 33).writes(30, EOIR, 33);
        assert_eq!(of(vec![Vcpu::new(), taker], outside), [interrupt(1, 33, Some(10), Some(20), Some(30))]);
    }

    #[test]
    fn what_was_never_acknowledged_is_told_too() {
        let vcpu = Vcpu::new().levels(10, Levels::PTIMER);
        assert_eq!(of(vec![vcpu], Tape::off()), [interrupt(0, 30, Some(10), None, None)]);
    }
}
