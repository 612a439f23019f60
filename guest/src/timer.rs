//! The two timers a guest has, on one clock: the virtual counter.

use aarch64_cpu::registers::{
    CNTP_CTL_EL0, CNTP_CVAL_EL0, CNTPCT_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0, Readable, Writeable,
};

use crate::sysreg;

/// CTL.ENABLE, with IMASK clear (Arm ARM DDI 0487, CNTV_CTL_EL0).
const ENABLE: u64 = 1;

/// A timer. Deadlines are on the virtual counter, whichever it is.
#[derive(Clone, Copy)]
pub(crate) enum Timer {
    /// CNTV.
    Virtual,
    /// CNTP, whose counter is ahead of the virtual one by `offset`.
    Physical { offset: u64 },
}

impl Timer {
    /// Sets the deadline and enables the timer.
    pub(crate) fn arm(self, deadline: u64) {
        self.set_deadline(deadline);
        match self {
            Timer::Virtual => CNTV_CTL_EL0.set(ENABLE),
            Timer::Physical { .. } => CNTP_CTL_EL0.set(ENABLE),
        }
        sysreg::isb();
    }

    /// Moves the deadline.
    pub(crate) fn set_deadline(self, deadline: u64) {
        match self {
            Timer::Virtual => CNTV_CVAL_EL0.set(deadline),
            Timer::Physical { offset } => CNTP_CVAL_EL0.set(deadline.wrapping_add(offset)),
        }
        sysreg::isb();
    }

    /// Deasserts its output.
    pub(crate) fn disable(self) {
        match self {
            Timer::Virtual => CNTV_CTL_EL0.set(0),
            Timer::Physical { .. } => CNTP_CTL_EL0.set(0),
        }
        sysreg::isb();
    }
}

/// The virtual counter, not read ahead of what came before.
#[inline(always)]
pub(crate) fn now() -> u64 {
    sysreg::isb();
    CNTVCT_EL0.get()
}

/// CNTVOFF_EL2, seen from inside: the physical counter read between two reads of the virtual one. Exact where reads
/// cost the same; elsewhere off by at most half the distance of the two.
pub(crate) fn virtual_counter_offset() -> u64 {
    sysreg::isb();
    let before = CNTVCT_EL0.get();
    let physical = CNTPCT_EL0.get();
    let after = CNTVCT_EL0.get();
    physical.wrapping_sub(before.wrapping_add(after.wrapping_sub(before) / 2))
}
