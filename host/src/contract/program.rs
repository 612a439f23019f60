//! Litmus programs as a check writes them: guest operations, what the host does when the guest asks, and the VM it all
//! runs in.

use vtick_abi::layout::{MAILBOX_BASE, MAX_VCPUS};
use vtick_abi::litmus::{self as abi, Header, NO_HANDLER, Op, base, code, daif, sysreg};
use vtick_abi::mailbox;

use crate::lines::{Line, Routing};

/// The VM a program runs in.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Number of vCPUs.
    pub vcpus: usize,
    /// What the runner does with the levels KVM reports.
    pub routing: Routing,
    /// Whether the vCPUs have a PMU (KVM_ARM_VCPU_PMU_V3).
    pub pmu: bool,
    /// How long the program may take before the watchdog ends it, in counter ticks.
    pub limit: u64,
    /// Whether being ended by the watchdog is what the program is for.
    pub may_not_end: bool,
}

/// What the host does when the guest asks (or, [`Program::before`], before the guest starts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// KVM_IRQ_LINE, by this vCPU's thread.
    Line {
        /// Which vCPU.
        vcpu: usize,
        /// Which of its lines.
        line: Line,
        /// Raise or lower.
        level: bool,
    },
    /// KVM_IRQ_LINE by another thread, this long after it was asked for.
    LineAfter {
        /// Counter ticks.
        ticks: u64,
        /// Which vCPU.
        vcpu: usize,
        /// Which of its lines.
        line: Line,
        /// Raise or lower.
        level: bool,
    },
    /// A signal to the vCPU's thread, by another thread, this long after it was asked for.
    SignalAfter {
        /// Counter ticks.
        ticks: u64,
        /// Which vCPU.
        vcpu: usize,
    },
    /// The next KVM_RUN of this vCPU finds `immediate_exit` set.
    ImmediateExit,
    /// This vCPU's thread stays in userspace for so long.
    Stay {
        /// Counter ticks.
        ticks: u64,
    },
    /// KVM_CHECK_EXTENSION on the VM.
    CheckExtension {
        /// KVM_CAP_*.
        capability: u32,
    },
    /// KVM_IRQ_LINE with an `irq` argument as it stands.
    RawLine {
        /// The argument ([KVM-API/4.25]).
        irq: u32,
        /// Raise or lower.
        level: bool,
    },
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = |level: bool| if level { "raise" } else { "lower" };
        match *self {
            Action::Line { vcpu, line, level } => write!(f, "{} {line} of vCPU {vcpu}", verb(level)),
            Action::LineAfter { ticks, vcpu, line, level } => {
                write!(f, "another thread: {} {line} of vCPU {vcpu} after {ticks} ticks", verb(level))
            }
            Action::SignalAfter { ticks, vcpu } => {
                write!(f, "another thread: signal vCPU {vcpu}'s thread after {ticks} ticks")
            }
            Action::ImmediateExit => write!(f, "set immediate_exit"),
            Action::Stay { ticks } => write!(f, "stay in userspace for {ticks} ticks"),
            Action::CheckExtension { capability } => write!(f, "KVM_CHECK_EXTENSION({capability})"),
            Action::RawLine { irq, level } => write!(f, "KVM_IRQ_LINE(irq = {irq:#x}, level = {})", u8::from(level)),
        }
    }
}

/// An operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// The number itself.
    Is(u64),
    /// The virtual counter when the operation starts, plus so many ticks (wrapping).
    Now(u64),
    /// The physical counter when the operation starts, plus so many ticks (wrapping).
    NowPhysical(u64),
    /// General register, plus a number (wrapping).
    Register(u16, u64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        Value::Is(value)
    }
}

impl Value {
    fn encode(self) -> (u16, u64) {
        match self {
            Value::Is(value) => (base::ZERO, value),
            Value::Now(ticks) => (base::NOW, ticks),
            Value::NowPhysical(ticks) => (base::NOW_PHYSICAL, ticks),
            Value::Register(register, add) => (base::REGISTER + register, add),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = |name: &str, add: u64| match add as i64 {
            0 => name.to_owned(),
            add if add < 0 => format!("{name} - {}", add.unsigned_abs()),
            add => format!("{name} + {add}"),
        };
        f.write_str(&match *self {
            Value::Is(value) if value > 0xffff_ffff => format!("{value:#x}"),
            Value::Is(value) => value.to_string(),
            Value::Now(add) => sum("now", add),
            Value::NowPhysical(add) => sum("now (physical)", add),
            Value::Register(register, add) => sum(&format!("r{register}"), add),
        })
    }
}

/// An operation of a program: its handle in the judge, and its place in the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    block: u32,
    index: u32,
}

