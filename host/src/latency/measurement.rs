//! From samples to figures: what was due, what came, what it took.

use serde::{Deserialize, Serialize};
use vtick_abi::measure::Sample;

use super::conditions::Conditions;
use super::distribution::{Distribution, Summary};
use super::hops::{Hop, Matcher, Stamp, hops};
use super::ledger::{Due, Ledger};
use super::scenario::{Irqchip, Scenario};

/// A measurement under way: constant in size, however many samples it takes in.
#[derive(Clone, Debug)]
pub struct Measurement {
    scenario: Scenario,
    irqchip: Irqchip,
    samples: u64,
    counts: Counts,
    latency: Distribution,
    whole: Distribution,
    interval: Distribution,
    hops: [Distribution; Hop::ALL.len()],
    ledger: Ledger,
    conditions: Conditions,
}

/// What became of the interrupts that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    fn add(&mut self, other: &Counts) {
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
pub struct HopSummary {
    /// Where the hop ends.
    pub hop: Hop,
    /// What it took, in ticks.
    #[serde(flatten)]
    pub ticks: Summary,
}

/// What a measurement came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// What the runner did for all of them.
    pub ledger: Ledger,
    /// How quiet the machine was meanwhile.
    pub conditions: Conditions,
}

impl Measurement {
    /// Nothing measured yet.
    pub fn new(scenario: &Scenario, irqchip: Irqchip) -> Measurement {
        Measurement {
            scenario: scenario.clone(),
            irqchip,
            samples: 0,
            counts: Counts::default(),
            latency: Distribution::default(),
            whole: Distribution::default(),
            interval: Distribution::default(),
            hops: std::array::from_fn(|_| Distribution::default()),
            ledger: Ledger::default(),
            conditions: Conditions::default(),
        }
    }

    /// Takes in how a thread ran that measured this.
    pub fn conditions(&mut self, conditions: Conditions) {
        self.conditions.merge(conditions);
    }

    /// Takes in a batch: samples and stamps in order of time, the stamps on the host's clock, which is `offset` ahead of
    /// the guest's. The first batches, up to exactly the warm-up's length, count for nothing, and neither does the
    /// `ledger` of their time.
    pub fn batch(&mut self, samples: impl Iterator<Item = Sample>, stamps: &[Stamp], offset: u64, ledger: Ledger) {
        let warming = self.samples < self.scenario.warm_up;
        if !warming {
            self.ledger += ledger;
        }
        let mut stamps = Matcher::new(stamps.iter().map(|stamp| stamp.seen_by_guest(offset)));
        let mut last_vector = None;
        for sample in samples {
            self.samples += 1;
            if !warming {
                let stamp = stamps.next(&sample);
                self.sample(&sample, stamp.as_ref(), last_vector);
                last_vector = (sample.vector != 0).then_some(sample.vector);
            }
        }
    }

    fn sample(&mut self, sample: &Sample, stamp: Option<&Stamp>, last_vector: Option<u64>) {
        let counts = &mut self.counts;
        counts.expected += 1 + u64::from(sample.missed);
        counts.spurious += u64::from(sample.spurious);
        let whole = sample.resumed.saturating_sub(sample.deadline);
        let Some(intid) = self.scenario.stimulus.intid() else {
            counts.delivered += 1;
            self.whole.record(whole);
            return;
        };
        if sample.vector == 0 {
            counts.lost += 1;
            return;
        }
        counts.delivered += 1;
        counts.acknowledged += u64::from(sample.iar & 0x3ff == intid);
        counts.ended += u64::from(sample.ended >= sample.acknowledged && sample.ended != 0);
        counts.coalesced += u64::from(sample.missed);
        counts.late += u64::from(sample.missed > 0);
        counts.unstamped += u64::from(stamp.is_none());
        // An interrupt before its deadline would be a fault of its own; it counts as no latency at all.
        self.latency.record(sample.vector.saturating_sub(sample.deadline));
        self.whole.record(whole);
        if self.scenario.period.0 != 0
            && let Some(last) = last_vector
        {
            self.interval.record(sample.vector.saturating_sub(last));
        }
        let found = hops(sample, stamp);
        let sum = found.iter().flatten().map(|(_, ticks)| ticks).sum::<u64>();
        match found {
            Some(found) if sum == whole => {
                // Of an interrupt whose way is not known in full, only what comes after the vector is comparable.
                let known = |hop| stamp.is_some() || !self.irqchip.stamped(&self.scenario) || hop != Hop::Vector;
                for (hop, ticks) in found.into_iter().filter(|(hop, _)| known(*hop)) {
                    self.hops[hop as usize].record(ticks);
                }
            }
            _ => self.counts.disordered += 1,
        }
    }

