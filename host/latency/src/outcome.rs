//! What a measurement came to, and what must not be in it.

use serde::{Deserialize, Serialize};

use super::conditions::Conditions;
use super::distribution::Summary;
use super::hops::Hop;
use super::ledger::{Due, Ledger};
use super::samples::Samples;
use super::scenario::{Irqchip, Scenario, Stimulus};

/// What became of the interrupts that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Deadlines the guest armed, a periodic timer's own included; or operations.
    pub expected: u64,
    /// Interrupts whose vector the guest entered; or operations done.
    pub delivered: u64,
    /// Interrupts acknowledged: the acknowledge register read the INTID that was due.
    pub acknowledged: u64,
    /// Interrupts ended.
    pub ended: u64,
    /// Deadlines whose interrupt never came.
    pub lost: u64,
    /// Acknowledgements that read 1023: an interrupt was signalled, and there was none.
    pub spurious: u64,
    /// Interrupts of a periodic timer that came only when the next one was due.
    pub late: u64,
    /// Deadlines of a periodic timer that passed while an earlier one was being handled, and got no interrupt of their
    /// own: what a tick handler has to make up for.
    pub coalesced: u64,
    /// Interrupts whose way through userspace is not known, because the level that brought them never fell between.
    pub unstamped: u64,
    /// Interrupts whose timestamps are out of order, so that their hops do not add up.
    pub disordered: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.acknowledged += other.acknowledged;
        self.ended += other.ended;
        self.lost += other.lost;
        self.spurious += other.spurious;
        self.late += other.late;
        self.coalesced += other.coalesced;
        self.unstamped += other.unstamped;
        self.disordered += other.disordered;
    }
}

/// One hop's distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HopSummary {
    /// Where the hop ends.
    pub hop: Hop,
    /// What it took, in ticks.
    #[serde(flatten)]
    pub ticks: Summary,
}

/// What a measurement came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// What was measured.
    pub scenario: Scenario,
    /// With which interrupt controller.
    pub irqchip: Irqchip,
    /// What became of the interrupts.
    pub counts: Counts,
    /// From the deadline (CVAL) to the first instruction of the guest's vector, in ticks.
    pub deadline_to_handler: Option<Summary>,
    /// From the deadline to the interrupted code run on, in ticks: acknowledgement and end included. Of an operation:
    /// what it took.
    pub whole: Option<Summary>,
    /// From the vector of one interrupt of a periodic timer to that of the next, in ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Summary>,
    /// The way of the interrupts, hop by hop.
    pub hops: Vec<HopSummary>,
    /// Raw samples in the order they came, a list for each vCPU.
    pub samples: Vec<Samples>,
    /// What the runner did for all of them.
    pub ledger: Ledger,
    /// How quiet the machine was meanwhile.
    pub conditions: Conditions,
}

impl Outcome {
    /// What must not be, whatever time is like on this machine: one line each, none if all is well.
    pub fn faults(&self) -> Vec<String> {
        let Counts { expected, delivered, acknowledged, ended, lost, spurious, coalesced, disordered, .. } =
            self.counts;
        let mut faults = Vec::new();
        let mut claim = |holds: bool, text: String| {
            if !holds {
                faults.push(text);
            }
        };
        claim(lost == 0, format!("{lost} interrupts were lost"));
        claim(spurious == 0, format!("{spurious} acknowledgements were spurious"));
        claim(disordered == 0, format!("the hops of {disordered} interrupts do not add up to the whole"));
        claim(
            delivered + lost + coalesced == expected,
            format!("{expected} deadlines, but {delivered} delivered, {lost} lost and {coalesced} coalesced"),
        );
        if self.scenario.stimulus.intid().is_some() {
            claim(
                acknowledged == delivered,
                format!("{delivered} delivered, {acknowledged} acknowledged as the one due"),
            );
            claim(ended == delivered, format!("{delivered} delivered, {ended} ended"));
        }
        if lost == 0 {
            faults.extend(self.ledger.faults(self.due(), delivered));
        }
        faults
    }

    /// Whether a periodic timer was faster than its interrupts could be taken: more than one of a hundred ticks got none of
    /// its own. Fewer are the host's own work coming between, at any rate.
    pub fn is_saturated(&self) -> bool {
        self.counts.coalesced * 100 > self.counts.expected
    }

    /// What each interrupt has to take; `None` where it depends on when the next one comes.
    fn due(&self) -> Option<Due> {
        if self.irqchip.in_kernel() {
            return Some(Due { changes: 0, reads: 0, writes: 0, lines: 0 });
        }
        match self.scenario.stimulus {
            // The level rises and falls; acknowledgement; end; the line goes up and down.
            Stimulus::Vtimer | Stimulus::Ptimer if self.scenario.period.0 == 0 => {
                Some(Due { changes: 2, reads: 1, writes: 1, lines: 2 })
            }
            // No level; it is written to be sent, and to be ended.
            Stimulus::Sgi | Stimulus::SgiOther => Some(Due { changes: 0, reads: 1, writes: 2, lines: 2 }),
            _ => None,
        }
    }
}
