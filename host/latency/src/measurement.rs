//! From samples to figures: what was due, what came, what it took.

use vtick_abi::measure::Sample;

use super::conditions::Conditions;
use super::distribution::Distribution;
use super::hops::{Hop, Matcher, Stamp, hops};
use super::ledger::Ledger;
use super::outcome::{Counts, HopSummary, Outcome};
use super::samples::{Raw, Samples};
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
    raw: Samples,
    /// Those of other vCPUs that were merged.
    raw_of_others: Vec<Samples>,
    ledger: Ledger,
    conditions: Conditions,
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
            raw: Samples::with_room_for(scenario.interrupts),
            raw_of_others: Vec::new(),
            ledger: Ledger::default(),
            conditions: Conditions::default(),
        }
    }

    /// Takes in how a thread ran that measured this.
    pub fn conditions(&mut self, conditions: Conditions) {
        self.conditions.merge(conditions);
    }

    /// Whether this is where a run's memory is to be looked at: warm, halfway, and at its end.
    pub fn is_landmark(&self) -> bool {
        let Scenario { warm_up, interrupts, .. } = self.scenario;
        match self.conditions.memory.len() {
            0 => self.samples >= warm_up,
            1 => self.samples >= warm_up + interrupts / 2,
            2 => self.samples >= warm_up + interrupts,
            _ => false,
        }
    }

    /// Takes in what the process occupies now, in KiB.
    pub fn memory(&mut self, resident: u64) {
        self.conditions.memory.push(resident);
    }

    /// Bytes that this takes on the heap.
    pub fn room(&self) -> usize {
        let distributions = [&self.latency, &self.whole, &self.interval].into_iter().chain(&self.hops);
        distributions.map(Distribution::room).sum::<usize>() + self.raw.room()
    }

    /// Takes in a batch: samples and stamps in order of time, the stamps on the host's clock, which is `offset` ahead of
    /// the guest's. The first batches, up to exactly the warm-up's length, count for nothing, and neither does the
    /// `ledger` of their time, nor that of a time that brought no sample.
    pub fn batch(&mut self, samples: impl Iterator<Item = Sample>, stamps: &[Stamp], offset: u64, ledger: Ledger) {
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return;
        }
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
        let mut raw = Raw { deadline: sample.deadline, ..Raw::default() };
        let Some(intid) = self.scenario.stimulus.intid() else {
            counts.delivered += 1;
            self.whole.record(whole);
            raw.hops[Hop::Resumed as usize] = whole;
            return self.raw.push(raw);
        };
        if sample.vector == 0 {
            // With the ticks of a periodic timer that passed while the guest waited for this one.
            counts.lost += 1 + u64::from(sample.missed);
            return self.raw.push(raw);
        }
        counts.delivered += 1;
        counts.acknowledged += u64::from(sample.iar & 0x3ff == intid);
        counts.ended += u64::from(sample.ended >= sample.acknowledged && sample.ended != 0);
        counts.coalesced += u64::from(sample.missed);
        counts.late += u64::from(sample.missed > 0);
        counts.unstamped += u64::from(stamp.is_none());
        // An interrupt before its deadline would be a fault of its own; it counts as no latency at all.
        let latency = sample.vector.saturating_sub(sample.deadline);
        self.latency.record(latency);
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
                for (hop, ticks) in found {
                    raw.hops[hop as usize] = ticks;
                    if known(hop) {
                        self.hops[hop as usize].record(ticks);
                    }
                }
            }
            _ => {
                self.counts.disordered += 1;
                raw.hops[Hop::Vector as usize] = latency;
                raw.hops[Hop::Resumed as usize] = whole.saturating_sub(latency);
            }
        }
        self.raw.push(raw);
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
        self.raw_of_others.extend([&other.raw].into_iter().chain(&other.raw_of_others).cloned());
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
            samples: [&self.raw].into_iter().chain(&self.raw_of_others).filter(|s| s.seen() > 0).cloned().collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::MOST_SAMPLES;
    use crate::{SCENARIOS, Span, Stimulus};

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
    fn a_periodic_timers_lost_tick_takes_those_with_it_that_pass_while_it_is_waited_for() {
        let periodic = Scenario { period: Span(1), ..scenario(0) };
        let mut measurement = Measurement::new(&periodic, Irqchip::User);
        let samples = [taken(1000, 2000), Sample { deadline: 5000, missed: 9, ..Sample::default() }];
        measurement.batch(samples.into_iter(), &[], 0, Ledger::default());
        let outcome = measurement.outcome();
        let Counts { expected, delivered, coalesced, lost, .. } = outcome.counts;
        assert_eq!((expected, delivered, coalesced, lost), (11, 1, 0, 10));
        assert_eq!(outcome.faults(), ["10 interrupts were lost"]);
    }

    #[test]
    fn an_sgi_takes_two_writes_of_the_gic_and_what_is_done_after_the_last_one_does_not_count() {
        let sgi = Scenario { stimulus: Stimulus::SgiOther, ..scenario(0) };
        let mut measurement = Measurement::new(&sgi, Irqchip::User);
        let due = Ledger { gic_reads: 1, gic_writes: 2, lines: 2, ..Ledger::default() };
        measurement.batch([Sample { iar: 1, ..taken(1000, 2000) }].into_iter(), &[], 0, due);
        measurement.batch([].into_iter(), &[], 0, due);
        let outcome = measurement.outcome();
        assert_eq!((outcome.ledger, outcome.faults()), (due, Vec::<String>::new()));
        let more = Outcome { ledger: Ledger { gic_writes: 3, ..due }, ..outcome };
        assert_eq!(more.faults(), ["3 writes of the GIC for 1 interrupts, 2 are due"]);
    }

    #[test]
    fn a_run_of_any_length_takes_the_same_memory() {
        let endless = Scenario { interrupts: u64::MAX, ..scenario(0) };
        let mut measurement = Measurement::new(&endless, Irqchip::User);
        let mut run = |interrupts: u64| {
            let samples = (0..interrupts).map(|n| taken(n * 40_000, n * 40_000 + 7_000 + n % 1_000));
            measurement.batch(samples, &[], 0, Ledger::default());
            measurement.room()
        };
        let early = run(MOST_SAMPLES as u64 / 2);
        assert_eq!(run(4 * MOST_SAMPLES as u64), early);
        assert!(early < 64 << 20, "{early} bytes");
        assert_eq!(measurement.outcome().samples[0].every(), 8);
    }

    #[test]
    fn the_raw_samples_say_what_the_distributions_say() {
        let mut measurement = Measurement::new(&scenario(0), Irqchip::User);
        let stamp = Stamp { returned: 4_000, raised: 5_100, entered: 5_150 };
        let lost = Sample { deadline: 20_000, ..Sample::default() };
        measurement.batch([taken(1000, 8277), lost].into_iter(), &[stamp], 0, Ledger::default());
        let outcome = measurement.outcome();
        let [samples] = &outcome.samples[..] else { panic!("one vCPU") };
        let [came, lost] = samples.kept() else { panic!("two samples") };
        assert_eq!((came.deadline_to_handler(), came.whole()), (Some(7277), outcome.whole.unwrap().p50));
        assert_eq!(came.hops[0], outcome.hops[0].ticks.p50);
        assert_eq!((lost.deadline_to_handler(), lost.whole()), (None, 0));
    }

    #[test]
    fn memory_is_looked_at_when_warm_halfway_and_at_the_end() {
        let mut measurement = Measurement::new(&Scenario { interrupts: 4, ..scenario(1) }, Irqchip::User);
        let mut looked = Vec::new();
        for n in 0..6 {
            if measurement.is_landmark() {
                looked.push(n);
                measurement.memory(1000 + n);
            }
            measurement.batch([taken(n * 10_000 + 1, n * 10_000 + 7_000)].into_iter(), &[], 0, Ledger::default());
        }
        assert_eq!(looked, [1, 3, 5]);
        assert_eq!(measurement.outcome().conditions.memory, [1001, 1003, 1005]);
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
