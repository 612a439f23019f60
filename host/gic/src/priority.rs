//! Priority bits, binary point, active priorities.
//!
//! A lower value is a higher priority. Five bits are implemented, as in GIC-400 and in KVM's vGIC (`[GICv2/3.3]` asks
//! for 16 to 256 levels): every GICv2 guest in use has been run on those two.

/// The implemented bits of a priority; the others are RAZ/WI `[GICv2/3.3]`.
pub(crate) const PRIORITY_MASK: u8 = 0xf8;

/// The bits below the implemented ones: also what turns a priority into its preemption level.
const UNIMPLEMENTED_BITS: u32 = PRIORITY_MASK.trailing_zeros();

/// The least binary point: every implemented bit is then group priority `[GICv2/3.3.3]`.
pub(crate) const MIN_BINARY_POINT: u8 = UNIMPLEMENTED_BITS as u8 - 1;

/// GICC_RPR of a CPU that has no active priority: the idle priority `[GICv2/4.4.6]`.
pub(crate) const IDLE: u8 = 0xff;

// One bit of a 32-bit GICC_APR for each preemption level.
const _: () = assert!(PRIORITY_MASK >> UNIMPLEMENTED_BITS == 31);

/// Keeps the bits of a priority that take part in preemption `[GICv2/3.3.3]`: with binary point n, bits \[7:n+1\].
pub(crate) fn group_priority_mask(binary_point: u8) -> u8 {
    // In `[GICv2/3.3.3]`'s table, 7 leaves no group priority: nothing preempts.
    (0xff00_u16 >> (7 - binary_point.clamp(MIN_BINARY_POINT, 7))) as u8
}

/// The priorities that have been acknowledged and not yet dropped, of one group on one CPU: bit n for preemption level n,
/// as in GICC_APR0 and GICC_NSAPR0 `[GICv2/4.4.12]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActivePriorities(pub u32);

impl ActivePriorities {
    /// An interrupt of this group priority has been acknowledged.
    pub(crate) fn raise(&mut self, group_priority: u8) {
        self.0 |= 1 << (group_priority >> UNIMPLEMENTED_BITS);
    }

    /// Priority drop: the highest of the active priorities goes.
    pub(crate) fn drop_highest(&mut self) {
        self.0 &= self.0.wrapping_sub(1);
    }

    /// No priority is active.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The highest active priority, or [`IDLE`].
    pub(crate) fn highest(self) -> u8 {
        if self.is_empty() { IDLE } else { (self.0.trailing_zeros() as u8) << UNIMPLEMENTED_BITS }
    }
}
