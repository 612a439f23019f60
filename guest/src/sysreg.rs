//! System registers by number, for litmus programs, and the few instructions that have no Rust.
//!
//! Registers that aarch64-cpu has are reached through it; the others are named here.
#![allow(unsafe_code)] // MRS and MSR

use aarch64_cpu::asm::{self, barrier};
use aarch64_cpu::registers as cpu;
use aarch64_cpu::registers::{Readable, Writeable};
use vtick_abi::litmus::sysreg;

macro_rules! mrs {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reads a system register; an UNDEFINED one is caught by the litmus interpreter, which reads it as zero.
        unsafe { core::arch::asm!("mov {0}, xzr", concat!("mrs {0}, ", $name), out(reg) value, options(nostack)) };
        value
    }};
}

macro_rules! msr {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: writes a register of the PMU or the interrupt controller, which no Rust code depends on.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {0}"), in(reg) value, options(nostack)) }
    }};
}

/// Reads system register `register` ([`sysreg`]).
pub(crate) fn read(register: u16) -> u64 {
    match register {
        sysreg::CNTV_CTL => cpu::CNTV_CTL_EL0.get(),
        sysreg::CNTV_CVAL => cpu::CNTV_CVAL_EL0.get(),
        sysreg::CNTV_TVAL => cpu::CNTV_TVAL_EL0.get(),
        sysreg::CNTVCT => cpu::CNTVCT_EL0.get(),
        sysreg::CNTP_CTL => cpu::CNTP_CTL_EL0.get(),
        sysreg::CNTP_CVAL => cpu::CNTP_CVAL_EL0.get(),
        sysreg::CNTP_TVAL => cpu::CNTP_TVAL_EL0.get(),
        sysreg::CNTPCT => cpu::CNTPCT_EL0.get(),
        sysreg::ISR => mrs!("isr_el1"),
        sysreg::DAIF => cpu::DAIF.get(),
        sysreg::MPIDR => cpu::MPIDR_EL1.get(),
        sysreg::CNTFRQ => cpu::CNTFRQ_EL0.get(),
        sysreg::PMCR => mrs!("pmcr_el0"),
        sysreg::PMCNTENSET => mrs!("pmcntenset_el0"),
        sysreg::PMCNTENCLR => mrs!("pmcntenclr_el0"),
        sysreg::PMINTENSET => mrs!("pmintenset_el1"),
        sysreg::PMINTENCLR => mrs!("pmintenclr_el1"),
        sysreg::PMOVSSET => mrs!("pmovsset_el0"),
        sysreg::PMOVSCLR => mrs!("pmovsclr_el0"),
        sysreg::PMCCNTR => mrs!("pmccntr_el0"),
        sysreg::PMCCFILTR => mrs!("pmccfiltr_el0"),
        sysreg::PMSELR => mrs!("pmselr_el0"),
        sysreg::PMXEVTYPER => mrs!("pmxevtyper_el0"),
        sysreg::PMXEVCNTR => mrs!("pmxevcntr_el0"),
        sysreg::ICC_SRE => mrs!("S3_0_C12_C12_5"),
        sysreg::ICC_IAR1 => mrs!("S3_0_C12_C12_0"),
        sysreg::ICC_PMR => mrs!("S3_0_C4_C6_0"),
        sysreg::ICC_IGRPEN1 => mrs!("S3_0_C12_C12_7"),
        _ => panic!("no system register {register} to read"),
    }
}

/// Writes system register `register` ([`sysreg`]). The effect is there after [`isb`].
pub(crate) fn write(register: u16, value: u64) {
    match register {
        sysreg::CNTV_CTL => cpu::CNTV_CTL_EL0.set(value),
        sysreg::CNTV_CVAL => cpu::CNTV_CVAL_EL0.set(value),
        sysreg::CNTV_TVAL => cpu::CNTV_TVAL_EL0.set(value),
        sysreg::CNTP_CTL => cpu::CNTP_CTL_EL0.set(value),
        sysreg::CNTP_CVAL => cpu::CNTP_CVAL_EL0.set(value),
        sysreg::CNTP_TVAL => cpu::CNTP_TVAL_EL0.set(value),
        sysreg::PMCR => msr!("pmcr_el0", value),
        sysreg::PMCNTENSET => msr!("pmcntenset_el0", value),
        sysreg::PMCNTENCLR => msr!("pmcntenclr_el0", value),
        sysreg::PMINTENSET => msr!("pmintenset_el1", value),
        sysreg::PMINTENCLR => msr!("pmintenclr_el1", value),
        sysreg::PMOVSSET => msr!("pmovsset_el0", value),
        sysreg::PMOVSCLR => msr!("pmovsclr_el0", value),
        sysreg::PMCCNTR => msr!("pmccntr_el0", value),
        sysreg::PMCCFILTR => msr!("pmccfiltr_el0", value),
        sysreg::PMSWINC => msr!("pmswinc_el0", value),
        sysreg::PMSELR => msr!("pmselr_el0", value),
        sysreg::PMXEVTYPER => msr!("pmxevtyper_el0", value),
        sysreg::PMXEVCNTR => msr!("pmxevcntr_el0", value),
        sysreg::ICC_SRE => msr!("S3_0_C12_C12_5", value),
        sysreg::ICC_EOIR1 => msr!("S3_0_C12_C12_1", value),
        sysreg::ICC_PMR => msr!("S3_0_C4_C6_0", value),
        sysreg::ICC_IGRPEN1 => msr!("S3_0_C12_C12_7", value),
        _ => panic!("no system register {register} to write"),
    }
}

/// Remembers this vCPU's index where the vectors find it: TPIDR_EL0, which nothing else uses.
pub(crate) fn set_vcpu(vcpu: usize) {
    cpu::TPIDR_EL0.set(vcpu as u64);
}

/// This vCPU's index, as [`set_vcpu`] left it.
pub(crate) fn vcpu() -> usize {
    cpu::TPIDR_EL0.get() as usize
}

/// Sets the DAIF bits given as in the immediate of MSR DAIFSet.
pub(crate) fn mask(bits: u16) {
    cpu::DAIF.set(cpu::DAIF.get() | u64::from(bits) << 6);
}

/// Clears the DAIF bits given as in the immediate of MSR DAIFClr.
pub(crate) fn unmask(bits: u16) {
    cpu::DAIF.set(cpu::DAIF.get() & !(u64::from(bits) << 6));
}

/// ISB SY.
pub(crate) fn isb() {
    barrier::isb(barrier::SY);
}

/// DSB SY.
pub(crate) fn dsb() {
    barrier::dsb(barrier::SY);
}

/// WFI.
pub(crate) fn wfi() {
    asm::wfi();
}

/// WFE.
pub(crate) fn wfe() {
    asm::wfe();
}

/// SEV.
pub(crate) fn sev() {
    asm::sev();
}

/// HVC #0 with x0 to x3 (SMCCC, Arm DEN 0028: x0 to x17 may change). Returns x0.
pub(crate) fn hvc([function, first, second, third]: [u64; 4]) -> u64 {
    let result;
    // SAFETY: a call to the hypervisor, which preserves everything SMCCC says it does; memory is not touched.
    unsafe {
        core::arch::asm!("hvc #0", inout("x0") function => result, inout("x1") first => _,
            inout("x2") second => _, inout("x3") third => _, clobber_abi("C"), options(nostack));
    }
    result
}
