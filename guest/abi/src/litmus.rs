//! Litmus programs: what a check makes the guest do, operation by operation.
//!
//! The host writes a [`Header`], then the [`Op`]s. Every vCPU starts at its own entry with its own eight general
//! registers (all zero), interrupts masked. Running an operation takes no exit that the operation does not ask for, and
//! leaves one [`Record`] in the vCPU's record area.
//!
//! A handler starts with the general registers as they are, interrupts masked, and may unmask: then it is interrupted
//! like any other code. When it ends, the registers are again what they were when it started.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Most operations a program may have.
pub const MAX_OPS: usize = 2000;
/// General registers of a program, per vCPU.
pub const REGISTERS: usize = 8;
/// Flags that vCPUs of a program share ([`code::SIGNAL`], [`code::AWAIT`]).
pub const FLAGS: usize = 16;
/// "No handler": an interrupt that is taken anyway is reported as an unexpected exception.
pub const NO_HANDLER: u32 = u32::MAX;

/// What stands at [`crate::layout::PROGRAM_BASE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes)]
pub struct Header {
    /// Number of operations behind this header.
    pub ops: u32,
    /// What the program before this one may have left, which the guest undoes before it asks for this one: bits of
    /// [`undo`].
    pub undo: u32,
    /// First operation of each vCPU.
    pub entry: [u32; crate::layout::MAX_VCPUS],
    /// First operation of each vCPU's IRQ handler, or [`NO_HANDLER`].
    pub irq: [u32; crate::layout::MAX_VCPUS],
    /// First operation of each vCPU's FIQ handler, or [`NO_HANDLER`].
    pub fiq: [u32; crate::layout::MAX_VCPUS],
    /// Flags shared by the vCPUs. Written by the guest.
    pub flags: [u64; FLAGS],
}

/// One operation. Which fields mean something depends on `code`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes)]
pub struct Op {
    /// One of [`code`].
    pub code: u16,
    /// Which system register ([`sysreg`]), access width in bytes, DAIF bits, or flag: see [`code`].
    pub what: u16,
    /// How `value` is to be understood: one of [`base`].
    pub base: u16,
    /// General register that takes the result (`reg < REGISTERS`; anything else: none).
    pub reg: u16,
    /// The operand: added to its base (wrapping).
    pub value: u64,
    /// Address, bound or branch target: see [`code`].
    pub extra: u64,
}

/// What one program leaves behind that the next one must not find: [`Header::undo`].
pub mod undo {
    /// CNTV_CTL and CNTV_CVAL become zero.
    pub const VTIMER: u32 = 1 << 0;
    /// CNTP_CTL and CNTP_CVAL become zero.
    pub const PTIMER: u32 = 1 << 1;
    /// PMCR becomes zero; no counter is enabled, no overflow flagged, no interrupt of one enabled.
    pub const PMU: u32 = 1 << 2;
}

/// Operation codes.
pub mod code {
    /// End of the program of this vCPU, or return from the handler.
    pub const END: u16 = 0;
    /// `reg = operand`, and nothing else: a note.
    pub const SET: u16 = 1;
    /// `reg = system register what`.
    pub const READ: u16 = 2;
    /// `system register what = operand`, then ISB.
    pub const WRITE: u16 = 3;
    /// Set the PSTATE.DAIF bits `what` (as in the immediate of MSR DAIFSet): mask.
    pub const MASK: u16 = 4;
    /// Clear the PSTATE.DAIF bits `what`: unmask.
    pub const UNMASK: u16 = 5;
    /// DSB, then WFI.
    pub const WFI: u16 = 6;
    /// WFE.
    pub const WFE: u16 = 7;
    /// SEV.
    pub const SEV: u16 = 8;
    /// Spin until the virtual counter reaches the operand.
    pub const SPIN: u16 = 9;
    /// Spin until `extra` interrupts (IRQ and FIQ together) were taken by this vCPU since the start, or until the
    /// virtual counter reaches the operand. The result is the number taken.
    pub const TAKE: u16 = 10;
    /// `reg = what` bytes read at physical address `extra`.
    pub const LOAD: u16 = 11;
    /// Write the operand as `what` bytes to physical address `extra`.
    pub const STORE: u16 = 12;
    /// HVC #0 with x0 = operand, x1 = `extra`, x2 = the guest's first instruction, x3 = `what`; `reg = x0` afterwards.
    pub const HVC: u16 = 13;
    /// Ask the host for action `extra`: one store to the mailbox.
    pub const ACTION: u16 = 14;
    /// Raise shared flag number `what` + operand by one (release). The result is the flag.
    pub const SIGNAL: u16 = 15;
    /// Spin until shared flag `what` is at least `extra` (acquire), or until the virtual counter reaches the operand.
    /// The result is the flag.
    pub const AWAIT: u16 = 16;
    /// Decrement `reg`; continue at operation `extra` while it is not zero.
    pub const LOOP: u16 = 17;
    /// DSB SY, ISB.
    pub const BARRIER: u16 = 18;
    /// Continue at operation `extra` unless general register `what` equals the operand. The result is the register.
    pub const UNLESS: u16 = 19;
    /// `reg` = the `what` bits of the operand that start at bit `extra`.
    pub const FIELD: u16 = 20;
    /// Mask IRQ and FIQ. Then, as long as shared flag `what` is less than `extra`, DSB, WFI, and unmask both for a
    /// moment. The result is the flag. A wakeup cannot be lost: what comes before the WFI ends it.
    pub const DOZE: u16 = 21;
}

