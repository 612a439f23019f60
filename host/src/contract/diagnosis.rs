//! What a vCPU was doing when it did not come to the end of its program.

use super::transcript::{Ending, Event, Stopped, Storm, Transcript};
use super::verdict::{Unheld, disturbed, violated};
use crate::lines::Levels;

/// CNTV_CTL_EL0.{ENABLE, IMASK} (Arm ARM DDI 0487, D24: CNTV_CTL_EL0).
const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;

/// That nothing happened of which no program may be the cause: a system call refused, vtick's own failure, a storm of
/// returns, a vCPU that does not come back.
pub(super) fn nothing_broke(transcript: &Transcript) -> Result<(), Unheld> {
    for ending in &transcript.endings {
        if let Ending::HarnessError { message } = ending {
            return Err(Unheld::HarnessError(message.clone()));
        }
    }
    let mut refusals = transcript.refusals();
    if let Some(first) = refusals.next() {
        return first.judged(refusals.count());
    }
    let broke = |ending: &&Ending| matches!(ending, Ending::Storm(_) | Ending::Stuck { .. });
    first_that(transcript, broke)
}

/// That every vCPU came to the end of its program; otherwise what the first that did not was doing.
pub(super) fn all_ended(transcript: &Transcript) -> Result<(), Unheld> {
    first_that(transcript, |ending| **ending != Ending::Done)
}

/// That no vCPU gave up waiting for another: from there on a program's parts are not in the order they were written in.
pub(super) fn all_met(transcript: &Transcript) -> Result<(), Unheld> {
    let late = |event: &&Event| matches!(event, Event::Action { result, .. } if *result == -i64::from(libc::ETIMEDOUT));
    match transcript.events.iter().find(late) {
        None => Ok(()),
        Some(_) => disturbed("a vCPU did not come to where all meet in time"),
    }
}

/// That no vCPU ended so; otherwise how the first that did ended.
fn first_that(transcript: &Transcript, so: impl Fn(&&Ending) -> bool) -> Result<(), Unheld> {
    match transcript.endings.iter().enumerate().find(|(_, ending)| so(ending)) {
        None => Ok(()),
        Some((vcpu, ending)) => violated(format!("vCPU {vcpu}: {}", diagnose(ending))),
    }
}

/// How a vCPU ended, as a sentence.
pub fn diagnose(ending: &Ending) -> String {
    match ending {
        Ending::Done => "came to its end".to_owned(),
        Ending::Stopped(stopped) => diagnose_stopped(stopped),
        Ending::Exception { vector, esr, elr, far } => format!(
            "unexpected exception in the guest at {elr}: vector {vector:#x}, ESR_EL1 {esr:#x}, FAR_EL1 {far:#x}"
        ),
        Ending::Panic { message } => format!("the guest panicked: {message}"),
        Ending::Failed { exit, pc } => format!("KVM_RUN ended with {exit}, guest at {pc}"),
        Ending::Refused => "a system call was refused".to_owned(),
        Ending::Storm(storm) => storm.to_string(),
        Ending::Stuck { place } => format!("no signal brought it back from KVM_RUN within a second: {place}"),
        Ending::HarnessError { message } => format!("vtick failed: {message}"),
    }
}

impl std::fmt::Display for Storm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Storm { returns, alike, period, exit, levels, stopped } = self;
        write!(f, "exit storm: {returns} returns")?;
        if alike * 2 >= *returns {
            write!(f, ", every {period} ticks, level {levels} unchanged ({exit})")?;
        } else {
            write!(f, " of several kinds, the last {exit}, levels {levels}")?;
        }
        write!(f, "; {}", diagnose_stopped(stopped))
    }
}

/// What a vCPU that was stopped was doing, as a sentence.
pub fn diagnose_stopped(s: &Stopped) -> String {
    let place = match (s.in_wfi, s.in_hvc) {
        _ if s.suspended => "vCPU suspended by userspace, guest at PC",
        (true, _) => "guest asleep in WFI at PC",
        (_, true) => "guest in HVC at PC",
        _ => "guest did not end, stopped at PC",
    };
    format!("{place} {}, {}", s.symbol, timers(s))
}

