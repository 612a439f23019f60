//! A driver for the GICv2: what one interrupt needs, no more. Tag `[GICv2]`: Arm IHI 0048B.
#![allow(unsafe_code)] // MMIO

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::{RegisterLongName, register_bitfields, register_structs};
use vtick_abi::layout;

use crate::mmio::{mmio_read32, mmio_write32};

/// A 32-bit device register. Unlike tock-registers' own types its accesses are the fixed instructions of `mmio`.
#[repr(transparent)]
pub(crate) struct Mmio32<R: RegisterLongName = ()> {
    value: UnsafeCell<u32>,
    long_name: PhantomData<R>,
}

impl<R: RegisterLongName> Readable for Mmio32<R> {
    type T = u32;
    type R = R;

    fn get(&self) -> u32 {
        // SAFETY: `self` is a device register.
        unsafe { mmio_read32(self.value.get() as u64) as u32 }
    }
}

impl<R: RegisterLongName> Writeable for Mmio32<R> {
    type T = u32;
    type R = R;

    fn set(&self, value: u32) {
        // SAFETY: `self` is a device register.
        unsafe { mmio_write32(self.value.get() as u64, u64::from(value)) }
    }
}

register_bitfields! [u32,
    /// [GICv2/4.3.1] and [GICv2/4.4.1], without Security Extensions.
    CTLR [ ENABLE_GROUP0 OFFSET(0) NUMBITS(1) [] ],
    /// [GICv2/4.4.2].
    PMR [ PRIORITY OFFSET(0) NUMBITS(8) [] ],
    /// [GICv2/4.4.4].
    IAR [ INTID OFFSET(0) NUMBITS(10) [], SOURCE OFFSET(10) NUMBITS(3) [] ],
];

register_structs! {
    /// [GICv2/4.1.2], the part used here.
    Distributor {
        (0x000 => ctlr: Mmio32<CTLR::Register>),
        (0x004 => _to_isenabler),
        (0x100 => isenabler: [Mmio32; 32]),
        (0x180 => _to_sgir),
        (0xf00 => sgir: Mmio32),
        (0xf04 => _to_end),
        (0x1000 => @END),
    },
    /// [GICv2/4.1.3], the part used here.
    CpuInterface {
        (0x000 => ctlr: Mmio32<CTLR::Register>),
        (0x004 => pmr: Mmio32<PMR::Register>),
        (0x008 => _bpr),
        (0x00c => iar: Mmio32<IAR::Register>),
        (0x010 => eoir: Mmio32),
        (0x014 => _to_end),
        (0x1000 => @END),
    }
}

/// The GICv2 at its place in the memory map.
pub(crate) struct Gic {
    distributor: &'static Distributor,
    cpu: &'static CpuInterface,
}

impl Gic {
    /// The one GIC of this machine.
    pub(crate) fn new() -> Gic {
        // SAFETY: the memory map has these frames there, mapped as device memory, and every field is reached through
        // `Mmio32` alone.
        unsafe {
            Gic {
                distributor: &*(layout::GICD_BASE as *const Distributor),
                cpu: &*(layout::GICC_BASE as *const CpuInterface),
            }
        }
    }

    /// Turns on the distributor and this CPU's interface, for all priorities.
    pub(crate) fn enable(&self) {
        self.distributor.ctlr.write(CTLR::ENABLE_GROUP0::SET);
        self.cpu.pmr.write(PMR::PRIORITY.val(0xff));
        self.cpu.ctlr.write(CTLR::ENABLE_GROUP0::SET);
    }

    /// Enables one interrupt.
    pub(crate) fn enable_interrupt(&self, intid: u32) {
        self.distributor.isenabler[intid as usize / 32].set(1 << (intid % 32));
    }

    /// Reads GICD_CTLR, which has no side effects.
    pub(crate) fn read_ctlr(&self) -> u32 {
        self.distributor.ctlr.get()
    }

    /// Sends an SGI only to this CPU ([GICv2/4.3.15]: TargetListFilter 0b10).
    pub(crate) fn send_to_self(&self, intid: u32) {
        self.distributor.sgir.set(0b10 << 24 | intid);
    }

    /// Sends an SGI to one CPU ([GICv2/4.3.15]: TargetListFilter 0b00, CPUTargetList in bits 23:16).
    pub(crate) fn send_to(&self, cpu: usize, intid: u32) {
        self.distributor.sgir.set(1 << (16 + cpu) | intid);
    }

    /// Acknowledges. Returns GICC_IAR as read; its INTID is [`intid`].
    pub(crate) fn acknowledge(&self) -> u32 {
        self.cpu.iar.get()
    }

    /// Ends the interrupt that was acknowledged with `iar` (raw: an SGI's source CPU must come back too).
    pub(crate) fn end(&self, iar: u32) {
        self.cpu.eoir.set(iar);
    }
}

/// The INTID in a raw GICC_IAR.
pub(crate) fn intid(iar: u32) -> u32 {
    IAR::INTID.read(iar)
}
