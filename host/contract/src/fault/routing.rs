//! A faulty GIC, or a faulty way to it: what becomes of accesses, of devices' outputs, and of a restored state.

use vtick_abi::layout::{GICC_BASE, GICD_BASE};
use vtick_gic::{Interrupt, State, Trigger};

use super::{Fault, Injector};
use vtick_core::controller::Access;

// Offsets in the Distributor's frame [GICv2/4.1.2] and in the CPU interface's [GICv2/4.1.3].
const TYPER: u64 = GICD_BASE + 0x004;
const IIDR: u64 = GICD_BASE + 0x008;
const IGROUPR: u64 = GICD_BASE + 0x080;
const ISACTIVER: u64 = GICD_BASE + 0x300;
const IPRIORITYR: u64 = GICD_BASE + 0x400;
const ITARGETSR: u64 = GICD_BASE + 0x800;
const ICFGR: u64 = GICD_BASE + 0xc00;
const ICFGR_END: u64 = GICD_BASE + 0xd00;
const SGIR: u64 = GICD_BASE + 0xf00;
const IDENTIFICATION: u64 = GICD_BASE + 0xfd0;
const GICD_END: u64 = GICD_BASE + 0x1000;
const CTLR: u64 = GICC_BASE;
const PMR: u64 = GICC_BASE + 0x4;
const BPR: u64 = GICC_BASE + 0x8;
const IAR: u64 = GICC_BASE + 0xc;
const EOIR: u64 = GICC_BASE + 0x10;
const DIR: u64 = GICC_BASE + 0x1000;

/// GICC_CTLR.EOImode.
const EOI_MODE: u64 = 1 << 9;
/// GICD_SGIR.TargetListFilter, and its value for all other CPUs.
const SGI_FILTER: u64 = 0b11 << 24;
const SGI_TO_OTHERS: u64 = 0b01 << 24;
/// GICD_SGIR.CPUTargetList.
const SGI_TARGETS: u64 = 0xff << 16;

/// Something done to the GIC's state after an access by a CPU.
pub type Harm = fn(&mut State, cpu: usize);

impl Injector {
    /// The access that arrives at the GIC in the place of this one, if any.
    pub fn access(&mut self, access: Access) -> Option<Access> {
        let (address, Some(value)) = (access.address(), access.write().map(u64::from)) else { return Some(access) };
        let write = |value| Access::at(address, access.width(), Some(value));
        let lost = match self.fault {
            Fault::SgiDropped if address == SGIR => {
                let sent = self.written.entry(SGIR).or_default();
                *sent += 1;
                sent.is_multiple_of(4)
            }
            Fault::PrioritiesIgnored => (IPRIORITYR..ITARGETSR).contains(&address),
            Fault::BinaryPointIgnored => address == BPR,
            Fault::EoiIgnored => address == EOIR,
            Fault::DirIgnored => address == DIR,
            Fault::EdgeIsLevel => (ICFGR..ICFGR_END).contains(&address),
            Fault::GroupsIgnored => (IGROUPR..IGROUPR + 0x80).contains(&address),
            Fault::ActiveWritesIgnored => (ISACTIVER..IPRIORITYR).contains(&address),
            _ => false,
        };
        if lost {
            return None;
        }
        match self.fault {
            Fault::SgiFilterIgnored if address == SGIR => write(value & !SGI_FILTER),
            Fault::SgiToOthersComesBack if address == SGIR && value & SGI_FILTER == SGI_TO_OTHERS => {
                write(value & !SGI_FILTER | SGI_TARGETS)
            }
            Fault::PriorityMaskIgnored if address == PMR => write(0xff),
            Fault::EoiDeactivatesAlways if address == CTLR => write(value & !EOI_MODE),
            Fault::ByteWritesAreWords if access.width() == 1 && address < GICD_END => {
                Access::at(address & !3, 4, Some(value << (8 * (address & 3))))
            }
            Fault::RegistersAreMemory if address < SGIR => {
                // By byte: an access of one width is read back in another.
                for byte in 0..u64::from(access.width()) {
                    self.written.insert(address + byte, (value >> (8 * byte)) as u32 & 0xff);
                }
                Some(access)
            }
            _ => Some(access),
        }
    }

