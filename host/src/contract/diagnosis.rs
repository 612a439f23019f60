//! What a vCPU was doing when it did not come to the end of its program.

use super::check::{Unheld, violated};
use super::transcript::{Ending, Stopped, Transcript};
use crate::lines::Levels;

/// CNTV_CTL_EL0.{ENABLE, IMASK} (Arm ARM DDI 0487, D24: CNTV_CTL_EL0).
const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;

/// That every vCPU came to the end of its program; otherwise what the first that did not was doing.
pub(super) fn all_ended(transcript: &Transcript) -> Result<(), Unheld> {
    match transcript.endings.iter().enumerate().find(|(_, ending)| **ending != Ending::Done) {
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
    }
}

/// What a vCPU that was stopped was doing, as a sentence.
pub fn diagnose_stopped(s: &Stopped) -> String {
    let place = match (s.in_wfi, s.in_hvc) {
        (true, _) => "guest asleep in WFI at PC",
        (_, true) => "guest in HVC at PC",
        _ => "guest did not end, stopped at PC",
    };
    format!("{place} {}, {}", s.symbol, timers(s))
}

impl Stopped {
    /// For how many ticks a timer's output has been due without being reported; `None`: whatever is due was reported.
    pub fn overdue(&self) -> Option<u64> {
        let due = |ctl: u64, late: u64, level: Levels| {
            let asserted = ctl & (ENABLE | IMASK) == ENABLE && late as i64 >= 0;
            (asserted && !self.levels.contains(level)).then_some(late)
        };
        let ptimer = self.ptimer.and_then(|p| due(p.ctl, p.count.wrapping_sub(p.cval), Levels::PTIMER));
        due(self.cntv_ctl, self.cntvct.wrapping_sub(self.cntv_cval), Levels::VTIMER).max(ptimer)
    }

    /// Ticks to the next deadline of a timer, 0 if one has passed; `None`: no timer is on.
    pub fn next_deadline(&self) -> Option<u64> {
        let left = |ctl: u64, left: u64| (ctl & (ENABLE | IMASK) == ENABLE).then_some((left as i64).max(0) as u64);
        let vtimer = left(self.cntv_ctl, self.cntv_cval.wrapping_sub(self.cntvct));
        let ptimer = self.ptimer.and_then(|p| left(p.ctl, p.cval.wrapping_sub(p.count)));
        vtimer.into_iter().chain(ptimer).min()
    }
}

/// Both timers' stories; of one that is off while the other is not there is none.
fn timers(s: &Stopped) -> String {
    let late = s.cntvct.wrapping_sub(s.cntv_cval) as i64;
    let vtimer = timer("virtual", s.cntv_ctl, late, s.levels.contains(Levels::VTIMER));
    let ptimer = s.ptimer.and_then(|ptimer| {
        let late = ptimer.count.wrapping_sub(ptimer.cval) as i64;
        timer("physical", ptimer.ctl, late, s.levels.contains(Levels::PTIMER))
    });
    match (vtimer, ptimer) {
        (Some(vtimer), Some(ptimer)) => format!("{vtimer}; {ptimer}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) if s.ptimer.is_none() => "virtual timer off".to_owned(),
        (None, None) => "both timers off".to_owned(),
    }
}

/// A timer's story: whether its output is due, since when, and whether it was reported; `None`: it is off.
fn timer(which: &str, ctl: u64, late: i64, reported: bool) -> Option<String> {
    if ctl & ENABLE == 0 {
        return None;
    }
    Some(if ctl & IMASK != 0 {
        format!("{which} timer masked (IMASK)")
    } else if late < 0 {
        format!("{which} timer due in {} ticks", -late)
    } else {
        let reported = if reported { "level reported" } else { "level never reported" };
        format!("{which} timer expired {late} ticks ago, {reported}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Ptimer;

    fn stopped() -> Stopped {
        Stopped {
            at: 0,
            pc: 0x4008_1234,
            symbol: "0x40081234 (litmus::wfi+0x8)".to_owned(),
            in_wfi: true,
            in_hvc: false,
            pstate: 0x3c5,
            cntv_ctl: 5,
            cntv_cval: 1000,
            cntvct: 5000,
            ptimer: None,
            levels: Levels::NONE,
        }
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
}
