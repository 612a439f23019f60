//! Litmus programs as a check writes them: guest operations, what the host does when the guest asks, and the VM it all
//! runs in.

use vtick_abi::layout::MAX_VCPUS;
use vtick_abi::litmus::Op;
use vtick_core::Vgic;

use vtick_core::lines::Routing;

mod action;
mod encode;
mod event;
mod expectation;
mod labels;
mod operation;
mod setup;
mod text;
mod value;

pub use action::{Action, TimerRegister};
pub use encode::Encoded;
pub(crate) use encode::sleeps;
pub use event::Moving;
pub use expectation::{Deadline, Expectation, Point, Span};
pub use setup::Setup;
pub use text::{Litmus, SyntaxError, parse};
pub use value::Value;

use labels::Labels;

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
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    title: String,
    ops: Vec<Op>,
}

/// A litmus program under construction, and then as it is run.
#[derive(Clone, Debug)]
pub struct Program {
    cntfrq: u64,
    /// By how much spans are multiplied.
    scale: u64,
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
    required: Vec<usize>,
    neighbour: Option<Box<Program>>,
    labels: Labels,
    expectations: Vec<Expectation>,
}

/// Two programs are the same if they do the same and expect the same: the numbers of their actions and the names of their
/// steps are no part of that.
impl PartialEq for Program {
    fn eq(&self, other: &Program) -> bool {
        let ops = |p: &Program| -> Vec<_> {
            let asked = |op: Op| labels::asks(&op).map(|action| p.actions[action.0]);
            let plain = |op: Op| if asked(op).is_some() { Op { extra: 0, ..op } } else { op };
            let (header, ops) = p.encode();
            let expectations = p.expectations.iter().map(|it| (format!("{it:?}"), it.action().map(|a| p.actions[a.0])));
            let ops = ops.into_iter().map(|op| (plain(op), asked(op)));
            vec![(header, ops.collect::<Vec<_>>(), expectations.collect::<Vec<_>>())]
        };
        let before = |p: &Program| -> Vec<_> {
            p.actions_before().map(|action| (p.actions[action.0], p.is_required(action))).collect()
        };
        (self.cntfrq, self.scale, &self.setup, &self.neighbour)
            == (other.cntfrq, other.scale, &other.setup, &other.neighbour)
            && before(self) == before(other)
            && ops(self) == ops(other)
    }
}

impl Program {
    /// An empty program for one vCPU on a machine whose counter runs at `cntfrq` Hz.
    pub fn new(cntfrq: u64) -> Program {
        Program::paced(cntfrq, 1)
    }

    /// The same for a machine, or a patience, that makes all spans `scale` times as long.
    pub fn paced(cntfrq: u64, scale: u64) -> Program {
        let mut program = Program {
            cntfrq,
            scale,
            setup: Setup::new(cntfrq / 4 * scale, scale),
            blocks: Vec::new(),
            main: [None; MAX_VCPUS],
            irq: [None; MAX_VCPUS],
            fiq: [None; MAX_VCPUS],
            current: 0,
            vcpu: 0,
            actions: Vec::new(),
            before: Vec::new(),
            required: Vec::new(),
            neighbour: None,
            labels: Labels::default(),
            expectations: Vec::new(),
        };
        program.main[0] = Some(program.block("vCPU 0".to_owned()));
        program
    }

    /// The vCPU that a step belongs to.
    pub(crate) fn vcpu_of(&self, step: Step) -> Option<usize> {
        let block = Some(step.block as usize);
        (0..MAX_VCPUS).find(|&vcpu| [self.main[vcpu], self.irq[vcpu], self.fiq[vcpu]].contains(&block))
    }

    fn block(&mut self, title: String) -> usize {
        self.blocks.push(Block { title, ops: Vec::new() });
        self.blocks.len() - 1
    }