    /// What the guest reads instead of the GIC's answer.
    pub fn answer(&self, access: Access, answer: u64) -> u64 {
        let address = access.address();
        match self.fault {
            _ if access.write().is_some() => answer,
            Fault::SgiSourceLost if address == IAR => answer & 0x3ff,
            Fault::CpusMiscounted if address == TYPER => answer + (1 << 5),
            Fault::IdentificationIsZero if address == IIDR || (IDENTIFICATION..GICD_END).contains(&address) => 0,
            Fault::RegistersAreMemory if address < SGIR => {
                let byte = |n| {
                    let written = self.written.get(&(address + n)).map(|&byte| u64::from(byte) << (8 * n));
                    written.unwrap_or(answer & (0xff_u64 << (8 * n)))
                };
                (0..u64::from(access.width())).map(byte).sum()
            }
            _ => answer,
        }
    }

    /// What is done to the GIC behind this access.
    pub fn harm(&self, access: Access) -> Option<Harm> {
        let ends = matches!(access.address(), EOIR | DIR) && access.write().is_some();
        match self.fault {
            Fault::EoiDropsTwo if access.address() == EOIR && ends => Some(|state, cpu| {
                let priorities = &mut state.cpu_interfaces[cpu].apr;
                priorities.0 &= priorities.0.wrapping_sub(1);
            }),
            Fault::SpiLevelForgotten if ends => Some(|state, _| {
                let inactive = state.distributor.shared.iter_mut().filter(|spi| !spi.active);
                inactive.for_each(|spi| spi.line_level = false);
            }),
            Fault::PulseForgotten => Some(|state, _| {
                let fallen = |spi: &&mut Interrupt| spi.trigger == Trigger::Edge && !spi.line_level;
                state.distributor.shared.iter_mut().filter(fallen).for_each(|spi| spi.pending_latch = false);
            }),
            _ => None,
        }
    }

    /// Whether a device's output arrives at the GIC.
    pub fn spi_arrives(&self) -> bool {
        self.fault != Fault::SpiDropped
    }

    /// What becomes of a state that is restored.
    pub fn restore(&self, state: &mut State) {
        let private = state.distributor.private.iter_mut().flatten();
        let interrupts = private.chain(&mut state.distributor.shared);
        match self.fault {
            Fault::RestoreForgetsActive => interrupts.for_each(|i| (i.active, i.source) = (false, 0)),
            Fault::RestoreForgetsPending => interrupts.for_each(|i| (i.pending_latch, i.sources) = (false, 0)),
            Fault::RestoreForgetsLevels => interrupts.for_each(|i| i.line_level = false),
            Fault::RestoreForgetsPriorities => {
                for cpu in &mut state.cpu_interfaces {
                    (cpu.apr.0, cpu.nsapr.0) = (0, 0);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use vtick_gic::Gic;

    use super::*;

    fn faulty(fault: Fault) -> Injector {
        Injector::new(fault, None)
    }

    fn write(address: u64, len: u8, value: u64) -> Access {
        Access::at(address, len, Some(value)).unwrap()
    }

    #[test]
    fn a_lost_write_is_that_register_alone() {
        let mut gic = faulty(Fault::DirIgnored);
        assert_eq!(gic.access(write(DIR, 4, 27)), None);
        assert_eq!(gic.access(write(EOIR, 4, 27)), Some(write(EOIR, 4, 27)));
    }

    #[test]
    fn registers_that_are_memory_read_as_written_in_any_width() {
        let mut gic = faulty(Fault::RegistersAreMemory);
        gic.access(write(ITARGETSR, 4, 0x0403_0201));
        let read = |address, len| Access::at(address, len, None).unwrap();
        assert_eq!(gic.answer(read(ITARGETSR, 4), 0x0101_0101), 0x0403_0201);
        assert_eq!(gic.answer(read(ITARGETSR + 2, 1), 1), 3);
        assert_eq!(gic.answer(read(TYPER, 4), 0x67), 0x67, "never written");
    }

    #[test]
    fn a_state_restored_without_what_was_active_is_one_that_a_gic_can_be_in() {
        let mut gic = Gic::new(2, 32).unwrap();
        for (frame, offset, value) in [(0, 0x000, 1), (1, 0x4, 0xff), (1, 0x0, 1), (0, 0xf00, 0x0002_0003)] {
            for cpu in 0..2 {
                match frame {
                    0 => gic.write_distributor(cpu, offset, 4, value),
                    _ => gic.write_cpu_interface(cpu, offset, 4, value),
                }
            }
        }
        gic.read_cpu_interface(1, 0xc, 4);
        for fault in [Fault::RestoreForgetsActive, Fault::RestoreForgetsPending, Fault::RestoreForgetsPriorities] {
            let mut state = gic.save();
            faulty(fault).restore(&mut state);
            assert_ne!(state, gic.save(), "{fault:?}");
            assert!(Gic::restore(&state).is_ok(), "{fault:?}");
        }
    }
}
