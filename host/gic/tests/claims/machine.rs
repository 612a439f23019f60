//! A GIC with its guest's CPUs, as the tests drive it, and the offsets of the registers.

use vtick_gic::{Gic, Lines};

pub(crate) const GICD_CTLR: u64 = 0x000;
pub(crate) const GICD_TYPER: u64 = 0x004;
pub(crate) const GICD_IIDR: u64 = 0x008;
pub(crate) const GICD_IGROUPR: u64 = 0x080;
pub(crate) const GICD_ISENABLER: u64 = 0x100;
pub(crate) const GICD_ICENABLER: u64 = 0x180;
pub(crate) const GICD_ISPENDR: u64 = 0x200;
pub(crate) const GICD_ICPENDR: u64 = 0x280;
pub(crate) const GICD_ISACTIVER: u64 = 0x300;
pub(crate) const GICD_ICACTIVER: u64 = 0x380;
pub(crate) const GICD_IPRIORITYR: u64 = 0x400;
pub(crate) const GICD_ITARGETSR: u64 = 0x800;
pub(crate) const GICD_ICFGR: u64 = 0xc00;
pub(crate) const GICD_NSACR: u64 = 0xe00;
pub(crate) const GICD_SGIR: u64 = 0xf00;
pub(crate) const GICD_CPENDSGIR: u64 = 0xf10;
pub(crate) const GICD_SPENDSGIR: u64 = 0xf20;
pub(crate) const ICPIDR2: u64 = 0xfe8;

pub(crate) const GICC_CTLR: u64 = 0x00;
pub(crate) const GICC_PMR: u64 = 0x04;
pub(crate) const GICC_BPR: u64 = 0x08;
pub(crate) const GICC_IAR: u64 = 0x0c;
pub(crate) const GICC_EOIR: u64 = 0x10;
pub(crate) const GICC_RPR: u64 = 0x14;
pub(crate) const GICC_HPPIR: u64 = 0x18;
pub(crate) const GICC_ABPR: u64 = 0x1c;
pub(crate) const GICC_AIAR: u64 = 0x20;
pub(crate) const GICC_AEOIR: u64 = 0x24;
pub(crate) const GICC_AHPPIR: u64 = 0x28;
pub(crate) const GICC_APR: u64 = 0xd0;
pub(crate) const GICC_NSAPR: u64 = 0xe0;
pub(crate) const GICC_IIDR: u64 = 0xfc;
pub(crate) const GICC_DIR: u64 = 0x1000;

pub(crate) const CTLR_GRP0: u32 = 1 << 0;
pub(crate) const CTLR_GRP1: u32 = 1 << 1;
pub(crate) const CTLR_ACK_CTL: u32 = 1 << 2;
pub(crate) const CTLR_FIQ_EN: u32 = 1 << 3;
pub(crate) const CTLR_CBPR: u32 = 1 << 4;
pub(crate) const CTLR_EOI_MODE: u32 = 1 << 9;

pub(crate) const SPURIOUS: u32 = 1023;
pub(crate) const GROUP_1_WAITS: u32 = 1022;
pub(crate) const IDLE: u32 = 0xff;

/// The virtual timer's PPI.
pub(crate) const TIMER: u32 = 27;

pub(crate) const NONE: Lines = Lines { irq: false, fiq: false };
pub(crate) const IRQ: Lines = Lines { irq: true, fiq: false };
pub(crate) const FIQ: Lines = Lines { irq: false, fiq: true };

pub(crate) struct Machine {
    pub(crate) gic: Gic,
}

impl Machine {
    /// As after reset.
    pub(crate) fn reset(cpus: usize, spis: usize) -> Machine {
        let machine = Machine { gic: Gic::new(cpus, spis).expect("a GIC of this size") };
        machine.check();
        machine
    }

    /// Both groups enabled everywhere, no priority masked, every interrupt enabled at priority 0x80, every SPI going to
    /// CPU 0.
    pub(crate) fn booted(cpus: usize, spis: usize) -> Machine {
        let mut machine = Machine::reset(cpus, spis);
        machine.write_d(0, GICD_CTLR, CTLR_GRP0 | CTLR_GRP1);
        for cpu in 0..cpus {
            machine.write_c(cpu, GICC_CTLR, CTLR_GRP0 | CTLR_GRP1);
            machine.write_c(cpu, GICC_PMR, 0xff);
        }
        for cpu in 0..cpus {
            for word in 0..machine.gic.interrupts().div_ceil(32) as u64 {
                machine.write_d(cpu, GICD_ISENABLER + 4 * word, !0);
            }
            for word in 0..machine.gic.interrupts() as u64 / 4 {
                machine.write_d(cpu, GICD_IPRIORITYR + 4 * word, 0x8080_8080);
                machine.write_d(cpu, GICD_ITARGETSR + 4 * word, 0x0101_0101);
            }
        }
        machine
    }