    /// Counter ticks in `n` microseconds of a machine that is as fast as programs are made for; on a slower one they are
    /// as many times more.
    pub fn us(&self, n: u64) -> u64 {
        n * self.cntfrq / 1_000_000 * self.scale
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

    /// All there is to look at is what the host does before any vCPU runs: no guest runs at all.
    pub fn needs_no_guest(&mut self) {
        self.setup.needs_guest = false;
    }

    /// The kernel emulates this interrupt controller.
    pub fn in_kernel(&mut self, vgic: Vgic) {
        self.setup.vgic = Some(vgic);
    }

    /// The vCPUs have a PMU.
    pub fn with_pmu(&mut self) {
        self.setup.pmu = true;
    }

    /// This vCPU is off until another turns it on ([`cpu_on`](Program::cpu_on)).
    pub fn starts_off(&mut self, vcpu: usize) {
        self.setup.off |= 1 << vcpu;
    }

    /// The guest ends by turning its machine off: the first KVM_EXIT_SYSTEM_EVENT is the end of the program.
    pub fn powers_off(&mut self) {
        self.setup.powers_off = true;
    }

    /// Each return of KVM_RUN notes the program counter.
    pub fn notes_pc(&mut self) {
        self.setup.notes_pc = true;
    }

    /// The VM's vCPUs are created with these ids in this order, and those that run the program are `runs_on`.
    pub fn vcpu_ids(&mut self, creation: impl IntoIterator<Item = u64>, runs_on: &[u64]) {
        self.setup.creation = creation.into_iter().collect();
        self.setup.runs_on = runs_on.to_vec();
    }

    /// Writes the program of another VM, which runs beside this one on the same host CPU.
    pub fn beside<T>(&mut self, write: impl FnOnce(&mut Program) -> T) -> T {
        let mut neighbour = Program::paced(self.cntfrq, self.scale);
        let result = write(&mut neighbour);
        self.neighbour = Some(Box::new(neighbour));
        result
    }

    /// The program of the VM that runs beside this one.
    pub fn neighbour(&self) -> Option<&Program> {
        self.neighbour.as_deref()
    }

    /// The host does this before any vCPU runs.
    pub fn before(&mut self, action: Action) -> ActionRef {
        self.actions.push(action);
        self.before.push(self.actions.len() - 1);
        ActionRef(self.actions.len() - 1)
    }

    /// The host does this before any vCPU runs; where it fails, the program cannot be run.
    pub fn require(&mut self, action: Action) -> ActionRef {
        let required = self.before(action);
        self.required.push(required.0);
        required
    }

    /// Writes the program of another vCPU.
    pub fn on_vcpu<T>(&mut self, vcpu: usize, write: impl FnOnce(&mut Program) -> T) -> T {
        let block = self.block(format!("vCPU {vcpu}"));
        self.main[vcpu] = Some(block);
        self.setup.vcpus = self.setup.vcpus.max(vcpu + 1);
        self.within(block, vcpu, write)
    }

    /// Writes this vCPU's IRQ handler. Interrupts are masked while it runs, unless it unmasks them, and it leaves the
    /// general registers as it finds them.
    pub fn on_irq<T>(&mut self, write: impl FnOnce(&mut Program) -> T) -> T {
        let vcpu = self.vcpu;
        let block = self.block(format!("vCPU {vcpu}, on IRQ"));
        self.irq[vcpu] = Some(block);
        self.within(block, vcpu, write)
    }

    /// Writes this vCPU's FIQ handler. See [`Program::on_irq`].
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
}

#[cfg(test)]
mod tests {
    use vtick_abi::litmus::{NO_HANDLER, code, sysreg};

    use super::*;
    use vtick_core::lines::Line;

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
    fn a_condition_skips_what_was_written_under_it_wherever_its_block_is_placed() {
        let mut p = Program::new(1_000_000);
        p.note(7);
        p.on_vcpu(1, |p| {
            p.when(2, 5, |p| {
                p.note(1);
                p.note(2);
            });
            p.note(3);
        });
        let (header, ops) = p.encode();
        let branch = ops.iter().find(|op| op.code == code::UNLESS).unwrap();
        assert_eq!((branch.what, branch.value), (2, 5));
        assert_eq!(ops[branch.extra as usize].value, 3);
        assert_eq!(branch.extra, u64::from(header.entry[1]) + 3);
    }

    #[test]
    fn a_program_reads_as_what_it_does() {
        let mut p = Program::new(1_000_000_000);
        p.arm_vtimer(p.us(100));
        p.wfi();
        p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        assert_eq!(
            p.to_string(),
            "vCPU 0:\n    CNTV_CVAL := now + 100 us\n    CNTV_CTL := 1\n    WFI\n    host: raise IRQ of vCPU 0\n"
        );
    }
}
