//! The guest's end of the mailbox ([`vtick_abi::mailbox`]).
#![allow(unsafe_code)] // MMIO

use core::fmt::Write;
use vtick_abi::{layout, mailbox as regs};

use crate::mmio::{mmio_read64, mmio_write64};
use crate::sysreg;

/// Reads a mailbox register.
pub(crate) fn read(register: u64) -> u64 {
    // SAFETY: an aligned 64-bit register of the mailbox.
    unsafe { mmio_read64(layout::MAILBOX_BASE + register) }
}

/// Writes a mailbox register. What was written to RAM before is there for the host to read.
pub(crate) fn write(register: u64, value: u64) {
    sysreg::dsb();
    // SAFETY: an aligned 64-bit register of the mailbox.
    unsafe { mmio_write64(layout::MAILBOX_BASE + register, value) }
}

/// Reports an exception nobody expected, and stops.
pub(crate) fn exception(exception: &regs::Exception) -> ! {
    write(regs::EXCEPTION, core::ptr::from_ref(exception) as u64);
    stop()
}

/// Reports a panic with its message, and stops.
pub(crate) fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut text = Text { bytes: [0; 512], len: 0 };
    // A message that does not fit is cut: `Text` never fails.
    let _ = write!(text, "{info}");
    let panic = regs::Panic { text: text.bytes.as_ptr() as u64, len: text.len as u64 };
    write(regs::PANIC, core::ptr::from_ref(&panic) as u64);
    stop()
}

/// The host never enters a vCPU again that reported its end. Should it, this vCPU does nothing.
fn stop() -> ! {
    loop {
        sysreg::wfi();
    }
}

struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let room = &mut self.bytes[self.len..];
        let n = s.len().min(room.len());
        room[..n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}