/// A timer of a stopped vCPU.
struct Timer {
    which: &'static str,
    ctl: u64,
    /// Ticks since its deadline; negative, to its deadline.
    late: i64,
    reported: bool,
}

impl Timer {
    fn new(which: &'static str, ctl: u64, late: u64, reported: bool) -> Timer {
        Timer { which, ctl, late: late as i64, reported }
    }

    /// Whether its output is asserted as soon as its deadline is over.
    fn is_on(&self) -> bool {
        self.ctl & (ENABLE | IMASK) == ENABLE
    }

    /// Whether its output is due, since when, and whether it was reported; `None`: it is off.
    fn story(&self) -> Option<String> {
        let Timer { which, ctl, late, reported } = *self;
        if ctl & ENABLE == 0 {
            return None;
        }
        Some(if ctl & IMASK != 0 {
            format!("{which} timer masked (IMASK)")
        } else if late < 0 {
            format!("{which} timer due in {} ticks", late.unsigned_abs())
        } else {
            let reported = if reported { "level reported" } else { "level never reported" };
            format!("{which} timer expired {late} ticks ago, {reported}")
        })
    }
}

impl Stopped {
    /// The virtual timer, and the physical one where it is known.
    fn timers(&self) -> impl Iterator<Item = Timer> {
        let reported = |level| self.levels.contains(level);
        let late = self.cntvct.wrapping_sub(self.cntv_cval);
        let vtimer = Timer::new("virtual", self.cntv_ctl, late, reported(Levels::VTIMER));
        let ptimer = self.ptimer.map(|timer| {
            let late = timer.count.wrapping_sub(timer.cval);
            Timer::new("physical", timer.ctl, late, reported(Levels::PTIMER))
        });
        [vtimer].into_iter().chain(ptimer)
    }

    /// For how many ticks a timer's output has been due without being reported; `None`: whatever is due was reported.
    pub fn overdue(&self) -> Option<u64> {
        let due = self.timers().filter(|timer| timer.is_on() && timer.late >= 0 && !timer.reported);
        due.map(|timer| timer.late as u64).max()
    }

    /// Ticks to the next deadline of a timer, 0 if one has passed; `None`: no timer is on.
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers().filter(Timer::is_on).map(|timer| timer.late.min(0).unsigned_abs()).min()
    }
}

