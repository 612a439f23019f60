//! What must be true of a GIC whenever no call into it is under way, derived the slow way: for tests.

use crate::{Gic, Lines, PRIVATE, StateError};

/// What [`Gic::check_invariants`] found to be false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The state is one that [`Gic::restore`] would refuse.
    State(StateError),
    /// A call ended without settling.
    Unsettled,
    /// The summary disagrees about whether an interrupt is forwarded.
    Forwarded {
        /// The CPU.
        cpu: usize,
        /// The interrupt.
        intid: usize,
    },
    /// The summary's words don't tell which of them are empty.
    Words {
        /// The CPU.
        cpu: usize,
    },
    /// The summary names another interrupt as the highest.
    Highest {
        /// The CPU.
        cpu: usize,
        /// What the summary says.
        is: Option<u16>,
        /// What a scan of all interrupts says.
        should_be: Option<u16>,
    },
    /// The lines are not up if and only if something deliverable exists.
    Lines {
        /// The CPU.
        cpu: usize,
        /// The level of the lines.
        is: Lines,
        /// What they should be.
        should_be: Lines,
    },
}

impl Gic {
    /// Derives everything that is cached from [`State`](crate::State) and compares.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> Result<(), Violation> {
        self.state.check().map_err(Violation::State)?;
        if self.stale != 0 {
            return Err(Violation::Unsettled);
        }
        for cpu in 0..self.cpus() {
            let forwarding = &self.forwarding[cpu];
            let mut highest: Option<(u8, u16)> = None;
            for intid in 0..forwarding.forwarded.len() * 32 {
                let forwarded = intid < self.interrupts() && self.is_forwarded(cpu, intid);
                let bit = forwarding.forwarded[intid / 32] >> (intid % 32) & 1 != 0;
                let of_spi = intid.checked_sub(PRIVATE).and_then(|spi| self.forwarded_to.get(spi));
                if forwarded != bit || of_spi.is_some_and(|cpus| (cpus >> cpu & 1 != 0) != forwarded) {
                    return Err(Violation::Forwarded { cpu, intid });
                }
                if forwarded {
                    let this = (self.state.distributor.interrupt(cpu, intid).priority, intid as u16);
                    highest = Some(highest.map_or(this, |highest| highest.min(this)));
                }
            }
            for (word, forwarded) in forwarding.forwarded.iter().enumerate() {
                if (*forwarded != 0) != (forwarding.words >> word & 1 != 0) {
                    return Err(Violation::Words { cpu });
                }
            }
            let should_be = highest.map(|(_, intid)| intid);
            if forwarding.highest != should_be {
                return Err(Violation::Highest { cpu, is: forwarding.highest, should_be });
            }
            let should_be = self.signal(cpu, should_be);
            if forwarding.lines != should_be {
                return Err(Violation::Lines { cpu, is: forwarding.lines, should_be });
            }
        }
        Ok(())
    }
}