impl Step {
    /// Index of the operation in the encoded program whose blocks start at `starts`.
    pub(super) fn op(self, starts: &[u32]) -> u32 {
        starts[self.block as usize] + self.index
    }
}

/// An action of a program: its handle in the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionRef(pub usize);

/// A stretch of operations that run one after the other.
struct Block {
    title: String,
    ops: Vec<Op>,
}

/// A litmus program under construction, and then as it is run.
pub struct Program {
    cntfrq: u64,
    /// The VM it runs in.
    pub setup: Setup,
    blocks: Vec<Block>,
    /// Block of each vCPU's main program, IRQ handler, FIQ handler.
    main: [Option<usize>; MAX_VCPUS],
    irq: [Option<usize>; MAX_VCPUS],
    fiq: [Option<usize>; MAX_VCPUS],
    /// Block that is being written, and the vCPU it belongs to.
    current: usize,
    vcpu: usize,
    actions: Vec<Action>,
    before: Vec<usize>,
}

impl Program {
    /// An empty program for one vCPU on a machine whose counter runs at `cntfrq` Hz.
    pub fn new(cntfrq: u64) -> Program {
        let mut program = Program {
            cntfrq,
            setup: Setup { vcpus: 1, routing: Routing::Ignore, pmu: false, limit: cntfrq / 4, may_not_end: false },
            blocks: Vec::new(),
            main: [None; MAX_VCPUS],
            irq: [None; MAX_VCPUS],
            fiq: [None; MAX_VCPUS],
            current: 0,
            vcpu: 0,
            actions: Vec::new(),
            before: Vec::new(),
        };
        program.main[0] = Some(program.block("vCPU 0".to_owned()));
        program
    }

    fn block(&mut self, title: String) -> usize {
        self.blocks.push(Block { title, ops: Vec::new() });
        self.blocks.len() - 1
    }

    /// Counter ticks in `n` microseconds.
    pub fn us(&self, n: u64) -> u64 {
        n * self.cntfrq / 1_000_000
    }

    // The VM ------------------------------------------------------------------------------------------------------

    /// What the runner does with the levels KVM reports. Nothing, unless said here.
    pub fn route(&mut self, routing: Routing) {
        self.setup.routing = routing;
    }

    /// The program is for a vCPU that is not supposed to come to its end: stop it after so many ticks.
    pub fn stop_after(&mut self, ticks: u64) {
        self.setup.limit = ticks;
        self.setup.may_not_end = true;
    }

    /// The host does this before any vCPU runs.
    pub fn before(&mut self, action: Action) -> ActionRef {
        self.actions.push(action);
        self.before.push(self.actions.len() - 1);
        ActionRef(self.actions.len() - 1)
    }

    /// Writes the program of another vCPU.
    pub fn on_vcpu<T>(&mut self, vcpu: usize, write: impl FnOnce(&mut Program) -> T) -> T {
        let block = self.block(format!("vCPU {vcpu}"));
        self.main[vcpu] = Some(block);
        self.setup.vcpus = self.setup.vcpus.max(vcpu + 1);
        self.within(block, vcpu, write)
    }

    /// Writes this vCPU's IRQ handler. Interrupts are masked while it runs.
    pub fn on_irq<T>(&mut self, write: impl FnOnce(&mut Program) -> T) -> T {
        let vcpu = self.vcpu;
        let block = self.block(format!("vCPU {vcpu}, on IRQ"));
        self.irq[vcpu] = Some(block);
        self.within(block, vcpu, write)
    }

    /// Writes this vCPU's FIQ handler. Interrupts are masked while it runs.
    pub fn on_fiq<T>(&mut self, write: impl FnOnce(&mut Program) -> T) -> T {
        let vcpu = self.vcpu;
        let block = self.block(format!("vCPU {vcpu}, on FIQ"));
        self.fiq[vcpu] = Some(block);
        self.within(block, vcpu, write)
    }

    fn within<T>(&mut self, block: usize, vcpu: usize, write: impl FnOnce(&mut Program) -> T) -> T {
        let outer = (self.current, self.vcpu);
        (self.current, self.vcpu) = (block, vcpu);
        let result = write(self);
        (self.current, self.vcpu) = outer;
        result
    }

    // Operations --------------------------------------------------------------------------------------------------

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

