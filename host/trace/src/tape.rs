//! Where events are recorded, and all of them together.

use super::{Event, Reason, TimedEvent};
use vtick_core::Unit;
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line};

/// Who writes a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The thread of a vCPU.
    Vcpu(u8),
    /// A thread that brings devices their input from outside.
    Outside,
}

/// The latest events of one thread. A tape of no length records nothing, at the price of one comparison.
#[derive(Debug)]
pub struct Tape {
    /// Full length from the start, every page of it touched: recording takes no memory.
    records: Box<[TimedEvent]>,
    /// Where the next one goes.
    next: usize,
    /// Events recorded so far.
    recorded: u64,
}

const BLANK: TimedEvent = TimedEvent { at: u64::MAX, event: Event::Output { intid: u32::MAX, high: true } };

impl Tape {
    /// How many events are kept of each thread where nothing else is said: 16 MiB, a stock Linux guest's boot several
    /// times over.
    pub const USUAL: usize = 1 << 19;

    /// A tape that keeps the latest `length` events, 32 bytes each.
    pub fn new(length: usize) -> Tape {
        Tape { records: vec![BLANK; length].into_boxed_slice(), next: 0, recorded: 0 }
    }

    /// A tape that keeps nothing.
    pub fn off() -> Tape {
        Tape::new(0)
    }

    /// KVM_RUN, entered at `entered`, returned at `at`, both in ticks.
    #[inline(always)]
    pub fn returned(&mut self, entered: u64, at: u64, exit: &Exit, levels: Levels) {
        let (reason, detail) = Reason::of(exit);
        self.record(at, Event::Returned { entered, reason, detail, levels });
    }

    /// The guest read or wrote `value` at a device. To be recorded behind the return that it belongs to.
    #[inline(always)]
    pub fn access(&mut self, at: u64, address: u64, len: u8, value: u64, write: bool) {
        self.record(at, Event::Access { address, value: value as u32, len, write });
    }

    /// A line was driven.
    #[inline(always)]
    pub fn line(&mut self, at: u64, vcpu: usize, line: Line, high: bool) {
        self.record(at, Event::Line { vcpu: vcpu as u8, line, high });
    }

    /// The output of a device, wired to the SPI `intid`, changed.
    #[inline(always)]
    pub fn output(&mut self, at: u64, intid: u32, high: bool) {
        self.record(at, Event::Output { intid, high });
    }

    #[inline(always)]
    fn record(&mut self, at: u64, event: Event) {
        if let Some(place) = self.records.get_mut(self.next) {
            *place = TimedEvent { at, event };
            self.recorded += 1;
            self.next += 1;
            if self.next == self.records.len() {
                self.next = 0;
            }
        }
    }

    /// The events that are kept, the oldest first.
    pub fn records(&self) -> impl Iterator<Item = &TimedEvent> {
        let (newer, older) = self.records.split_at(self.next);
        let older = if self.lost() > 0 || self.next == 0 && self.recorded > 0 { older } else { &[] };
        older.iter().chain(newer)
    }

    /// How many events were recorded and are not kept: the oldest.
    pub fn lost(&self) -> u64 {
        self.recorded - self.recorded.min(self.records.len() as u64)
    }
}

/// All tapes of a run.
#[derive(Debug)]
pub struct Trace {
    /// What a tick is.
    pub unit: Unit,
    /// Ticks per second of the counter. Where a tick is an instruction it says nothing.
    pub frequency: u64,
    /// Each with who wrote it; at most one for each vCPU.
    pub tapes: Vec<(Source, Tape)>,
}

impl Trace {
    /// How many vCPUs there are tapes of.
    pub fn vcpus(&self) -> u8 {
        self.tapes.iter().filter(|(source, _)| matches!(source, Source::Vcpu(_))).count() as u8
    }

    /// Events that are not kept.
    pub fn lost(&self) -> u64 {
        self.tapes.iter().map(|(_, tape)| tape.lost()).sum()
    }

    /// All events by time; of those at the same tick, each tape's in their order. A thread does not record in order of
    /// time: what belongs to a return of KVM_RUN bears the stamp of that, and the lines driven meanwhile one of their own.
    pub fn merged(&self) -> Vec<(Source, &TimedEvent)> {
        let tapes = self.tapes.iter();
        let mut all: Vec<_> = tapes.flat_map(|(source, tape)| tape.records().map(|record| (*source, record))).collect();
        all.sort_by_key(|(_, record)| record.at);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(tape: &Tape) -> Vec<u64> {
        tape.records().map(|record| record.at).collect()
    }

    fn tape(length: usize, times: impl IntoIterator<Item = u64>) -> Tape {
        let mut tape = Tape::new(length);
        times.into_iter().for_each(|at| tape.output(at, 33, true));
        tape
    }

    #[test]
    fn the_latest_events_are_kept_in_order_and_the_others_counted() {
        for (recorded, kept, lost) in [(0, 0..0, 0), (3, 0..3, 0), (4, 0..4, 0), (5, 1..5, 1), (11, 7..11, 7)] {
            let tape = tape(4, 0..recorded);
            assert_eq!(times(&tape), kept.collect::<Vec<_>>(), "{recorded} recorded");
            assert_eq!(tape.lost(), lost, "{recorded} recorded");
        }
    }

    #[test]
    fn a_tape_that_is_off_keeps_and_loses_nothing() {
        let tape = tape(0, 0..9);
        assert_eq!((times(&tape), tape.lost()), (vec![], 0));
    }

    #[test]
    fn tapes_are_merged_by_time() {
        let tapes = vec![
            (Source::Vcpu(0), tape(8, [5, 1, 5])),
            (Source::Vcpu(1), tape(2, [0, 2, 5, 9])),
            (Source::Outside, tape(8, [4])),
        ];
        let trace = Trace { unit: Unit::Instructions, frequency: 1, tapes };
        let merged: Vec<_> = trace.merged().iter().map(|(source, record)| (record.at, *source)).collect();
        let (a, b) = (Source::Vcpu(0), Source::Vcpu(1));
        assert_eq!(merged, [(1, a), (4, Source::Outside), (5, a), (5, a), (5, b), (9, b)]);
        assert_eq!((trace.vcpus(), trace.lost()), (2, 2));
    }
}
