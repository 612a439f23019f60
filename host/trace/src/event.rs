//! One event.

use vtick_abi::layout::{GICC_BASE, GICC_SIZE, GICD_BASE, GICD_SIZE};

use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line};

/// An event, and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedEvent {
    /// Counter, in ticks.
    pub at: u64,
    /// What.
    pub event: Event,
}

// Half a cache line: recording an event is two stores of sixteen bytes.
const _: () = assert!(size_of::<TimedEvent>() == 32);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// KVM_RUN returned.
    Returned {
        /// Counter when it was entered, in ticks.
        entered: u64,
        /// Why it returned.
        reason: Reason,
        /// What goes with the reason: the event's type, the errno or the number of the exit.
        detail: u32,
        /// The levels that it reported.
        levels: Levels,
    },
    /// The guest's access to a device, completed. A read of GICC_IAR is what acknowledges an interrupt, a write of
    /// GICC_EOIR what ends it.
    Access {
        /// Guest physical address.
        address: u64,
        /// What was read or written; of eight bytes the lower four.
        value: u32,
        /// Bytes.
        len: u8,
        /// A write.
        write: bool,
    },
    /// KVM_IRQ_LINE drove a line.
    Line {
        /// Whose.
        vcpu: u8,
        /// Which.
        line: Line,
        /// Where to.
        high: bool,
    },
    /// A device of the machine changed its interrupt output.
    Output {
        /// INTID of the SPI that it is wired to.
        intid: u32,
        /// Where to.
        high: bool,
    },
}

/// Why KVM_RUN returned: an [`Exit`] without what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// EINTR: a level, a signal or `immediate_exit`.
    Interrupted,
    /// KVM_EXIT_MMIO, a read.
    MmioRead,
    /// KVM_EXIT_MMIO, a write.
    MmioWrite,
    /// KVM_EXIT_SYSTEM_EVENT.
    SystemEvent,
    /// An access that KVM could not describe.
    NoSyndrome,
    /// KVM_EXIT_FAIL_ENTRY.
    FailEntry,
    /// KVM_EXIT_INTERNAL_ERROR.
    InternalError,
    /// An errno.
    Failed,
    /// Any other exit reason.
    Other,
}

impl Reason {
    /// The reason, and what is kept of that which goes with it.
    #[inline(always)]
    pub fn of(exit: &Exit) -> (Reason, u32) {
        match *exit {
            Exit::Interrupted => (Reason::Interrupted, 0),
            Exit::MmioRead { .. } => (Reason::MmioRead, 0),
            Exit::MmioWrite { .. } => (Reason::MmioWrite, 0),
            Exit::SystemEvent { event } => (Reason::SystemEvent, event),
            Exit::NoSyndrome => (Reason::NoSyndrome, 0),
            Exit::FailEntry { hardware_reason } => (Reason::FailEntry, hardware_reason as u32),
            Exit::InternalError => (Reason::InternalError, 0),
            Exit::Failed { errno } => (Reason::Failed, errno as u32),
            Exit::Other { number } => (Reason::Other, number),
        }
    }

    /// The name it is shown under.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Interrupted => "EINTR",
            Reason::MmioRead => "MMIO read",
            Reason::MmioWrite => "MMIO write",
            Reason::SystemEvent => "system event",
            Reason::NoSyndrome => "access without syndrome",
            Reason::FailEntry => "FAIL_ENTRY",
            Reason::InternalError => "INTERNAL_ERROR",
            Reason::Failed => "errno",
            Reason::Other => "other exit",
        }
    }
}

/// Offsets in the CPU interface's frame `[GICv2/4.1.3]`, of the registers for Group 0 and for Group 1.
const IAR: [u64; 2] = [0x0c, 0x20];
const EOIR: [u64; 2] = [0x10, 0x24];
/// Offset in the Distributor's frame `[GICv2/4.1.2]`.
const SGIR: u64 = 0xf00;
/// INTID and, for an SGI, the CPU that sent it `[GICv2/4.4.4]`.
const INTERRUPT_ID: u32 = 0x1fff;
/// INTIDs from here on name no interrupt `[GICv2/2.2.1]`.
const SPECIAL: u32 = 1020;

