//! What the runner did for the interrupts it delivered, counted.

use serde::{Deserialize, Serialize};

/// Returns of KVM_RUN by reason, and the other system calls. Those of the warm-up are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ledger {
    /// Returns of KVM_RUN with EINTR that carried a changed level.
    pub level_exits: u64,
    /// Returns of KVM_RUN with EINTR and no changed level: signals.
    pub other_interrupts: u64,
    /// MMIO read exits to the GIC.
    pub gic_reads: u64,
    /// MMIO write exits to the GIC.
    pub gic_writes: u64,
    /// MMIO exits of the guest's traffic: neither the GIC's nor a handover of samples.
    pub traffic: u64,
    /// MMIO exits by which the guest handed over samples.
    pub handovers: u64,
    /// Level changes, up or down, that came with an MMIO exit and needed no return of their own.
    pub coalesced: u64,
    /// KVM_IRQ_LINE calls. The loop makes no system calls but these and KVM_RUN.
    pub lines: u64,
}

impl std::ops::AddAssign for Ledger {
    fn add_assign(&mut self, other: Ledger) {
        self.level_exits += other.level_exits;
        self.other_interrupts += other.other_interrupts;
        self.gic_reads += other.gic_reads;
        self.gic_writes += other.gic_writes;
        self.traffic += other.traffic;
        self.handovers += other.handovers;
        self.coalesced += other.coalesced;
        self.lines += other.lines;
    }
}

impl Ledger {
    /// Returns of KVM_RUN for interrupts: all but the guest's own traffic, the handovers and signals.
    pub fn returns(&self) -> u64 {
        self.level_exits + self.gic_reads + self.gic_writes
    }

    /// System calls for interrupts: KVM_RUN and KVM_IRQ_LINE.
    pub fn system_calls(&self) -> u64 {
        self.returns() + self.lines
    }

    /// What is not as it has to be for `interrupts` that take `due` each, a line each.
    pub(super) fn faults(&self, due: Option<Due>, interrupts: u64) -> Vec<String> {
        let Some(due) = due else { return Vec::new() };
        // Whether a level's change gets a return of its own or comes with an access is a matter of luck: the host may take
        // an interrupt between the two, and KVM looks at the level. That each is told once is not.
        [
            ("level changes", self.level_exits + self.coalesced, due.changes),
            ("reads of the GIC", self.gic_reads, due.reads),
            ("writes of the GIC", self.gic_writes, due.writes),
            ("KVM_IRQ_LINE calls", self.lines, due.lines),
        ]
        .into_iter()
        .filter(|(_, made, each)| *made != each * interrupts)
        .map(|(what, made, each)| format!("{made} {what} for {interrupts} interrupts, {} are due", each * interrupts))
        .collect()
    }
}

/// What one interrupt takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// Level changes told.
    pub(super) changes: u64,
    /// Reads of the GIC.
    pub(super) reads: u64,
    /// Writes of the GIC.
    pub(super) writes: u64,
    /// KVM_IRQ_LINE calls.
    pub(super) lines: u64,
}