    /// Asks the host for an action: one MMIO write, and the action before the guest runs on.
    pub fn ask(&mut self, action: Action) -> (Step, ActionRef) {
        self.actions.push(action);
        let index = self.actions.len() - 1;
        (self.op(code::ACTION, 0, 0, index as u64), ActionRef(index))
    }

    /// HVC: PSCI_VERSION (Arm DEN 0022), which KVM answers by itself: a VM exit that userspace sees nothing of.
    pub fn hvc_psci_version(&mut self) -> Step {
        self.op(code::HVC, 0, 0x8400_0000, 0)
    }

    /// Decrements a general register, and goes back to `target` while it is not zero.
    pub fn loop_to(&mut self, register: u16, target: Step) -> Step {
        assert_eq!(target.block as usize, self.current, "a loop stays in its block");
        let step = self.op(code::LOOP, 0, 0, u64::from(target.index));
        self.into_register(step, register);
        step
    }

    // As it is run ------------------------------------------------------------------------------------------------

    /// The actions, by [`ActionRef`].
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The actions to be done before the guest starts.
    pub fn actions_before(&self) -> impl Iterator<Item = ActionRef> {
        self.before.iter().map(|&index| ActionRef(index))
    }

    /// The program as the guest reads it: header and operations.
    pub fn encode(&self) -> (Header, Vec<Op>) {
        let starts = self.block_starts();
        let mut ops = Vec::new();
        for (block, &start) in self.blocks.iter().zip(&starts) {
            ops.extend(block.ops.iter().map(|op| {
                let jump = if op.code == code::LOOP { u64::from(start) } else { 0 };
                Op { extra: op.extra + jump, ..*op }
            }));
            ops.push(Op { code: code::END, ..Op::default() });
        }
        assert!(ops.len() <= abi::MAX_OPS, "{} operations; a program holds {}", ops.len(), abi::MAX_OPS);
        let start = |block: Option<usize>| block.map_or(NO_HANDLER, |block| starts[block]);
        let header = Header {
            ops: ops.len() as u32,
            reserved: 0,
            entry: self.main.map(start),
            irq: self.irq.map(start),
            fiq: self.fiq.map(start),
            flags: [0; abi::FLAGS],
        };
        (header, ops)
    }

    /// Where each block starts in the encoded program. Each has one operation more than was written: its end.
    pub(super) fn block_starts(&self) -> Vec<u32> {
        let lengths = self.blocks.iter().map(|block| block.ops.len() as u32 + 1);
        lengths
            .scan(0, |next, length| {
                let start = *next;
                *next += length;
                Some(start)
            })
            .collect()
    }

    /// The step an operation of the encoded program is.
    pub fn step(&self, op: u32) -> Step {
        let starts = self.block_starts();
        let block = starts.partition_point(|&start| start <= op) - 1;
        Step { block: block as u32, index: op - starts[block] }
    }

    /// A step as a line of text.
    pub fn describe(&self, step: Step) -> String {
        match self.blocks.get(step.block as usize).and_then(|block| block.ops.get(step.index as usize)) {
            Some(op) => self.describe_op(op),
            None => "end".to_owned(),
        }
    }

    fn describe_op(&self, op: &Op) -> String {
        let value = match op.base {
            base::ZERO => Value::Is(op.value),
            base::NOW => Value::Now(op.value),
            base::NOW_PHYSICAL => Value::NowPhysical(op.value),
            register => Value::Register(register - base::REGISTER, op.value),
        };
        let lines = |bits: u16| match bits {
            daif::IRQ => "IRQ",
            daif::FIQ => "FIQ",
            _ => "IRQ and FIQ",
        };
        let text = match op.code {
            code::SET => format!("note {value}"),
            code::READ => format!("read {}", sysreg_name(op.what)),
            code::WRITE => format!("{} := {value}", sysreg_name(op.what)),
            code::MASK => format!("mask {}", lines(op.what)),
            code::UNMASK => format!("unmask {}", lines(op.what)),
            code::WFI => "WFI".to_owned(),
            code::WFE => "WFE".to_owned(),
            code::SEV => "SEV".to_owned(),
            code::SPIN => format!("spin until {value}"),
            code::TAKE => format!("spin until {} interrupts were taken, or {value}", op.extra),
            code::LOAD => format!("MMIO read {} at {:#x}", op.what, op.extra),
            code::STORE => format!("MMIO write {} at {:#x} := {value}", op.what, op.extra),
            code::HVC => format!("HVC x0 = {value}, x1 = {:#x}", op.extra),
            code::ACTION => format!("host: {}", self.actions[op.extra as usize]),
            code::SIGNAL => format!("signal flag {}", op.what),
            code::AWAIT => format!("spin until flag {} is {}, or {value}", op.what, op.extra),
            code::LOOP => format!("loop over r{}", op.reg),
            code::BARRIER => "barrier".to_owned(),
            unknown => format!("operation code {unknown}"),
        };
        match op.reg {
            register if usize::from(register) < abi::REGISTERS && op.code != code::LOOP => {
                format!("r{register} = {text}")
            }
            _ => text,
        }
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for &index in &self.before {
            writeln!(f, "before: {}", self.actions[index])?;
        }
        for block in self.blocks.iter().filter(|block| !block.ops.is_empty()) {
            writeln!(f, "{}:", block.title)?;
            for op in &block.ops {
                writeln!(f, "    {}", self.describe_op(op))?;
            }
        }
        Ok(())
    }
}

