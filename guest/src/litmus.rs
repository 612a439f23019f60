//! The litmus interpreter: runs the program the host left in RAM, one record per operation, and takes no exit that the
//! program does not ask for ([`vtick_abi::litmus`]).
#![allow(unsafe_code)] // the program and the records are in memory shared with the host

use aarch64_cpu::registers::{CNTPCT_EL0, CNTVCT_EL0, Readable};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use vtick_abi::layout::{IMAGE_BASE, MAX_VCPUS, PROGRAM_BASE, records_base};
use vtick_abi::litmus::{self as abi, Header, Op, Record, base, code, kind};

use crate::vectors::{self, Frame, Handled};
use crate::{mailbox, mmio, sysreg};

/// What one vCPU keeps while it runs a program. Its main program and its interrupt handler both use it, and the second
/// may interrupt the first anywhere: hence atomics.
struct Vcpu {
    registers: [AtomicU64; abi::REGISTERS],
    /// Records written so far.
    records: AtomicU64,
    /// IRQs and FIQs taken so far.
    taken: AtomicU64,
    /// Handlers that run now, one inside the other.
    nested: AtomicU64,
    /// ESR_EL1 of the operation that was UNDEFINED, or zero.
    fault: AtomicU64,
    /// Whether the operation under way may be UNDEFINED.
    may_fault: AtomicU64,
}

static VCPUS: [Vcpu; MAX_VCPUS] = [const {
    Vcpu {
        registers: [const { AtomicU64::new(0) }; abi::REGISTERS],
        records: AtomicU64::new(0),
        taken: AtomicU64::new(0),
        nested: AtomicU64::new(0),
        fault: AtomicU64::new(0),
        may_fault: AtomicU64::new(0),
    }
}; MAX_VCPUS];

impl Vcpu {
    /// Forgets the program before this one.
    fn forget(&self) {
        let Vcpu { registers, records, taken, nested, fault, may_fault } = self;
        registers.iter().chain([records, taken, nested, fault, may_fault]).for_each(|state| state.store(0, Relaxed));
    }
}

/// Undoes what the program before may have left in this vCPU's registers, as far as it says that it may have.
pub(crate) fn undo() {
    let undo = header().undo;
    let registers: &[(u32, u16, u64)] = &[
        (abi::undo::VTIMER, abi::sysreg::CNTV_CTL, 0),
        (abi::undo::VTIMER, abi::sysreg::CNTV_CVAL, 0),
        (abi::undo::PTIMER, abi::sysreg::CNTP_CTL, 0),
        (abi::undo::PTIMER, abi::sysreg::CNTP_CVAL, 0),
        (abi::undo::PMU, abi::sysreg::PMCR, 0),
        (abi::undo::PMU, abi::sysreg::PMCNTENCLR, u32::MAX as u64),
        (abi::undo::PMU, abi::sysreg::PMINTENCLR, u32::MAX as u64),
        (abi::undo::PMU, abi::sysreg::PMOVSCLR, u32::MAX as u64),
    ];
    for &(_, register, value) in registers.iter().filter(|(what, ..)| undo & what != 0) {
        sysreg::write(register, value);
    }
}

/// Runs this vCPU's part of the program. Returns how many records it left.
pub(crate) fn run(vcpu: usize) -> usize {
    vectors::install(vcpu, handle);
    VCPUS[vcpu].forget();
    interpret(vcpu, header().entry[vcpu]);
    sysreg::mask(abi::daif::IRQ | abi::daif::FIQ);
    VCPUS[vcpu].records.load(Relaxed) as usize
}

fn header() -> &'static Header {
    // SAFETY: the host wrote a header there before it started the first vCPU. Only `flags` changes, through `flag`.
    unsafe { &*(PROGRAM_BASE as *const Header) }
}

