//! Names of what operations name by number.

use vtick_abi::litmus::sysreg;

use crate::program::TimerRegister;

/// System registers.
pub(super) const SYSREGS: &[(&str, u16)] = &[
    ("CNTV_CTL", sysreg::CNTV_CTL),
    ("CNTV_CVAL", sysreg::CNTV_CVAL),
    ("CNTV_TVAL", sysreg::CNTV_TVAL),
    ("CNTVCT", sysreg::CNTVCT),
    ("CNTP_CTL", sysreg::CNTP_CTL),
    ("CNTP_CVAL", sysreg::CNTP_CVAL),
    ("CNTP_TVAL", sysreg::CNTP_TVAL),
    ("CNTPCT", sysreg::CNTPCT),
    ("ISR_EL1", sysreg::ISR),
    ("DAIF", sysreg::DAIF),
    ("MPIDR_EL1", sysreg::MPIDR),
    ("CNTFRQ", sysreg::CNTFRQ),
    ("PMCR", sysreg::PMCR),
    ("PMCNTENSET", sysreg::PMCNTENSET),
    ("PMCNTENCLR", sysreg::PMCNTENCLR),
    ("PMINTENSET", sysreg::PMINTENSET),
    ("PMINTENCLR", sysreg::PMINTENCLR),
    ("PMOVSSET", sysreg::PMOVSSET),
    ("PMOVSCLR", sysreg::PMOVSCLR),
    ("PMCCNTR", sysreg::PMCCNTR),
    ("PMCCFILTR", sysreg::PMCCFILTR),
    ("PMSWINC", sysreg::PMSWINC),
    ("PMSELR", sysreg::PMSELR),
    ("PMXEVTYPER", sysreg::PMXEVTYPER),
    ("PMXEVCNTR", sysreg::PMXEVCNTR),
    ("ICC_SRE_EL1", sysreg::ICC_SRE),
    ("ICC_IAR1_EL1", sysreg::ICC_IAR1),
    ("ICC_EOIR1_EL1", sysreg::ICC_EOIR1),
    ("ICC_PMR_EL1", sysreg::ICC_PMR),
    ("ICC_IGRPEN1_EL1", sysreg::ICC_IGRPEN1),
];

/// Timer registers that ONE_REG reaches.
pub(super) const TIMER_REGISTERS: &[(&str, TimerRegister)] = &[
    ("CNTV_CTL", TimerRegister::CntvCtl),
    ("CNTV_CVAL", TimerRegister::CntvCval),
    ("CNTVCT", TimerRegister::Cntvct),
    ("CNTP_CTL", TimerRegister::CntpCtl),
    ("CNTP_CVAL", TimerRegister::CntpCval),
    ("CNTPCT", TimerRegister::Cntpct),
];

/// Errors that an action's result may be expected to be, by the numbers of arm64 Linux (asm-generic/errno-base.h).
pub(super) const ERRNOS: &[(&str, i32)] = &[
    ("EPERM", libc::EPERM),
    ("ENOENT", libc::ENOENT),
    ("EINTR", libc::EINTR),
    ("ENXIO", libc::ENXIO),
    ("ENOEXEC", libc::ENOEXEC),
    ("EBUSY", libc::EBUSY),
    ("EEXIST", libc::EEXIST),
    ("ENODEV", libc::ENODEV),
    ("EINVAL", libc::EINVAL),
];

/// System registers whose content is a point of a counter, or a length of it.
pub(super) fn holds_time(register: u16) -> bool {
    matches!(register, sysreg::CNTV_CVAL | sysreg::CNTV_TVAL | sysreg::CNTP_CVAL | sysreg::CNTP_TVAL)
}
