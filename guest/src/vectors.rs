//! The exception vectors. An IRQ or FIQ goes to whatever handler is installed; everything else is reported.
#![allow(unsafe_code)] // vectors and the frame they build

use core::arch::naked_asm;
use core::cell::UnsafeCell;
use vtick_abi::layout::MAX_VCPUS;
use vtick_abi::mailbox::Exception;

use crate::mailbox;

/// What the vectors save on the stack: everything a function may clobber under AAPCS64, and where to return to.
#[repr(C)]
pub(crate) struct Frame {
    /// x0 to x18.
    x: [u64; 19],
    /// x30.
    lr: u64,
    /// Where the exception was taken from.
    pub(crate) elr: u64,
    spsr: u64,
    /// CNTVCT_EL0 at the vector's first instruction that can read it.
    pub(crate) counter: u64,
    /// ESR_EL1.
    pub(crate) esr: u64,
    /// FAR_EL1.
    far: u64,
    /// Offset of the vector from VBAR_EL1.
    vector: u64,
}
const _: () = assert!(size_of::<Frame>() == FRAME_SIZE);
const _: () = assert!(FRAME_SIZE.is_multiple_of(16), "SP is aligned to 16 bytes");
const FRAME_SIZE: usize = 208;

/// Vector of a synchronous exception from EL1 with SP_EL1.
pub(crate) const SYNC: u64 = 0x200;
/// Vector of an IRQ from EL1 with SP_EL1.
pub(crate) const IRQ: u64 = 0x280;
/// Vector of a FIQ from EL1 with SP_EL1.
pub(crate) const FIQ: u64 = 0x300;

/// What a vCPU does on an exception; `None`: nobody expects one.
pub(crate) type Handler = fn(vcpu: usize, &mut Frame) -> Handled;

/// What became of an exception.
pub(crate) enum Handled {
    /// Return to where it was taken from (`Frame::elr`).
    Return,
    /// Not one that this handler knows.
    Unexpected,
}

/// One handler per vCPU, for all vectors.
struct Handlers([UnsafeCell<Option<Handler>>; MAX_VCPUS]);

// SAFETY: only vCPU n touches entry n, and never while its handler can run (`install` runs with DAIF set).
unsafe impl Sync for Handlers {}

static HANDLERS: Handlers = Handlers([const { UnsafeCell::new(None) }; MAX_VCPUS]);

/// Makes `handler` take the exceptions of this vCPU. All interrupts are masked.
pub(crate) fn install(vcpu: usize, handler: Handler) {
    crate::sysreg::set_vcpu(vcpu);
    // SAFETY: see `Handlers`.
    unsafe { *HANDLERS.0[vcpu].get() = Some(handler) }
}

extern "C" fn dispatch(frame: &mut Frame) {
    let vcpu = crate::sysreg::vcpu();
    // SAFETY: see `Handlers`.
    let handler = unsafe { *HANDLERS.0[vcpu].get() };
    if let Some(handler) = handler
        && let Handled::Return = handler(vcpu, frame)
    {
        return;
    }
    mailbox::exception(&Exception {
        vector: frame.vector,
        esr: frame.esr,
        elr: frame.elr,
        far: frame.far,
        spsr: frame.spsr,
    })
}

/// The sixteen vectors, 128 bytes each (Arm ARM DDI 0487, D1.3.1.5: vector table offsets from VBAR_EL1).
///
/// # Safety
/// Only hardware enters it, on a valid stack.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.vectors")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn vectors() {
    naked_asm!(
        ".irp offset, 0x000, 0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x480, 0x500, 0x580, 0x600, 0x680, 0x700, 0x780",
        ".balign 128",
        // The clock first. TPIDR_EL1 is the vectors' scratch register: it frees x0 without touching memory.
        "msr tpidr_el1, x0",
        "mrs x0, cntvct_el0",
        "sub sp, sp, #{size}",
        "stp x2, x3, [sp, #16]",
        "mov x2, #\\offset",
        "b {save}",
        ".endr",
        ".balign 128",
        size = const FRAME_SIZE,
        save = sym save_and_dispatch,
    )
}

/// Second half of every vector: saves the rest, calls [`dispatch`], restores, returns.
///
/// # Safety
/// Only the vectors enter it: x0 = counter, x2 = vector offset, TPIDR_EL1 = x0 of the interrupted code, x2 and x3
/// already saved.
#[unsafe(naked)]
unsafe extern "C" fn save_and_dispatch() {
    naked_asm!(
        "str x1, [sp, #8]",
        "mrs x1, tpidr_el1",
        "str x1, [sp]",
        "stp x4, x5, [sp, #32]",
        "stp x6, x7, [sp, #48]",
        "stp x8, x9, [sp, #64]",
        "stp x10, x11, [sp, #80]",
        "stp x12, x13, [sp, #96]",
        "stp x14, x15, [sp, #112]",
        "stp x16, x17, [sp, #128]",
        "stp x18, x30, [sp, #144]",
        "mrs x1, elr_el1",
        "mrs x3, spsr_el1",
        "stp x1, x3, [sp, #160]",
        "mrs x3, esr_el1",
        "stp x0, x3, [sp, #176]",
        "mrs x1, far_el1",
        "stp x1, x2, [sp, #192]",
        "mov x0, sp",
        "bl {dispatch}",
        "ldp x1, x3, [sp, #160]",
        "msr elr_el1, x1",
        "msr spsr_el1, x3",
        "ldp x18, x30, [sp, #144]",
        "ldp x16, x17, [sp, #128]",
        "ldp x14, x15, [sp, #112]",
        "ldp x12, x13, [sp, #96]",
        "ldp x10, x11, [sp, #80]",
        "ldp x8, x9, [sp, #64]",
        "ldp x6, x7, [sp, #48]",
        "ldp x4, x5, [sp, #32]",
        "ldp x2, x3, [sp, #16]",
        "ldp x0, x1, [sp]",
        "add sp, sp, #{size}",
        "eret",
        dispatch = sym dispatch,
        size = const FRAME_SIZE,
    )
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Frame, lr) == 152, "saved beside x18");
    assert!(offset_of!(Frame, elr) == 160 && offset_of!(Frame, spsr) == 168);
    assert!(offset_of!(Frame, counter) == 176 && offset_of!(Frame, esr) == 184);
    assert!(offset_of!(Frame, far) == 192 && offset_of!(Frame, vector) == 200);
};

/// SPSR_EL1.I: the interrupted code has IRQs masked (Arm ARM DDI 0487, C5.2: SPSR_EL1).
const SPSR_I: u64 = 1 << 7;

impl Frame {
    /// Lets the interrupted code run on with IRQs masked.
    pub(crate) fn return_masked(&mut self) {
        self.spsr |= SPSR_I;
    }

    /// Which vector was taken, as its offset from VBAR_EL1.
    pub(crate) fn vector(&self) -> u64 {
        self.vector
    }
}
