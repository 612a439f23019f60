//! A program as it is run.

use vtick_abi::litmus::{self as abi, Header, NO_HANDLER, Op, code, sysreg};

use super::{Action, ActionRef, Program, Step};

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
        let starts = self.block_starts();
        let mut ops = Vec::new();
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
        (header, ops)
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
