//! The only loads and stores that reach a device.
//!
//! KVM can emulate an access only if the CPU gives it a syndrome (ESR_EL2.ISV), and it gives none for forms with
//! writeback, pairs or SIMD registers. The compiler is free to choose those for a volatile access, so here the
//! instruction is fixed, and the build scans this section's disassembly.
#![allow(unsafe_code)] // naked functions: the instruction is the point

use core::arch::naked_asm;

macro_rules! load {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// `address` is a device register of this width (layout of `vtick-abi`), or is meant to fault.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".text.mmio")]
        pub(crate) unsafe extern "C" fn $name(address: u64) -> u64 {
            naked_asm!($instruction, "ret")
        }
    };
}

macro_rules! store {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// `address` is a device register of this width (layout of `vtick-abi`), or is meant to fault.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".text.mmio")]
        pub(crate) unsafe extern "C" fn $name(address: u64, value: u64) {
            naked_asm!($instruction, "ret")
        }
    };
}

load!(
    /// Reads one byte.
    mmio_read8, "ldrb w0, [x0]");
load!(
    /// Reads two bytes.
    mmio_read16, "ldrh w0, [x0]");
load!(
    /// Reads four bytes.
    mmio_read32, "ldr w0, [x0]");
load!(
    /// Reads eight bytes.
    mmio_read64, "ldr x0, [x0]");
store!(
    /// Writes one byte.
    mmio_write8, "strb w1, [x0]");
store!(
    /// Writes two bytes.
    mmio_write16, "strh w1, [x0]");
store!(
    /// Writes four bytes.
    mmio_write32, "str w1, [x0]");
store!(
    /// Writes eight bytes.
    mmio_write64, "str x1, [x0]");