fn flag(index: u16) -> &'static AtomicU64 {
    let flags = PROGRAM_BASE as usize + core::mem::offset_of!(Header, flags);
    assert!(usize::from(index) < abi::FLAGS);
    // SAFETY: in the header, aligned, and reached only as an atomic.
    unsafe { &*((flags as *const AtomicU64).add(usize::from(index))) }
}

fn op(index: u32) -> Op {
    assert!(index < header().ops, "operation {index} of {}", header().ops);
    let ops = PROGRAM_BASE as usize + size_of::<Header>();
    // SAFETY: inside the program (asserted above), which nobody writes while it runs.
    unsafe { *(ops as *const Op).add(index as usize) }
}

/// Handlers that a program may have inside one another: a vCPU's stack holds more, and does not grow into anything.
const MOST_NESTED: u64 = 8;

fn handle(vcpu: usize, frame: &mut Frame) -> Handled {
    let state = &VCPUS[vcpu];
    let (entry, kind) = match frame.vector() {
        vectors::IRQ => (header().irq[vcpu], kind::IRQ),
        vectors::FIQ => (header().fiq[vcpu], kind::FIQ),
        vectors::SYNC if state.may_fault.load(Relaxed) != 0 && frame.esr >> 26 == 0 => {
            // ESR_EL1.EC = 0: UNDEFINED. Skip the instruction; the operation's record says so.
            state.fault.store(frame.esr | 1 << 25, Relaxed);
            frame.elr += 4;
            return Handled::Return;
        }
        _ => return Handled::Unexpected,
    };
    if entry == abi::NO_HANDLER {
        return Handled::Unexpected;
    }
    record(vcpu, Record { op: entry, kind, before: frame.counter, after: frame.counter, value: frame.elr });
    state.taken.fetch_add(1, Relaxed);
    let nested = state.nested.fetch_add(1, Relaxed);
    assert!(nested < MOST_NESTED, "more than {MOST_NESTED} handlers inside one another");
    let interrupted = state.registers.each_ref().map(|register| register.load(Relaxed));
    let may_fault = state.may_fault.load(Relaxed);
    interpret(vcpu, entry);
    // The handler may have unmasked them; the way out of the vectors must not be interrupted.
    sysreg::mask(abi::daif::IRQ | abi::daif::FIQ);
    state.nested.fetch_sub(1, Relaxed);
    state.may_fault.store(may_fault, Relaxed);
    state.registers.iter().zip(interrupted).for_each(|(register, value)| register.store(value, Relaxed));
    Handled::Return
}

/// Runs operations from `pc` up to [`code::END`].
fn interpret(vcpu: usize, mut pc: u32) {
    let state = &VCPUS[vcpu];
    loop {
        let op = op(pc);
        if op.code == code::END {
            return;
        }
        let before = now();
        let operand = operand(vcpu, &op);
        state.may_fault.store(u64::from(matches!(op.code, code::READ | code::WRITE)), Relaxed);
        let result = execute(vcpu, &op, operand);
        let after = now();
        state.may_fault.store(0, Relaxed);
        let esr = state.fault.swap(0, Relaxed);
        let (kind, value) = if esr == 0 { (kind::OP, result) } else { (kind::FAULT, esr) };
        if let Some(register) = state.registers.get(usize::from(op.reg)) {
            register.store(if esr == 0 { result } else { 0 }, Relaxed);
        }
        record(vcpu, Record { op: pc, kind, before, after, value });
        let jumps = match op.code {
            code::LOOP => result != 0,
            code::UNLESS => result != operand,
            _ => false,
        };
        pc = if jumps { op.extra as u32 } else { pc + 1 };
    }
}

fn operand(vcpu: usize, op: &Op) -> u64 {
    let from = match op.base {
        base::ZERO => 0,
        base::NOW => CNTVCT_EL0.get(),
        base::NOW_PHYSICAL => CNTPCT_EL0.get(),
        register => VCPUS[vcpu].registers[usize::from(register - base::REGISTER)].load(Relaxed),
    };
    from.wrapping_add(op.value)
}

