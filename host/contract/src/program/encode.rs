//! A program as it is run.

use vtick_abi::litmus::{self as abi, Header, NO_HANDLER, Op, code, sysreg};

use super::{Action, ActionRef, Program, Step};

/// A program as the guest reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// What stands in front of the operations.
    pub header: Header,
    /// The operations of all blocks.
    pub ops: Vec<Op>,
    /// The first operation of each block.
    pub(crate) starts: Vec<u32>,
}

impl Program {
    /// The actions before the guest starts that must succeed; otherwise the program is not run.
    pub fn is_required(&self, action: ActionRef) -> bool {
        self.required.contains(&action.0)
    }

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
        let Encoded { header, ops, .. } = self.encoded();
        (header, ops)
    }

    /// The same, with the place of each block.
    pub fn encoded(&self) -> Encoded {
        let starts = self.block_starts();
        let mut ops = Vec::with_capacity(self.blocks.iter().map(|block| block.ops.len() + 1).sum());
        for (block, &start) in self.blocks.iter().zip(&starts) {
            ops.extend(block.ops.iter().map(|op| {
                let jump = if matches!(op.code, code::LOOP | code::UNLESS) { u64::from(start) } else { 0 };
                Op { extra: op.extra + jump, ..*op }
            }));
            ops.push(Op { code: code::END, ..Op::default() });
        }
        assert!(ops.len() <= abi::MAX_OPS, "{} operations; a program holds {}", ops.len(), abi::MAX_OPS);
        let start = |block: Option<usize>| block.map_or(NO_HANDLER, |block| starts[block]);
        let header = Header {
            ops: ops.len() as u32,
            undo: 0,
            entry: self.main.map(start),
            irq: self.irq.map(start),
            fiq: self.fiq.map(start),
            flags: [0; abi::FLAGS],
        };
        Encoded { header, ops, starts }
    }

    /// How often KVM_RUN may return on a vCPU before it is taken for a storm: far above what any program needs. Each
    /// operation makes a return or two; loops go round a hundred times at most.
    pub fn most_returns(&self) -> u64 {
        let ops: usize = self.blocks.iter().map(|block| block.ops.len()).sum();
        if self.setup.most_returns > 0 { self.setup.most_returns } else { 2000 + 50 * ops as u64 }
    }

    /// Whether the guest writes CNTP_CTL: the physical timer takes down some hosts.
    pub fn uses_ptimer(&self) -> bool {
        let writes = |op: &Op| op.code == code::WRITE && op.what == sysreg::CNTP_CTL && op.value & 1 == 1;
        self.blocks.iter().flat_map(|block| &block.ops).any(writes)
    }

    /// Whether a vCPU may sleep: WFI, or PSCI CPU_SUSPEND.
    pub fn sleeps(&self) -> bool {
        self.blocks.iter().flat_map(|block| &block.ops).any(sleeps)
    }

    /// Where each block starts in the encoded program. Each has one operation more than was written: its end.
    pub(crate) fn block_starts(&self) -> Vec<u32> {
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
}

/// PSCI CPU_SUSPEND, with 32-bit and 64-bit arguments (Arm DEN 0022, 5.4).
const CPU_SUSPEND: [u64; 2] = [0x8400_0001, 0xc400_0001];

/// Whether an operation puts its vCPU to sleep.
pub(crate) fn sleeps(op: &Op) -> bool {
    matches!(op.code, code::WFI | code::DOZE) || op.code == code::HVC && CPU_SUSPEND.contains(&op.value)
}
