//! The operations of a program, one method each.

use vtick_abi::layout::MAILBOX_BASE;
use vtick_abi::litmus::{Op, code, daif, sysreg};
use vtick_abi::mailbox;

use super::{Action, ActionRef, Program, Step, Value};

impl Program {
    fn push(&mut self, op: Op) -> Step {
        let ops = &mut self.blocks[self.current].ops;
        ops.push(op);
        Step { block: self.current as u32, index: ops.len() as u32 - 1 }
    }

    fn op(&mut self, code: u16, what: u16, value: impl Into<Value>, extra: u64) -> Step {
        let (base, value) = value.into().encode();
        self.push(Op { code, what, base, reg: u16::MAX, value, extra })
    }

    /// General register `register` takes the result of the operation just written.
    pub fn into_register(&mut self, step: Step, register: u16) {
        self.blocks[step.block as usize].ops[step.index as usize].reg = register;
    }

    /// Notes a value, and the counter with it.
    pub fn note(&mut self, value: impl Into<Value>) -> Step {
        self.op(code::SET, 0, value, 0)
    }

    /// Reads a system register ([`vtick_abi::litmus::sysreg`]).
    pub fn read(&mut self, register: u16) -> Step {
        self.op(code::READ, register, 0, 0)
    }

    /// Writes a system register, then ISB.
    pub fn write(&mut self, register: u16, value: impl Into<Value>) -> Step {
        self.op(code::WRITE, register, value, 0)
    }

    /// Enables the virtual timer with a deadline so many ticks from now. The step's value is the deadline.
    pub fn arm_vtimer(&mut self, ticks: u64) -> Step {
        let step = self.write(sysreg::CNTV_CVAL, Value::Now(ticks));
        self.write(sysreg::CNTV_CTL, 1);
        step
    }

    /// Enables the physical timer with a deadline so many ticks from now. The step's value is the deadline.
    pub fn arm_ptimer(&mut self, ticks: u64) -> Step {
        let step = self.write(sysreg::CNTP_CVAL, Value::NowPhysical(ticks));
        self.write(sysreg::CNTP_CTL, 1);
        step
    }

    /// Masks IRQ and FIQ.
    pub fn mask(&mut self) -> Step {
        self.op(code::MASK, daif::IRQ | daif::FIQ, 0, 0)
    }

    /// Unmasks IRQ and FIQ.
    pub fn unmask(&mut self) -> Step {
        self.op(code::UNMASK, daif::IRQ | daif::FIQ, 0, 0)
    }

    /// WFI.
    pub fn wfi(&mut self) -> Step {
        self.op(code::WFI, 0, 0, 0)
    }

    /// WFE.
    pub fn wfe(&mut self) -> Step {
        self.op(code::WFE, 0, 0, 0)
    }

    /// Raises a flag that the vCPUs of the program share by one.
    pub fn signal(&mut self, flag: u16) -> Step {
        self.op(code::SIGNAL, flag, 0, 0)
    }

    /// Raises the shared flag number `first` + `number` by one.
    pub fn signal_of(&mut self, first: u16, number: Value) -> Step {
        self.op(code::SIGNAL, first, number, 0)
    }

    /// Sleeps in WFI until a shared flag is at least `count`. Interrupts are taken in a moment after each WFI, and masked
    /// otherwise.
    pub fn doze(&mut self, flag: u16, count: u64) -> Step {
        self.op(code::DOZE, flag, 0, count)
    }

    /// The `bits` bits of a value that start at bit `from`.
    pub fn field(&mut self, value: Value, from: u64, bits: u16) -> Step {
        self.op(code::FIELD, bits, value, from)
    }

    /// Runs what `write` writes only when general register `register` has this value.
    pub fn when<T>(&mut self, register: u16, value: impl Into<Value>, write: impl FnOnce(&mut Program) -> T) -> T {
        let branch = self.op(code::UNLESS, register, value, 0);
        let result = write(self);
        let ops = &mut self.blocks[self.current].ops;
        ops[branch.index as usize].extra = ops.len() as u64;
        result
    }

    /// Spins until a shared flag is at least `count`, or the virtual counter reaches `until`.
    pub fn wait_for(&mut self, flag: u16, count: u64, until: impl Into<Value>) -> Step {
        self.op(code::AWAIT, flag, until, count)
    }

    /// Spins until the virtual counter reaches a value, without any exit.
    pub fn spin_until(&mut self, value: impl Into<Value>) -> Step {
        self.op(code::SPIN, 0, value, 0)
    }

    /// Spins until `count` interrupts were taken since the start, or the virtual counter reaches `until`. The step's
    /// value is the number taken.
    pub fn take(&mut self, count: u64, until: impl Into<Value>) -> Step {
        self.op(code::TAKE, 0, until, count)
    }

    /// Reads `width` bytes at a physical address.
    pub fn load(&mut self, width: u16, address: u64) -> Step {
        self.op(code::LOAD, width, 0, address)
    }

    /// Writes `width` bytes at a physical address.
    pub fn store(&mut self, width: u16, address: u64, value: impl Into<Value>) -> Step {
        self.op(code::STORE, width, value, address)
    }

    /// An MMIO read that means nothing: an exit that would happen anyway.
    pub fn mmio_read(&mut self) -> Step {
        self.load(8, MAILBOX_BASE + mailbox::SCRATCH)
    }

    /// An MMIO write that means nothing: an exit that would happen anyway.
    pub fn mmio_write(&mut self) -> Step {
        self.store(8, MAILBOX_BASE + mailbox::SINK, 0)
    }

    /// Spins for so many ticks, without any exit.
    pub fn spin(&mut self, ticks: u64) -> Step {
        self.spin_until(Value::Now(ticks))
    }

    /// Asks the host for an action: one MMIO write, and the action before the guest runs on.
    pub fn ask(&mut self, action: Action) -> (Step, ActionRef) {
        self.actions.push(action);
        let index = self.actions.len() - 1;
        (self.op(code::ACTION, 0, 0, index as u64), ActionRef(index))
    }

    /// HVC with a function id (Arm DEN 0028) and one argument. The step's value is what it returned.
    pub fn hvc(&mut self, function: u64, argument: u64) -> Step {
        self.op(code::HVC, 0, function, argument)
    }

    /// HVC: PSCI CPU_ON (Arm DEN 0022, 5.6): this vCPU starts its program. The step's value is what it returned.
    pub fn cpu_on(&mut self, vcpu: usize) -> Step {
        // MPIDR_EL1.Aff0 of a vCPU below 16 is its id; it starts with its index in x0.
        self.op(code::HVC, vcpu as u16, 0xc400_0003, self.setup.kvm_id(vcpu))
    }

    /// HVC: PSCI_VERSION (Arm DEN 0022), which KVM answers by itself: a VM exit that userspace sees nothing of.
    pub fn hvc_psci_version(&mut self) -> Step {
        self.hvc(0x8400_0000, 0)
    }

    /// Decrements a general register, and goes back to `target` while it is not zero.
    pub fn loop_to(&mut self, register: u16, target: Step) -> Step {
        assert_eq!(target.block as usize, self.current, "a loop stays in its block");
        let step = self.op(code::LOOP, 0, 0, u64::from(target.index));
        self.into_register(step, register);
        step
    }
}
