//! From the first instruction to the command loop.
#![allow(unsafe_code)] // entry, system registers and the translation table

use core::arch::naked_asm;
use vtick_abi::{layout, mailbox as regs};

use crate::{litmus, mailbox, measure, timer};

const _: () = assert!(layout::IMAGE_BASE == 0x4008_0000, "link.ld says the same");
const _: () = assert!(layout::SHARED_BASE == 0x4080_0000, "link.ld says the same");
const _: () = assert!(layout::MAX_VCPUS == 8, "link.ld says the same");

/// The level 1 translation table: 4 GiB, identity mapped in blocks of 1 GiB (Arm ARM DDI 0487, D8.3).
///
/// Constant, because nothing may be written to RAM before the MMU is on: such a write would bypass the cache through
/// which the host reads.
#[repr(C, align(64))]
struct Level1([u64; 4]);

static LEVEL1: Level1 = {
    const BLOCK: u64 = 0b01;
    const AF: u64 = 1 << 10;
    const INNER_SHAREABLE: u64 = 0b11 << 8;
    const ATTR_NORMAL: u64 = 0 << 2;
    const ATTR_DEVICE: u64 = 1 << 2;
    const XN: u64 = 0b11 << 53;
    assert!(layout::RAM_BASE == 1 << 30);
    Level1([BLOCK | AF | ATTR_DEVICE | XN, layout::RAM_BASE | BLOCK | AF | INNER_SHAREABLE | ATTR_NORMAL, 0, 0])
};

/// MAIR_EL1: attribute 0 is normal memory, write-back; attribute 1 is device nGnRE.
const MAIR: u64 = 0x04ff;
/// TCR_EL1: T0SZ=32 (4 GiB, walk starts at level 1), table walks write-back and inner shareable, 4 KiB granule,
/// no TTBR1 walks, IPS=36 bits.
const TCR: u64 = 32 | (0b01 << 8) | (0b01 << 10) | (0b11 << 12) | (1 << 23) | (0b001 << 32);
/// SCTLR_EL1: the RES1 bits of Armv8.0, and M, C, I (MMU, data and instruction caches).
const SCTLR: u64 = 0x30d0_0800 | (1 << 12) | (1 << 2) | 1;

/// Where the host enters every vCPU: EL1h, MMU off, all interrupts masked, x0 = index of the vCPU, x3 = whether it was here
/// before.
///
/// # Safety
/// Only the host enters it.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.entry")]
#[unsafe(naked)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        // Vectors first, so that a mistake below ends in a report and not in silence.
        "adr x1, {vectors}",
        "msr vbar_el1, x1",
        // The translation table is constant and already in RAM.
        "ldr x1, ={mair}",
        "msr mair_el1, x1",
        "ldr x1, ={tcr}",
        "msr tcr_el1, x1",
        "adrp x1, {level1}",
        "add x1, x1, :lo12:{level1}",
        "msr ttbr0_el1, x1",
        "tlbi vmalle1",
        "dsb nsh",
        "isb",
        // MMU and caches on. The next instruction is fetched through the identity mapping.
        "ldr x1, ={sctlr}",
        "msr sctlr_el1, x1",
        "isb",
        // A stack for this vCPU: the one that ends STACK_SIZE * x0 below the end of all.
        "adrp x1, __stacks_end",
        "add x1, x1, :lo12:__stacks_end",
        "ldr x2, =STACK_SIZE",
        "msub x1, x0, x2, x1",
        "mov sp, x1",
        "bl {main}",
        "0: wfi",
        "b 0b",
        vectors = sym crate::vectors::vectors,
        mair = const MAIR,
        tcr = const TCR,
        level1 = sym LEVEL1,
        sctlr = const SCTLR,
        main = sym main,
    )
}

/// Says hello, asks what to do, does it, and says so: again and again. A host that has nothing more to do does not enter
/// this vCPU again after `DONE`.
extern "C" fn main(vcpu: usize, _x1: usize, _x2: usize, again: usize) {
    if again == 0 {
        mailbox::write(regs::HELLO, regs::HELLO_MAGIC);
        mailbox::write(regs::OFFSET, timer::virtual_counter_offset());
    }
    loop {
        // Here and not behind `DONE`: a vCPU that was stopped in a program starts again from its first instruction.
        litmus::undo();
        let records = match mailbox::read(regs::COMMAND) {
            regs::COMMAND_LITMUS => litmus::run(vcpu),
            regs::COMMAND_MEASURE => {
                measure::run(vcpu);
                0
            }
            command => panic!("the host gave an unknown command: {command}"),
        };
        mailbox::write(regs::DONE, records as u64);
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    mailbox::panic(info)
}
