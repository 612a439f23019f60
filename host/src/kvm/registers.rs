//! Register ids for KVM_GET_ONE_REG and KVM_SET_ONE_REG ([KVM-API/4.68]).

const ARM64: u64 = 0x6000_0000_0000_0000;
const U64: u64 = 0x0030_0000_0000_0000;
const CORE: u64 = 0x0010 << 16;
const SYSREG: u64 = 0x0013 << 16;

/// A core register: index in 32-bit words of struct kvm_regs.
const fn core(word: u64) -> u64 {
    ARM64 | U64 | CORE | word
}

const fn sysreg(op0: u64, op1: u64, crn: u64, crm: u64, op2: u64) -> u64 {
    ARM64 | U64 | SYSREG | op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

/// x0.
pub(super) const X0: u64 = x(0);

/// x0 to x30.
pub(super) const fn x(index: u64) -> u64 {
    core(2 * index)
}

/// PC: behind 31 general registers and SP.
pub(super) const PC: u64 = core(2 * 32);
/// PSTATE.
pub(super) const PSTATE: u64 = core(2 * 33);
/// SP_EL1 and ELR_EL1: behind SP, PC and PSTATE (struct kvm_regs).
pub(super) const SP_EL1: u64 = core(2 * 34);
/// See [`SP_EL1`].
pub(super) const ELR_EL1: u64 = core(2 * 35);
/// SCTLR_EL1.
pub(super) const SCTLR_EL1: u64 = sysreg(3, 0, 1, 0, 0);
/// TTBR0_EL1.
pub(super) const TTBR0_EL1: u64 = sysreg(3, 0, 2, 0, 0);
/// TTBR1_EL1.
pub(super) const TTBR1_EL1: u64 = sysreg(3, 0, 2, 0, 1);
/// TCR_EL1.
pub(super) const TCR_EL1: u64 = sysreg(3, 0, 2, 0, 2);
/// ESR_EL1.
pub(super) const ESR_EL1: u64 = sysreg(3, 0, 5, 2, 0);
/// FAR_EL1.
pub(super) const FAR_EL1: u64 = sysreg(3, 0, 6, 0, 0);
/// VBAR_EL1.
pub(super) const VBAR_EL1: u64 = sysreg(3, 0, 12, 0, 0);
/// CNTV_CTL_EL0.
pub(super) const TIMER_CTL: u64 = sysreg(3, 3, 14, 3, 1);
/// CNTV_CVAL_EL0. The ABI has its encoding swapped with the counter's (arch/arm64/include/uapi/asm/kvm.h).
pub(super) const TIMER_CVAL: u64 = sysreg(3, 3, 14, 0, 2);
/// CNTVCT_EL0, see [`TIMER_CVAL`].
pub(super) const TIMER_CNT: u64 = sysreg(3, 3, 14, 3, 2);
/// CNTP_CTL_EL0, CNTP_CVAL_EL0 and CNTPCT_EL0: no swap here. Kernels before 6.4 do not know them.
pub(super) const PTIMER_CTL: u64 = sysreg(3, 3, 14, 2, 1);
/// See [`PTIMER_CTL`].
pub(super) const PTIMER_CVAL: u64 = sysreg(3, 3, 14, 2, 2);
/// See [`PTIMER_CTL`].
pub(super) const PTIMER_CNT: u64 = sysreg(3, 3, 14, 0, 1);
/// PMOVSSET_EL0.
pub(super) const PMOVSSET: u64 = sysreg(3, 3, 9, 14, 3);
