//! Interrupts that both sides name.

/// The PPI of the EL1 virtual timer (Arm Base System Architecture).
pub const VTIMER: u32 = 27;
/// The PPI of the non-secure EL1 physical timer (Arm Base System Architecture).
pub const PTIMER: u32 = 30;
/// The PPI of the PMU's overflow output (Arm Base System Architecture).
pub const PMU: u32 = 23;
/// The SGI that a measuring vCPU sends to itself or to the other one.
pub const SGI: u32 = 1;