/// The timers' stories; of one that is off while the other is not there is none.
fn timers(s: &Stopped) -> String {
    let stories: Vec<_> = s.timers().filter_map(|timer| timer.story()).collect();
    match (&stories[..], s.ptimer) {
        ([], None) => "virtual timer off".to_owned(),
        ([], Some(_)) => "both timers off".to_owned(),
        (stories, _) => stories.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Program, Ptimer, Refusal};

    fn stopped() -> Stopped {
        Stopped { symbol: "0x40081234 (litmus::wfi+0x8)".to_owned(), ..Stopped::overslept() }
    }

    #[test]
    fn a_guest_that_sleeps_past_its_deadline_is_named_with_place_lateness_and_level() {
        assert_eq!(
            diagnose_stopped(&stopped()),
            "guest asleep in WFI at PC 0x40081234 (litmus::wfi+0x8), virtual timer expired 4000 ticks ago, level never \
             reported"
        );
    }

    #[test]
    fn what_is_due_and_not_reported_is_found_in_either_timer() {
        assert_eq!(stopped().overdue(), Some(4000));
        assert_eq!(Stopped { levels: Levels::VTIMER, ..stopped() }.overdue(), None);
        assert_eq!(Stopped { cntv_ctl: 7, ..stopped() }.overdue(), None, "masked");
        assert_eq!(Stopped { cntv_cval: 5001, ..stopped() }.overdue(), None, "not yet");
        let ptimer = Some(Ptimer { ctl: 1, cval: 10, count: 30 });
        assert_eq!(Stopped { levels: Levels::VTIMER, ptimer, ..stopped() }.overdue(), Some(20));
        assert_eq!(Stopped { levels: Levels(3), ptimer, ..stopped() }.overdue(), None);
    }

    #[test]
    fn the_next_deadline_is_the_earlier_of_two() {
        let ptimer = Some(Ptimer { ctl: 1, cval: 40, count: 30 });
        assert_eq!(Stopped { cntv_cval: 5009, ptimer, ..stopped() }.next_deadline(), Some(9));
        assert_eq!(Stopped { cntv_ctl: 0, ptimer, ..stopped() }.next_deadline(), Some(10));
        assert_eq!((stopped().next_deadline(), Stopped { cntv_ctl: 0, ..stopped() }.next_deadline()), (Some(0), None));
    }

    #[test]
    fn a_timer_that_is_off_masked_or_not_due_is_not_blamed() {
        let with = |ctl, cval| timers(&Stopped { cntv_ctl: ctl, cntv_cval: cval, ..stopped() });
        assert_eq!(with(0, 1000), "virtual timer off");
        assert_eq!(with(3, 1000), "virtual timer masked (IMASK)");
        assert_eq!(with(1, 6000), "virtual timer due in 1000 ticks");
    }

    #[test]
    fn the_physical_timer_is_told_of_where_it_can_be_read_and_is_on() {
        let with = |cntv_ctl, ctl| {
            let ptimer = Some(Ptimer { ctl, cval: 100, count: 700 });
            timers(&Stopped { cntv_ctl, ptimer, levels: Levels::VTIMER, ..stopped() })
        };
        assert_eq!(with(0, 0), "both timers off");
        assert_eq!(with(0, 5), "physical timer expired 600 ticks ago, level never reported");
        assert_eq!(
            with(3, 5),
            "virtual timer masked (IMASK); physical timer expired 600 ticks ago, level never reported"
        );
        assert_eq!(with(5, 0), "virtual timer expired 4000 ticks ago, level reported");
    }

    fn broke(ending: Ending, refused_before: Option<bool>) -> Result<(), Unheld> {
        let refusal = |before_the_guest| Refusal {
            at: 0,
            vcpu: None,
            call: "KVM_CREATE_VCPU".to_owned(),
            register: None,
            value: None,
            errno: libc::EINVAL,
            before_the_guest,
        };
        let events = refused_before.into_iter().map(|before| Event::Refused(refusal(before))).collect();
        nothing_broke(&Transcript::new(&Program::new(1_000_000), events, vec![ending], 0))
    }

    #[test]
    fn a_refusal_violates_a_claim_about_a_guest_that_ran_and_leaves_open_one_about_a_guest_that_did_not() {
        let what = "the kernel refused KVM_CREATE_VCPU: Invalid argument (os error 22)".to_owned();
        assert_eq!(broke(Ending::Refused, Some(false)), Err(Unheld::Violated(what.clone())));
        assert_eq!(broke(Ending::Refused, Some(true)), Err(Unheld::NotExercised(what)));
        assert_eq!(broke(Ending::Done, None), Ok(()));
    }

    #[test]
    fn a_vcpu_that_does_not_come_back_is_violated_and_vticks_own_failure_is_not() {
        let stuck = broke(Ending::Stuck { place: "state R".to_owned() }, None);
        let due = "vCPU 0: no signal brought it back from KVM_RUN within a second: state R".to_owned();
        assert_eq!(stuck, Err(Unheld::Violated(due)));
        let own = broke(Ending::HarnessError { message: "no memory".to_owned() }, None);
        assert_eq!(own, Err(Unheld::HarnessError("no memory".to_owned())));
        assert_eq!(broke(Ending::Stopped(stopped()), None), Ok(()), "some programs may not end");
    }
}
