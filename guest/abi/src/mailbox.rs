//! The mailbox: MMIO registers through which the guest talks to the host. Every access is one 64-bit load or store,
//! and so one exit; the access is complete when the guest runs on.
//!
//! Offsets are in bytes from [`crate::layout::MAILBOX_BASE`]. RO, WO: as seen by the guest.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// WO. First thing a vCPU says, with its MMU and caches on: [`HELLO_MAGIC`].
pub const HELLO: u64 = 0x00;
/// WO. The virtual counter's offset, CNTPCT_EL0 - CNTVCT_EL0, as this vCPU sees it: with it the host puts its own
/// timestamps and the guest's on one clock.
pub const OFFSET: u64 = 0x48;
/// RO. What this vCPU shall do: a `COMMAND_*` value. Read again after each [`DONE`], by a host that has more to do.
pub const COMMAND: u64 = 0x08;
/// WO. The command is done. The value is the number of records in the vCPU's record area.
pub const DONE: u64 = 0x10;
/// WO. A litmus program asks its host for something: the value is the index of the action in the program.
pub const ACTION: u64 = 0x18;
/// WO. The record area holds this many samples: the host takes them out before the guest runs on.
pub const SAMPLES: u64 = 0x20;
/// WO. Physical address of an [`Exception`]: the guest took an exception it did not expect. It stops here.
pub const EXCEPTION: u64 = 0x28;
/// WO. Physical address of a [`Panic`]: the guest panicked. It stops here.
pub const PANIC: u64 = 0x30;
/// RO. Reads as [`SCRATCH_VALUE`] and does nothing: the cheapest MMIO read that userspace answers.
pub const SCRATCH: u64 = 0x38;
/// WO. Ignored: the cheapest MMIO write that userspace answers.
pub const SINK: u64 = 0x40;

/// "vtick" and the version of this interface. Changes with anything in this crate.
pub const HELLO_MAGIC: u64 = 0x7674_6963_6b00_0005;
/// What [`SCRATCH`] reads as: no two bytes alike, so that a byte swapped or lost shows.
pub const SCRATCH_VALUE: u64 = 0xf0e1_d2c3_b4a5_9687;

/// Run the litmus program at [`crate::layout::PROGRAM_BASE`].
pub const COMMAND_LITMUS: u64 = 1;
/// Run the measurement at [`crate::layout::MEASURE_BASE`].
pub const COMMAND_MEASURE: u64 = 2;

/// An exception the guest did not expect (Arm ARM DDI 0487, D1.3: exception entry).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes)]
pub struct Exception {
    /// Offset of the vector that was taken, from VBAR_EL1.
    pub vector: u64,
    /// ESR_EL1: syndrome.
    pub esr: u64,
    /// ELR_EL1: where it was taken from.
    pub elr: u64,
    /// FAR_EL1: faulting address, where the syndrome says it is valid.
    pub far: u64,
    /// SPSR_EL1.
    pub spsr: u64,
}

/// A guest panic: where its message is in RAM.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes)]
pub struct Panic {
    /// Physical address of UTF-8 text.
    pub text: u64,
    /// Its length in bytes.
    pub len: u64,
}
