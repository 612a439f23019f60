//! A driver for the GICv3: what one interrupt needs, no more. Tag `[GICv3]`: Arm IHI 0069, *Generic Interrupt Controller
//! Architecture Specification, version 3 and 4*.
#![allow(unsafe_code)] // MMIO and the CPU interface's system registers

use vtick_abi::layout::{GICD_BASE, GICR_BASE};

use crate::mmio::{mmio_read32, mmio_write32};
use crate::sysreg;

/// [GICv3] GICD_CTLR, as a GIC with one security state has it: EnableGrp0, EnableGrp1 and ARE.
const GICD_CTLR_ENABLE: u64 = 1 << 4 | 1 << 1 | 1;
/// Size of one vCPU's two redistributor frames ([GICv3] RD_base and SGI_base, 64 KiB each).
const REDISTRIBUTOR: u64 = 0x2_0000;
/// Offsets from GICR_BASE of the SGI_base frame and of its registers.
const SGI_FRAME: u64 = 0x1_0000;
const GICR_IGROUPR0: u64 = SGI_FRAME + 0x080;
const GICR_ISENABLER0: u64 = SGI_FRAME + 0x100;

macro_rules! icc {
    (write $register:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: writes a register of the CPU interface, which no Rust code depends on.
        unsafe { core::arch::asm!(concat!("msr ", $register, ", {0}"), in(reg) value, options(nostack)) }
    }};
    (read $register:literal) => {{
        let value: u64;
        // SAFETY: reads a register of the CPU interface, which no Rust code depends on.
        unsafe { core::arch::asm!(concat!("mrs {0}, ", $register), out(reg) value, options(nostack)) };
        value
    }};
}

/// The GICv3, as one vCPU sees it.
pub(crate) struct Gic {
    redistributor: u64,
}

impl Gic {
    /// The one GIC of this machine, for the vCPU with this index.
    pub(crate) fn new(vcpu: usize) -> Gic {
        Gic { redistributor: GICR_BASE + vcpu as u64 * REDISTRIBUTOR }
    }

    /// Turns on the distributor and this CPU's interface, for all priorities; SGIs and PPIs are in Group 1.
    pub(crate) fn enable(&self) {
        // SAFETY: registers of the distributor and of this vCPU's redistributor.
        unsafe {
            mmio_write32(GICD_BASE, GICD_CTLR_ENABLE);
        }
        // SAFETY: as above.
        unsafe {
            mmio_write32(self.redistributor + GICR_IGROUPR0, 0xffff_ffff);
        }
        // ICC_SRE_EL1.SRE, then ICC_PMR_EL1 and ICC_IGRPEN1_EL1.
        icc!(write "S3_0_C12_C12_5", 1);
        sysreg::isb();
        icc!(write "S3_0_C4_C6_0", 0xff);
        icc!(write "S3_0_C12_C12_7", 1);
        sysreg::isb();
    }

    /// Enables a private interrupt.
    pub(crate) fn enable_interrupt(&self, intid: u32) {
        // SAFETY: a register of this vCPU's redistributor.
        unsafe { mmio_write32(self.redistributor + GICR_ISENABLER0, 1 << (intid % 32)) }
    }

    /// Reads GICD_CTLR, which has no side effects.
    pub(crate) fn read_ctlr(&self) -> u32 {
        // SAFETY: a register of the distributor.
        unsafe { mmio_read32(GICD_BASE) as u32 }
    }

    /// Sends an SGI only to this CPU.
    pub(crate) fn send_to_self(&self, intid: u32) {
        self.send_to(((self.redistributor - GICR_BASE) / REDISTRIBUTOR) as usize, intid);
    }

    /// Sends an SGI to the vCPU with this index: ICC_SGI1R_EL1 with its bit in the target list (all vCPUs here have
    /// affinity 0.0.0.n, n below 16).
    pub(crate) fn send_to(&self, vcpu: usize, intid: u32) {
        icc!(write "S3_0_C12_C11_5", u64::from(intid) << 24 | 1 << vcpu);
        sysreg::isb();
    }

    /// Acknowledges. Returns ICC_IAR1_EL1 as read.
    #[inline(always)]
    pub(crate) fn acknowledge(&self) -> u32 {
        icc!(read "S3_0_C12_C12_0") as u32
    }

    /// Ends the interrupt that was acknowledged: ICC_EOIR1_EL1.
    #[inline(always)]
    pub(crate) fn end(&self, iar: u32) {
        icc!(write "S3_0_C12_C12_1", u64::from(iar));
    }
}
