//! What something may have been, and when: a history of changes of which each happened somewhere between two readings of
//! the counter.

/// The output of a device, the level of a line, or whether interrupts are unmasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Low.
    Low,
    /// High from a deadline on, which lies between these two times, both included; before it, low.
    From(u64, u64),
    /// Either.
    Unknown,
}

impl Output {
    /// High, or low.
    pub(super) const fn level(high: bool) -> Output {
        if high { Output::From(0, 0) } else { Output::Low }
    }
}

/// A change: at some time from `from` to `to`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) output: Output,
}

/// All changes, in their order.
#[derive(Clone, Debug)]
pub(super) struct History {
    initial: Output,
    changes: Vec<Change>,
}

/// A stretch of time in which an output may have been this.
struct Phase {
    from: u64,
    to: u64,
    output: Output,
}

impl Phase {
    /// The last time, not after `by`, at which it may have been low.
    fn last_low(&self, by: u64) -> Option<u64> {
        let end = self.to.min(by);
        match self.output {
            Output::From(_, sure) if sure <= self.from => None,
            Output::From(_, sure) => Some(end.min(sure - 1)),
            Output::Low | Output::Unknown => Some(end),
        }
    }

    /// The last time, not after `by`, at which it may have been high.
    fn last_high(&self, by: u64) -> Option<u64> {
        let end = self.to.min(by);
        match self.output {
            Output::Low => None,
            Output::From(first, _) if first > end => None,
            Output::From(..) | Output::Unknown => Some(end),
        }
    }
}

impl History {
    pub(super) fn new(initial: Output) -> History {
        History { initial, changes: Vec::new() }
    }

    /// A change happened between these two times, and after the change before it.
    pub(super) fn change(&mut self, from: u64, to: u64, output: Output) {
        let earliest = self.changes.last().map_or(0, |last| last.from);
        let from = from.max(earliest);
        self.changes.push(Change { from, to: to.max(from), output });
    }

    /// The output after the last change.
    pub(super) fn last(&self) -> Output {
        self.changes.last().map_or(self.initial, |change| change.output)
    }

    /// Whether it is low all the time, for certain.
    pub(super) fn is_low_throughout(&self) -> bool {
        self.changes.is_empty() && self.initial == Output::Low
    }

    /// The phases that may have begun by `by`, the latest first.
    fn phases_back_from(&self, by: u64) -> impl Iterator<Item = Phase> {
        let end = |index: usize| self.changes.get(index).map_or(u64::MAX, |next| next.to);
        let begun = self.changes.partition_point(|change| change.from <= by);
        let changed = (0..begun).rev().map(move |index| {
            let Change { from, output, .. } = self.changes[index];
            Phase { from, to: end(index + 1), output }
        });
        changed.chain(std::iter::once(Phase { from: 0, to: end(0), output: self.initial }))
    }

    fn last_time(&self, by: u64, last: impl Fn(&Phase, u64) -> Option<u64>) -> Option<u64> {
        if self.changes.is_empty() {
            return last(&Phase { from: 0, to: u64::MAX, output: self.initial }, by);
        }
        let mut latest = None;
        for phase in self.phases_back_from(by) {
            if latest.is_some_and(|latest| phase.to <= latest) {
                break;
            }
            latest = latest.max(last(&phase, by));
        }
        latest
    }

    /// Whether it may have been high at some time between these two, both included.
    pub(super) fn may_be_high(&self, from: u64, to: u64) -> bool {
        self.last_time(to, Phase::last_high).is_some_and(|last| last >= from)
    }

    /// Whether it may have been low at some time between these two, both included.
    pub(super) fn may_be_low(&self, from: u64, to: u64) -> bool {
        self.last_time(to, Phase::last_low).is_some_and(|last| last >= from)
    }

    /// Since when it has been high, for certain; `None`: it may be low at `now`.
    pub(super) fn high_since(&self, now: u64) -> Option<u64> {
        match self.last_time(now, Phase::last_low) {
            None => Some(0),
            Some(low) => (low < now).then_some(low + 1),
        }
    }

    /// Since when it has been low, for certain; `None`: it may be high at `now`.
    pub(super) fn low_since(&self, now: u64) -> Option<u64> {
        match self.last_time(now, Phase::last_high) {
            None => Some(0),
            Some(high) => (high < now).then_some(high + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Low; armed between 10 and 12 for 100 to 103; off between 200 and 210.
    fn armed() -> History {
        let mut history = History::new(Output::Low);
        history.change(10, 12, Output::From(100, 103));
        history.change(200, 210, Output::Low);
        history
    }

    #[test]
    fn a_level_is_certain_only_outside_the_windows_of_its_changes() {
        let history = armed();
        let may = |at| (history.may_be_low(at, at), history.may_be_high(at, at));
        for (at, due) in [
            (0, (true, false)),
            (99, (true, false)),
            (100, (true, true)),
            (102, (true, true)),
            (103, (false, true)),
            (199, (false, true)),
            (200, (true, true)),
            (210, (true, true)),
            (211, (true, false)),
        ] {
            assert_eq!(may(at), due, "at {at}");
        }
    }

    #[test]
    fn a_level_is_certain_since_the_end_of_the_window_in_which_it_changed() {
        let history = armed();
        assert_eq!(history.high_since(150), Some(103));
        assert_eq!(history.high_since(102), None);
        assert_eq!(history.high_since(205), None);
        assert_eq!(history.low_since(99), Some(0));
        assert_eq!(history.low_since(300), Some(211));
        assert_eq!(history.low_since(205), None);
    }

    #[test]
    fn a_stretch_of_time_holds_what_any_moment_of_it_holds() {
        let history = armed();
        assert!(history.may_be_low(50, 150) && history.may_be_high(50, 150));
        assert!(!history.may_be_low(103, 199));
        assert!(!history.may_be_high(211, 400));
        assert!(!history.may_be_high(0, 99));
    }

    #[test]
    fn changes_whose_windows_overlap_leave_all_of_their_outputs_possible() {
        let mut history = History::new(Output::Low);
        history.change(10, 50, Output::level(true));
        history.change(20, 40, Output::level(false));
        assert!(history.may_be_high(30, 30) && history.may_be_low(30, 30));
        assert_eq!(history.low_since(60), Some(41));
    }

    #[test]
    fn what_is_not_known_is_neither_high_nor_low_for_certain() {
        let mut history = History::new(Output::Unknown);
        assert!(history.may_be_high(5, 5) && history.may_be_low(5, 5));
        assert_eq!((history.high_since(5), history.low_since(5)), (None, None));
        history.change(10, 10, Output::level(true));
        assert_eq!(history.high_since(20), Some(11));
    }
}