    /// Samples taken in so far, the warm-up included.
    pub fn seen(&self) -> u64 {
        self.samples
    }

    /// Takes in what another vCPU measured of the same scenario.
    pub fn merge(&mut self, other: &Measurement) {
        self.samples += other.samples;
        self.counts.add(&other.counts);
        self.latency.merge(&other.latency);
        self.whole.merge(&other.whole);
        self.interval.merge(&other.interval);
        self.hops.iter_mut().zip(&other.hops).for_each(|(hop, other)| hop.merge(other));
        self.ledger += other.ledger;
        self.conditions.merge(other.conditions.clone());
    }

    /// What it came to.
    pub fn outcome(&self) -> Outcome {
        let mut counts = self.counts;
        if !self.irqchip.stamped(&self.scenario) {
            counts.unstamped = 0;
        }
        let hops = Hop::ALL.into_iter().zip(&self.hops);
        Outcome {
            scenario: self.scenario.clone(),
            irqchip: self.irqchip,
            counts,
            deadline_to_handler: self.latency.summary(),
            whole: self.whole.summary(),
            interval: self.interval.summary(),
            hops: hops.filter_map(|(hop, d)| d.summary().map(|ticks| HopSummary { hop, ticks })).collect(),
            ledger: self.ledger,
            conditions: self.conditions.clone(),
        }
    }
}

impl Irqchip {
    /// Whether the runner notes the time when it meets an interrupt of `scenario`: where levels come to it.
    pub fn stamped(self, scenario: &Scenario) -> bool {
        !self.in_kernel() && scenario.stimulus.is_timer()
    }
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

    /// What each interrupt has to take; `None` where it depends on when the next one comes.
    fn due(&self) -> Option<Due> {
        match (self.irqchip.in_kernel(), self.scenario.stimulus.is_timer() && self.scenario.period.0 == 0) {
            (true, _) => Some(Due { changes: 0, reads: 0, writes: 0, lines: 0 }),
            // The level rises and falls; acknowledgement; end; the line goes up and down.
            (false, true) => Some(Due { changes: 2, reads: 1, writes: 1, lines: 2 }),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{SCENARIOS, Span, Stimulus};

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
            missed: 0,
        }
    }

    fn scenario(warm_up: u64) -> Scenario {
        Scenario { warm_up, ..SCENARIOS[0].clone() }
    }

    /// What `n` interrupts take.
    fn books(n: u64) -> Ledger {
        Ledger { level_exits: n, coalesced: n, gic_reads: n, gic_writes: n, lines: 2 * n, ..Ledger::default() }
    }

    fn measure(samples: &[Sample]) -> Outcome {
        let mut measurement = Measurement::new(&scenario(0), Irqchip::User);
        measurement.batch(samples.iter().copied(), &[], 0, books(samples.len() as u64));
        measurement.outcome()
    }

    #[test]
    fn latency_runs_from_the_deadline_to_the_vector_and_the_whole_to_the_interrupted_code() {
        let outcome = measure(&[taken(1000, 8277)]);
        assert_eq!(outcome.deadline_to_handler.as_ref().unwrap().p50, 7277);
        assert_eq!(outcome.whole.as_ref().unwrap().p50, 7277 + 350);
        let counts = Counts { expected: 1, delivered: 1, acknowledged: 1, ended: 1, unstamped: 1, ..Counts::default() };
        assert_eq!(outcome.counts, counts);
        assert_eq!(outcome.faults(), Vec::<String>::new());
    }

    #[test]
    fn the_hops_that_a_stamp_splits_add_up_to_the_whole() {
        let mut measurement = Measurement::new(&scenario(0), Irqchip::User);
        let stamp = Stamp { returned: 104_000, raised: 105_100, entered: 105_150 };
        measurement.batch([taken(1000, 8277)].into_iter(), &[stamp], 100_000, Ledger::default());
        let outcome = measurement.outcome();
        assert_eq!(outcome.hops.iter().map(|hop| hop.hop).collect::<Vec<_>>(), Hop::ALL);
        assert_eq!(outcome.hops[0].ticks.p50, 3000);
        assert_eq!(outcome.hops.iter().map(|hop| hop.ticks.p50).sum::<u64>(), outcome.whole.unwrap().p50);
        assert_eq!(outcome.counts.unstamped, 0);
    }