/// Does what `op` says and returns its result.
fn execute(vcpu: usize, op: &Op, operand: u64) -> u64 {
    match op.code {
        code::SET => {}
        code::READ => return sysreg::read(op.what),
        code::WRITE => {
            sysreg::write(op.what, operand);
            sysreg::isb();
        }
        code::MASK => sysreg::mask(op.what),
        code::UNMASK => sysreg::unmask(op.what),
        code::WFI => {
            sysreg::dsb();
            sysreg::wfi();
        }
        code::WFE => sysreg::wfe(),
        code::SEV => sysreg::sev(),
        code::SPIN => while now() < operand {},
        code::TAKE => {
            let taken = &VCPUS[vcpu].taken;
            while taken.load(Relaxed) < op.extra && now() < operand {}
            return taken.load(Relaxed);
        }
        code::LOAD => return load(op.what, op.extra),
        code::STORE => store(op.what, op.extra, operand),
        // PSCI CPU_ON starts a vCPU at the first byte of the image: link.ld asserts that `_start` is there.
        code::HVC => return sysreg::hvc([operand, op.extra, IMAGE_BASE, op.what.into()]),
        code::ACTION => mailbox::write(vtick_abi::mailbox::ACTION, op.extra),
        code::SIGNAL => return flag(op.what + operand as u16).fetch_add(1, SeqCst) + 1,
        code::AWAIT => {
            let flag = flag(op.what);
            while flag.load(SeqCst) < op.extra && now() < operand {}
            return flag.load(SeqCst);
        }
        code::UNLESS => return VCPUS[vcpu].registers[usize::from(op.what)].load(Relaxed),
        code::FIELD => return operand >> op.extra & ((1 << op.what) - 1),
        code::DOZE => {
            let flag = flag(op.what);
            sysreg::mask(abi::daif::IRQ | abi::daif::FIQ);
            while flag.load(SeqCst) < op.extra {
                sysreg::dsb();
                sysreg::wfi();
                sysreg::unmask(abi::daif::IRQ | abi::daif::FIQ);
                sysreg::isb();
                sysreg::mask(abi::daif::IRQ | abi::daif::FIQ);
            }
            return flag.load(SeqCst);
        }
        code::LOOP => {
            let left = VCPUS[vcpu].registers[usize::from(op.reg)].load(Relaxed);
            return left.saturating_sub(1);
        }
        code::BARRIER => {
            sysreg::dsb();
            sysreg::isb();
        }
        unknown => panic!("operation code {unknown}"),
    }
    operand
}

fn load(width: u16, address: u64) -> u64 {
    // SAFETY: the program names the address; what no device answers, the host reports.
    unsafe {
        match width {
            1 => mmio::mmio_read8(address),
            2 => mmio::mmio_read16(address),
            4 => mmio::mmio_read32(address),
            8 => mmio::mmio_read64(address),
            _ => panic!("an access of {width} bytes"),
        }
    }
}

fn store(width: u16, address: u64, value: u64) {
    sysreg::dsb();
    // SAFETY: the program names the address; what no device answers, the host reports.
    unsafe {
        match width {
            1 => mmio::mmio_write8(address, value),
            2 => mmio::mmio_write16(address, value),
            4 => mmio::mmio_write32(address, value),
            8 => mmio::mmio_write64(address, value),
            _ => panic!("an access of {width} bytes"),
        }
    }
}

fn now() -> u64 {
    sysreg::isb();
    CNTVCT_EL0.get()
}

fn record(vcpu: usize, record: Record) {
    // The slot is taken in one step: a handler that comes between takes the next one.
    let slot = VCPUS[vcpu].records.fetch_add(1, Relaxed) as usize;
    assert!(slot < abi::MAX_RECORDS, "the program left more than {} records", abi::MAX_RECORDS);
    // SAFETY: inside this vCPU's record area (asserted above), which the host reads only after `DONE`.
    unsafe { (records_base(vcpu) as *mut Record).add(slot).write(record) }
}