fn sysreg_name(register: u16) -> &'static str {
    match register {
        sysreg::CNTV_CTL => "CNTV_CTL",
        sysreg::CNTV_CVAL => "CNTV_CVAL",
        sysreg::CNTV_TVAL => "CNTV_TVAL",
        sysreg::CNTVCT => "CNTVCT",
        sysreg::CNTP_CTL => "CNTP_CTL",
        sysreg::CNTP_CVAL => "CNTP_CVAL",
        sysreg::CNTP_TVAL => "CNTP_TVAL",
        sysreg::CNTPCT => "CNTPCT",
        sysreg::ISR => "ISR_EL1",
        sysreg::DAIF => "DAIF",
        sysreg::MPIDR => "MPIDR_EL1",
        sysreg::CNTFRQ => "CNTFRQ",
        sysreg::PMCR => "PMCR",
        sysreg::PMCNTENSET => "PMCNTENSET",
        sysreg::PMCNTENCLR => "PMCNTENCLR",
        sysreg::PMINTENSET => "PMINTENSET",
        sysreg::PMINTENCLR => "PMINTENCLR",
        sysreg::PMOVSSET => "PMOVSSET",
        sysreg::PMOVSCLR => "PMOVSCLR",
        sysreg::PMCCNTR => "PMCCNTR",
        sysreg::PMCCFILTR => "PMCCFILTR",
        sysreg::PMSWINC => "PMSWINC",
        sysreg::PMSELR => "PMSELR",
        sysreg::PMXEVTYPER => "PMXEVTYPER",
        sysreg::PMXEVCNTR => "PMXEVCNTR",
        sysreg::ICC_SRE => "ICC_SRE_EL1",
        sysreg::ICC_IAR1 => "ICC_IAR1_EL1",
        _ => "(unknown system register)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_again_by_its_place_in_the_encoded_program() {
        let mut p = Program::new(1_000_000);
        let in_handler = p.on_irq(|p| p.write(sysreg::CNTV_CTL, 0));
        let first = p.note(1);
        let second = p.note(2);
        let (header, ops) = p.encode();
        assert_eq!(p.step(header.entry[0]), first);
        assert_eq!(p.step(header.entry[0] + 1), second);
        assert_eq!(p.step(header.irq[0]), in_handler);
        assert_eq!(header.fiq[0], NO_HANDLER);
        assert_eq!(ops.len() as u32, header.ops);
        assert_eq!(ops.iter().filter(|op| op.code == code::END).count(), 2, "each block ends");
    }

    #[test]
    fn a_loop_goes_to_its_target_wherever_its_block_is_placed() {
        let mut p = Program::new(1_000_000);
        p.note(7);
        p.on_vcpu(1, |p| {
            let counter = p.note(3);
            p.into_register(counter, 0);
            let body = p.mmio_read();
            p.loop_to(0, body);
        });
        let (header, ops) = p.encode();
        let loop_op = ops.iter().find(|op| op.code == code::LOOP).unwrap();
        assert_eq!(loop_op.extra, u64::from(header.entry[1]) + 1);
    }

    #[test]
    fn a_program_reads_as_what_it_does() {
        let mut p = Program::new(1_000_000_000);
        p.arm_vtimer(p.us(100));
        p.wfi();
        p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        assert_eq!(
            p.to_string(),
            "vCPU 0:\n    CNTV_CVAL := now + 100000\n    CNTV_CTL := 1\n    WFI\n    host: raise IRQ of vCPU 0\n"
        );
    }
}
