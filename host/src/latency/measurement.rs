//! From samples to figures: what was due, what came, what it took.

use serde::Serialize;
use vtick_abi::measure::Sample;

use super::distribution::{Distribution, Summary};
use super::scenario::Scenario;

/// INTID of the virtual timer's PPI (Arm BSA).
const VTIMER_INTID: u64 = 27;

/// What the runner did, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Returns of KVM_RUN with EINTR: a level that changed.
    pub interrupted: u64,
    /// MMIO read exits to the GIC.
    pub mmio_reads: u64,
    /// MMIO write exits to the GIC.
    pub mmio_writes: u64,
    /// KVM_IRQ_LINE calls.
    pub lines: u64,
}

impl std::ops::AddAssign for Ledger {
    fn add_assign(&mut self, other: Ledger) {
        self.interrupted += other.interrupted;
        self.mmio_reads += other.mmio_reads;
        self.mmio_writes += other.mmio_writes;
        self.lines += other.lines;
    }
}

/// A measurement under way: constant in size, however many samples it takes in.
#[derive(Clone, Debug)]
pub struct Measurement {
    scenario: Scenario,
    warm_up_left: u64,
    samples: u64,
    counts: Counts,
    latency: Distribution,
    ledger: Ledger,
}

/// What became of the interrupts that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Deadlines the guest armed.
    pub expected: u64,
    /// Interrupts whose vector the guest entered.
    pub delivered: u64,
    /// Interrupts acknowledged: GICC_IAR read the timer's INTID.
    pub acknowledged: u64,
    /// Interrupts ended: GICC_EOIR was written.
    pub ended: u64,
    /// Deadlines whose interrupt never came.
    pub lost: u64,
    /// Acknowledgements that read 1023: an interrupt was signalled, and there was none.
    pub spurious: u64,
}

/// What a measurement came to.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was measured.
    pub scenario: Scenario,
    /// What became of the interrupts.
    pub counts: Counts,
    /// From the deadline (CVAL) to the first instruction of the guest's vector, in ticks.
    pub deadline_to_handler: Option<Summary>,
    /// What the runner did for all of them, the warm-up included.
    pub ledger: Ledger,
}

impl Measurement {
    /// Nothing measured yet.
    pub fn new(scenario: &Scenario) -> Measurement {
        Measurement {
            scenario: scenario.clone(),
            warm_up_left: scenario.warm_up,
            samples: 0,
            counts: Counts::default(),
            latency: Distribution::default(),
            ledger: Ledger::default(),
        }
    }

    /// Takes in one sample.
    pub fn sample(&mut self, sample: &Sample) {
        self.samples += 1;
        if self.warm_up_left > 0 {
            self.warm_up_left -= 1;
            return;
        }
        let counts = &mut self.counts;
        counts.expected += 1;
        counts.spurious += sample.spurious;
        if sample.vector == 0 {
            counts.lost += 1;
            return;
        }
        counts.delivered += 1;
        counts.acknowledged += u64::from(sample.iar & 0x3ff == VTIMER_INTID);
        counts.ended += u64::from(sample.ended >= sample.acknowledged && sample.ended != 0);
        // An interrupt before its deadline would be a fault of its own; it counts as no latency at all.
        self.latency.record(sample.vector.saturating_sub(sample.deadline));
    }

    /// Takes in what the runner did since the last call.
    pub fn ledger(&mut self, ledger: Ledger) {
        self.ledger += ledger;
    }

    /// Samples taken in so far, the warm-up included.
    pub fn seen(&self) -> u64 {
        self.samples
    }

    /// What it came to.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            scenario: self.scenario.clone(),
            counts: self.counts,
            deadline_to_handler: self.latency.summary(),
            ledger: self.ledger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::SCENARIOS;

    fn taken(deadline: u64, vector: u64) -> Sample {
        let ended = vector + 300;
        Sample {
            deadline,
            vector,
            acknowledged: vector + 100,
            handled: vector + 200,
            ended,
            resumed: ended + 50,
            iar: 27,
            spurious: 0,
        }
    }

    fn measure(warm_up: u64, samples: &[Sample]) -> Outcome {
        let mut measurement = Measurement::new(&Scenario { warm_up, ..SCENARIOS[0].clone() });
        samples.iter().for_each(|sample| measurement.sample(sample));
        measurement.outcome()
    }

    #[test]
    fn latency_runs_from_the_deadline_to_the_vector() {
        let outcome = measure(0, &[taken(1000, 8277)]);
        assert_eq!(outcome.deadline_to_handler.unwrap().p50, 7277);
        assert_eq!(
            outcome.counts,
            Counts { expected: 1, delivered: 1, acknowledged: 1, ended: 1, lost: 0, spurious: 0 }
        );
    }

    #[test]
    fn an_interrupt_that_never_came_is_lost_and_has_no_latency() {
        let outcome = measure(0, &[taken(1000, 2000), Sample { deadline: 5000, ..Sample::default() }]);
        assert_eq!((outcome.counts.expected, outcome.counts.delivered, outcome.counts.lost), (2, 1, 1));
        assert_eq!(outcome.deadline_to_handler.unwrap().count, 1);
    }

    #[test]
    fn an_acknowledgement_of_another_interrupt_is_not_counted_as_the_timers() {
        let outcome = measure(0, &[Sample { iar: 30, spurious: 2, ..taken(1000, 2000) }]);
        assert_eq!((outcome.counts.acknowledged, outcome.counts.spurious), (0, 2));
    }

    #[test]
    fn the_warm_up_counts_for_nothing() {
        let outcome = measure(1, &[taken(0, 1_000_000), taken(2_000_000, 2_007_277)]);
        assert_eq!(outcome.counts.expected, 1);
        assert_eq!(outcome.deadline_to_handler.unwrap().max, 7277);
    }
}
