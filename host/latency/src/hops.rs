//! The way of one interrupt, hop by hop, on one clock: the guest's virtual counter.

use serde::{Deserialize, Serialize};
use vtick_abi::measure::Sample;

/// When the runner met an interrupt: counter values at the return of KVM_RUN that carried the rising level, after the
/// line was driven, and before the next KVM_RUN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// KVM_RUN returned.
    pub returned: u64,
    /// KVM_IRQ_LINE returned.
    pub raised: u64,
    /// KVM_RUN is about to be called.
    pub entered: u64,
}

impl Stamp {
    /// From the host's counter to a guest's virtual counter, `offset` behind it.
    pub fn seen_by_guest(self, offset: u64) -> Stamp {
        Stamp {
            returned: self.returned.wrapping_sub(offset),
            raised: self.raised.wrapping_sub(offset),
            entered: self.entered.wrapping_sub(offset),
        }
    }
}

/// Where a hop ends. It begins where the one before it ends; the first begins at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// KVM_RUN returned with the level.
    Returned,
    /// KVM_IRQ_LINE, the line raised, returned.
    Raised,
    /// KVM_RUN is called.
    Entered,
    /// First instruction of the guest's vector.
    Vector,
    /// The guest has read the acknowledge register.
    Acknowledged,
    /// The guest's handler has silenced the timer.
    Handled,
    /// The guest has written the end-of-interrupt register.
    Ended,
    /// Back in the interrupted code.
    Resumed,
}

impl Hop {
    /// All, in order.
    pub const ALL: [Hop; 8] = [
        Hop::Returned,
        Hop::Raised,
        Hop::Entered,
        Hop::Vector,
        Hop::Acknowledged,
        Hop::Handled,
        Hop::Ended,
        Hop::Resumed,
    ];

    /// For a person: where it ends.
    pub fn label(self) -> &'static str {
        match self {
            Hop::Returned => "KVM_RUN returned",
            Hop::Raised => "line raised",
            Hop::Entered => "KVM_RUN entered",
            Hop::Vector => "guest vector",
            Hop::Acknowledged => "acknowledged",
            Hop::Handled => "handled",
            Hop::Ended => "ended",
            Hop::Resumed => "resumed",
        }
    }
}

/// The hops of one interrupt. `stamp` is on the guest's clock; without one the way through userspace is unknown, and the
/// first hop goes from the deadline to the guest's vector. `None`: the timestamps are not in order, so that the hops
/// would not add up to the whole.
pub(super) fn hops(sample: &Sample, stamp: Option<&Stamp>) -> Option<Vec<(Hop, u64)>> {
    let ends = [
        (Hop::Returned, stamp.map(|s| s.returned)),
        (Hop::Raised, stamp.map(|s| s.raised)),
        (Hop::Entered, stamp.map(|s| s.entered)),
        (Hop::Vector, Some(sample.vector)),
        (Hop::Acknowledged, Some(sample.acknowledged)),
        (Hop::Handled, Some(sample.handled)),
        (Hop::Ended, Some(sample.ended)),
        (Hop::Resumed, Some(sample.resumed)),
    ];
    let mut hops = Vec::with_capacity(ends.len());
    let mut at = sample.deadline;
    for (hop, end) in ends.into_iter().filter_map(|(hop, end)| Some((hop, end?))) {
        hops.push((hop, end.checked_sub(at)?));
        at = end;
    }
    Some(hops)
}

/// Which stamps belong to which samples: both in order of time and on the guest's clock. A sample's own is the last one
/// that returned after its deadline and entered the guest before its vector.
pub(super) struct Matcher<I: Iterator<Item = Stamp>> {
    stamps: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = Stamp>> Matcher<I> {
    /// Over the stamps of a batch.
    pub(super) fn new(stamps: I) -> Matcher<I> {
        Matcher { stamps: stamps.peekable() }
    }

    /// The stamp of the next sample.
    pub(super) fn next(&mut self, sample: &Sample) -> Option<Stamp> {
        let mut own = None;
        while let Some(stamp) = self.stamps.next_if(|stamp| stamp.entered <= sample.vector) {
            own = (stamp.returned >= sample.deadline).then_some(stamp);
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Sample = Sample {
        deadline: 1000,
        vector: 8000,
        acknowledged: 14_000,
        handled: 14_100,
        ended: 20_000,
        resumed: 20_050,
        iar: 27,
        spurious: 0,
        missed: 0,
    };

    fn stamp(returned: u64) -> Stamp {
        Stamp { returned, raised: returned + 1500, entered: returned + 1550 }
    }

    #[test]
    fn hops_add_up_to_the_whole_with_and_without_the_runners_part() {
        for stamp in [Some(stamp(4000)), None] {
            let hops = hops(&SAMPLE, stamp.as_ref()).unwrap();
            assert_eq!(hops.iter().map(|(_, ticks)| ticks).sum::<u64>(), SAMPLE.resumed - SAMPLE.deadline);
        }
    }

    #[test]
    fn each_hop_ends_where_it_says() {
        let found = hops(&SAMPLE, Some(&stamp(4000))).unwrap();
        let expected = [3000, 1500, 50, 2450, 6000, 100, 5900, 50];
        assert_eq!(found, Hop::ALL.into_iter().zip(expected).collect::<Vec<_>>());
        assert_eq!(hops(&SAMPLE, None).unwrap()[0], (Hop::Vector, 7000));
    }

    #[test]
    fn clocks_that_disagree_give_no_hops() {
        assert_eq!(hops(&SAMPLE, Some(&stamp(900))), None, "KVM_RUN cannot return with a level before its deadline");
        assert_eq!(hops(&SAMPLE, Some(&stamp(7000))), None, "the guest cannot run before it is entered");
    }

    #[test]
    fn a_stamp_belongs_to_the_sample_whose_deadline_and_vector_are_around_it() {
        let second = Sample { deadline: 30_000, vector: 38_000, ..SAMPLE };
        let third = Sample { deadline: 50_000, vector: 58_000, ..SAMPLE };
        // One from before the first deadline, and none for the second sample.
        let mut matcher = Matcher::new([stamp(500), stamp(4000), stamp(54_000)].into_iter());
        assert_eq!(matcher.next(&SAMPLE), Some(stamp(4000)));
        assert_eq!(matcher.next(&second), None);
        assert_eq!(matcher.next(&third), Some(stamp(54_000)));
    }

    #[test]
    fn the_guests_clock_is_behind_by_the_offset() {
        let on_guest = stamp(10_000).seen_by_guest(4_000);
        assert_eq!(on_guest, stamp(6_000));
    }
}