impl Event {
    /// The interrupt that this access acknowledged: INTID in bits 9:0, for an SGI its sender in bits 12:10.
    pub fn acknowledged(&self) -> Option<u32> {
        match *self {
            Event::Access { address, value, write: false, .. } => interrupt_id(address, IAR, value),
            _ => None,
        }
    }

    /// The interrupt that this access ended, as in [`Event::acknowledged`].
    pub fn ended(&self) -> Option<u32> {
        match *self {
            Event::Access { address, value, write: true, .. } => interrupt_id(address, EOIR, value),
            _ => None,
        }
    }

    /// The SGI that this access, by CPU `sender` of `cpus`, sent: its INTID, and the CPUs it went to, a bit each.
    pub fn sent(&self, sender: u8, cpus: u8) -> Option<(u32, u8)> {
        let Event::Access { address, value, write: true, .. } = *self else { return None };
        if address != GICD_BASE + SGIR {
            return None;
        }
        // TargetListFilter in bits 25:24, CPUTargetList in 23:16, INTID in 3:0 [GICv2/4.3.15].
        let all = ((1_u32 << cpus) - 1) as u8;
        let targets = match value >> 24 & 3 {
            0 => (value >> 16) as u8 & all,
            1 => all & !(1 << sender),
            2 => 1 << sender,
            _ => 0,
        };
        Some((value & 0xf, targets))
    }
}

fn interrupt_id(address: u64, registers: [u64; 2], value: u32) -> Option<u32> {
    let id = value & INTERRUPT_ID;
    (registers.contains(&address.wrapping_sub(GICC_BASE)) && id & 0x3ff < SPECIAL).then_some(id)
}

/// The name of the GIC's register at a guest physical address.
pub fn register(address: u64) -> Option<&'static str> {
    let name = if (GICC_BASE..GICC_BASE + GICC_SIZE).contains(&address) {
        vtick_gic::register_name(false, address - GICC_BASE)
    } else if (GICD_BASE..GICD_BASE + GICD_SIZE).contains(&address) {
        vtick_gic::register_name(true, address - GICD_BASE)
    } else {
        None
    };
    name.map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(address: u64, value: u32, write: bool) -> Event {
        Event::Access { address, value, len: 4, write }
    }

    #[test]
    fn reading_iar_acknowledges_and_reading_a_spurious_id_does_not() {
        assert_eq!(access(GICC_BASE + 0x0c, 27, false).acknowledged(), Some(27));
        assert_eq!(access(GICC_BASE + 0x0c, 3 | 1 << 10, false).acknowledged(), Some(3 | 1 << 10));
        assert_eq!(access(GICC_BASE + 0x0c, 1023, false).acknowledged(), None);
        assert_eq!(access(GICC_BASE + 0x0c, 27, true).acknowledged(), None, "a write");
        assert_eq!(access(GICD_BASE + 0x0c, 27, false).acknowledged(), None, "another frame");
    }

    #[test]
    fn writing_eoir_ends() {
        assert_eq!(access(GICC_BASE + 0x10, 27, true).ended(), Some(27));
        assert_eq!(access(GICC_BASE + 0x24, 27, true).ended(), Some(27));
        assert_eq!(access(GICC_BASE + 0x10, 27, false).ended(), None);
    }

    #[test]
    fn an_sgi_goes_to_the_list_to_all_others_or_to_its_sender() {
        let sgir = |value| access(GICD_BASE + SGIR, value, true).sent(1, 4);
        assert_eq!(sgir(0b0101 << 16 | 2), Some((2, 0b0101)));
        assert_eq!(sgir(1 << 24 | 5), Some((5, 0b1101)));
        assert_eq!(sgir(2 << 24 | 5), Some((5, 0b0010)));
        assert_eq!(sgir(0xff << 16 | 1), Some((1, 0b1111)), "CPUs that do not exist get none");
        assert_eq!(access(GICD_BASE + 0x100, 1, true).sent(0, 4), None);
    }

    #[test]
    fn every_reason_keeps_what_goes_with_it() {
        assert_eq!(Reason::of(&Exit::Failed { errno: 22 }), (Reason::Failed, 22));
        assert_eq!(Reason::of(&Exit::SystemEvent { event: 2 }), (Reason::SystemEvent, 2));
        assert_eq!(Reason::of(&Exit::mmio_write(0, &[1])), (Reason::MmioWrite, 0));
    }
}