/// What an operand is added to.
pub mod base {
    /// Nothing: the operand is `value`.
    pub const ZERO: u16 = 0;
    /// The virtual counter, read when the operation starts.
    pub const NOW: u16 = 1;
    /// The physical counter, read when the operation starts.
    pub const NOW_PHYSICAL: u16 = 2;
    /// General register `base - REGISTER`.
    pub const REGISTER: u16 = 16;
}

/// System registers a program can name.
pub mod sysreg {
    /// Those that a program can only read.
    pub const READ_ONLY: &[u16] = &[CNTVCT, CNTPCT, ISR, DAIF, MPIDR, CNTFRQ, ICC_IAR1];
    /// Those that a program can only write.
    pub const WRITE_ONLY: &[u16] = &[PMSWINC, ICC_EOIR1];
    /// CNTV_CTL_EL0.
    pub const CNTV_CTL: u16 = 0;
    /// CNTV_CVAL_EL0.
    pub const CNTV_CVAL: u16 = 1;
    /// CNTV_TVAL_EL0.
    pub const CNTV_TVAL: u16 = 2;
    /// CNTVCT_EL0.
    pub const CNTVCT: u16 = 3;
    /// CNTP_CTL_EL0.
    pub const CNTP_CTL: u16 = 4;
    /// CNTP_CVAL_EL0.
    pub const CNTP_CVAL: u16 = 5;
    /// CNTP_TVAL_EL0.
    pub const CNTP_TVAL: u16 = 6;
    /// CNTPCT_EL0.
    pub const CNTPCT: u16 = 7;
    /// ISR_EL1: pending IRQ (bit 7) and FIQ (bit 6) as the CPU sees its lines.
    pub const ISR: u16 = 8;
    /// DAIF.
    pub const DAIF: u16 = 9;
    /// MPIDR_EL1.
    pub const MPIDR: u16 = 10;
    /// CNTFRQ_EL0.
    pub const CNTFRQ: u16 = 11;
    /// PMCR_EL0.
    pub const PMCR: u16 = 16;
    /// PMCNTENSET_EL0.
    pub const PMCNTENSET: u16 = 17;
    /// PMCNTENCLR_EL0.
    pub const PMCNTENCLR: u16 = 18;
    /// PMINTENSET_EL1.
    pub const PMINTENSET: u16 = 19;
    /// PMINTENCLR_EL1.
    pub const PMINTENCLR: u16 = 20;
    /// PMOVSSET_EL0.
    pub const PMOVSSET: u16 = 21;
    /// PMOVSCLR_EL0.
    pub const PMOVSCLR: u16 = 22;
    /// PMCCNTR_EL0.
    pub const PMCCNTR: u16 = 23;
    /// PMCCFILTR_EL0.
    pub const PMCCFILTR: u16 = 24;
    /// PMSWINC_EL0.
    pub const PMSWINC: u16 = 25;
    /// PMSELR_EL0.
    pub const PMSELR: u16 = 26;
    /// PMXEVTYPER_EL0.
    pub const PMXEVTYPER: u16 = 27;
    /// PMXEVCNTR_EL0.
    pub const PMXEVCNTR: u16 = 28;
    /// ICC_SRE_EL1: UNDEFINED in a VM without an in-kernel GICv3.
    pub const ICC_SRE: u16 = 32;
    /// ICC_IAR1_EL1: UNDEFINED in a VM without an in-kernel GICv3.
    pub const ICC_IAR1: u16 = 33;
    /// ICC_EOIR1_EL1: see [`ICC_IAR1`].
    pub const ICC_EOIR1: u16 = 34;
    /// ICC_PMR_EL1: see [`ICC_IAR1`].
    pub const ICC_PMR: u16 = 35;
    /// ICC_IGRPEN1_EL1: see [`ICC_IAR1`].
    pub const ICC_IGRPEN1: u16 = 36;
}

/// Bits of [`code::MASK`] and [`code::UNMASK`], as in MSR DAIFSet/DAIFClr.
pub mod daif {
    /// IRQ.
    pub const IRQ: u16 = 2;
    /// FIQ.
    pub const FIQ: u16 = 1;
}

/// What one operation did, in the vCPU's record area.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes)]
pub struct Record {
    /// Index of the operation; for [`kind::IRQ`] and [`kind::FIQ`] the first of the handler.
    pub op: u32,
    /// One of [`kind`].
    pub kind: u32,
    /// Virtual counter before the operation; of an interrupt: at the first instruction of the vector.
    pub before: u64,
    /// Virtual counter after the operation.
    pub after: u64,
    /// The operation's result or operand; of an interrupt: the address it was taken from (ELR_EL1); of a fault: ESR_EL1.
    pub value: u64,
}

/// Kinds of [`Record`].
pub mod kind {
    /// An operation ran.
    pub const OP: u32 = 0;
    /// An IRQ was taken.
    pub const IRQ: u32 = 1;
    /// A FIQ was taken.
    pub const FIQ: u32 = 2;
    /// The operation was UNDEFINED; it is skipped and its result is zero.
    pub const FAULT: u32 = 3;
}

/// Records that fit into a vCPU's record area.
pub const MAX_RECORDS: usize = crate::layout::RECORDS_SIZE as usize / size_of::<Record>();

const _: () = assert!(
    size_of::<Header>() + MAX_OPS * size_of::<Op>() <= crate::layout::PROGRAM_SIZE as usize,
    "the largest program fits into its area"
);