    #[track_caller]
    fn check(&self) {
        self.gic.check_invariants().expect("the invariants hold");
    }

    #[track_caller]
    pub(crate) fn read_d(&mut self, cpu: usize, offset: u64) -> u32 {
        let value = self.gic.read_distributor(cpu, offset, 4);
        self.check();
        value
    }

    #[track_caller]
    pub(crate) fn write_d(&mut self, cpu: usize, offset: u64, value: u32) {
        self.gic.write_distributor(cpu, offset, 4, value);
        self.check();
    }

    #[track_caller]
    pub(crate) fn read_byte(&mut self, cpu: usize, offset: u64) -> u32 {
        let value = self.gic.read_distributor(cpu, offset, 1);
        self.check();
        value
    }

    #[track_caller]
    pub(crate) fn write_byte(&mut self, cpu: usize, offset: u64, value: u32) {
        self.gic.write_distributor(cpu, offset, 1, value);
        self.check();
    }

    #[track_caller]
    pub(crate) fn read_c(&mut self, cpu: usize, offset: u64) -> u32 {
        let value = self.gic.read_cpu_interface(cpu, offset, 4);
        self.check();
        value
    }

    #[track_caller]
    pub(crate) fn write_c(&mut self, cpu: usize, offset: u64, value: u32) {
        self.gic.write_cpu_interface(cpu, offset, 4, value);
        self.check();
    }

    #[track_caller]
    pub(crate) fn ppi(&mut self, cpu: usize, intid: u32, level: bool) {
        self.gic.set_ppi(cpu, intid, level);
        self.check();
    }

    #[track_caller]
    pub(crate) fn spi(&mut self, intid: u32, level: bool) {
        self.gic.set_spi(intid, level);
        self.check();
    }

    /// An edge on an SPI's input.
    #[track_caller]
    pub(crate) fn pulse(&mut self, intid: u32) {
        self.spi(intid, true);
        self.spi(intid, false);
    }

    /// Writes one bit of a register that has one for each interrupt.
    #[track_caller]
    pub(crate) fn write_bit(&mut self, cpu: usize, register: u64, intid: u32) {
        self.write_d(cpu, register + u64::from(intid / 32) * 4, 1 << (intid % 32));
    }

    /// Reads one bit of a register that has one for each interrupt.
    #[track_caller]
    pub(crate) fn read_bit(&mut self, cpu: usize, register: u64, intid: u32) -> bool {
        self.read_d(cpu, register + u64::from(intid / 32) * 4) >> (intid % 32) & 1 != 0
    }

    #[track_caller]
    pub(crate) fn set_priority(&mut self, cpu: usize, intid: u32, priority: u32) {
        self.write_byte(cpu, GICD_IPRIORITYR + u64::from(intid), priority);
    }

    #[track_caller]
    pub(crate) fn set_targets(&mut self, intid: u32, targets: u32) {
        self.write_byte(0, GICD_ITARGETSR + u64::from(intid), targets);
    }

    #[track_caller]
    pub(crate) fn set_edge(&mut self, intid: u32) {
        let offset = GICD_ICFGR + u64::from(intid / 16) * 4;
        let value = self.read_d(0, offset);
        self.write_d(0, offset, value | 2 << (intid % 16 * 2));
    }

    #[track_caller]
    pub(crate) fn set_group_1(&mut self, cpu: usize, intid: u32) {
        let offset = GICD_IGROUPR + u64::from(intid / 32) * 4;
        let value = self.read_d(cpu, offset);
        self.write_d(cpu, offset, value | 1 << (intid % 32));
    }

    #[track_caller]
    pub(crate) fn acknowledge(&mut self, cpu: usize) -> u32 {
        self.read_c(cpu, GICC_IAR)
    }

    #[track_caller]
    pub(crate) fn end(&mut self, cpu: usize, iar: u32) {
        self.write_c(cpu, GICC_EOIR, iar);
    }

    pub(crate) fn lines(&self, cpu: usize) -> Lines {
        self.gic.output(cpu)
    }
}

/// GICD_SGIR for an SGI to a list of CPUs.
pub(crate) fn sgi_to(targets: u32, intid: u32) -> u32 {
    targets << 16 | intid
}

/// What GICC_IAR reads for an SGI.
pub(crate) fn sgi_iar(source: u32, intid: u32) -> u32 {
    source << 10 | intid
}