    #[test]
    fn an_interrupt_that_never_came_is_lost_and_has_no_latency() {
        let outcome = measure(&[taken(1000, 2000), Sample { deadline: 5000, ..Sample::default() }]);
        assert_eq!((outcome.counts.expected, outcome.counts.delivered, outcome.counts.lost), (2, 1, 1));
        assert_eq!(outcome.deadline_to_handler.as_ref().unwrap().count, 1);
        assert_eq!(outcome.faults(), ["1 interrupts were lost"]);
    }

    #[test]
    fn an_acknowledgement_of_another_interrupt_is_not_counted_as_the_timers() {
        let outcome = measure(&[Sample { iar: 30, spurious: 2, ..taken(1000, 2000) }]);
        assert_eq!((outcome.counts.acknowledged, outcome.counts.spurious), (0, 2));
        assert_eq!(outcome.faults().len(), 2, "{:?}", outcome.faults());
    }

    #[test]
    fn the_warm_up_counts_for_nothing_and_neither_do_its_system_calls() {
        let mut measurement = Measurement::new(&scenario(1), Irqchip::User);
        let ledger = Ledger { lines: 2, ..Ledger::default() };
        for sample in [taken(0, 1_000_000), taken(2_000_000, 2_007_277)] {
            measurement.batch([sample].into_iter(), &[], 0, ledger);
        }
        let outcome = measurement.outcome();
        assert_eq!((outcome.counts.expected, outcome.ledger.lines), (1, 2));
        assert_eq!(outcome.deadline_to_handler.unwrap().max, 7277);
    }

    #[test]
    fn a_periodic_timers_passed_deadlines_are_coalesced_not_lost() {
        let periodic = Scenario { period: Span(1), ..scenario(0) };
        let mut measurement = Measurement::new(&periodic, Irqchip::User);
        let samples = [Sample { missed: 4, ..taken(1000, 2000) }, taken(6000, 7500)];
        measurement.batch(samples.into_iter(), &[], 0, Ledger::default());
        let outcome = measurement.outcome();
        let Counts { expected, delivered, coalesced, late, lost, .. } = outcome.counts;
        assert_eq!((expected, delivered, coalesced, late, lost), (6, 2, 4, 1, 0));
        assert_eq!(outcome.interval.as_ref().unwrap().p50, 5500);
        assert_eq!(outcome.faults(), Vec::<String>::new());
    }

    #[test]
    fn an_operation_has_a_cost_and_no_interrupt() {
        let hvc = Scenario { stimulus: Stimulus::Hvc, ..scenario(0) };
        let mut measurement = Measurement::new(&hvc, Irqchip::User);
        let sample = Sample { deadline: 100, resumed: 600, ..Sample::default() };
        measurement.batch([sample].into_iter(), &[], 0, Ledger::default());
        let outcome = measurement.outcome();
        assert_eq!((outcome.whole.unwrap().p50, outcome.counts.lost), (500, 0));
        assert_eq!(outcome.deadline_to_handler, None);
    }

    #[test]
    fn every_system_call_is_accounted_for_and_clocks_that_disagree_are_a_fault() {
        let faults = |sample, ledger| {
            let mut measurement = Measurement::new(&scenario(0), Irqchip::User);
            measurement.batch([sample].into_iter(), &[], 0, ledger);
            measurement.outcome().faults()
        };
        let good = taken(1000, 2000);
        // A fall that came between two accesses, and so in a return of its own, is as good as one that came with one.
        assert_eq!(faults(good, Ledger { level_exits: 2, coalesced: 0, ..books(1) }), Vec::<String>::new());
        let read_twice = faults(good, Ledger { gic_reads: 2, ..books(1) });
        assert_eq!(read_twice, ["2 reads of the GIC for 1 interrupts, 1 are due"]);
        assert_eq!(faults(good, Ledger { lines: 3, ..books(1) }).len(), 1);
        let disagreeing = faults(Sample { resumed: 0, ..good }, books(1));
        assert!(disagreeing.len() == 1 && disagreeing[0].contains("do not add up"), "{disagreeing:?}");
    }

    #[test]
    fn vcpus_that_measured_the_same_add_up() {
        let mut all = Measurement::new(&scenario(0), Irqchip::User);
        for vector in [8000, 9000] {
            let mut one = Measurement::new(&scenario(0), Irqchip::User);
            one.batch([taken(1000, vector)].into_iter(), &[], 0, Ledger { lines: 2, ..Ledger::default() });
            all.merge(&one);
        }
        let outcome = all.outcome();
        let latency = outcome.deadline_to_handler.unwrap();
        assert_eq!((latency.count, latency.min, latency.max, outcome.ledger.lines), (2, 7000, 8000, 4));
    }
}
