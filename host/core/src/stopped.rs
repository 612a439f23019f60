//! Where a vCPU was when it was stopped, and its timers.

use serde::{Deserialize, Serialize};

use crate::lines::Levels;

/// CNTV_CTL_EL0.{ENABLE, IMASK} (Arm ARM DDI 0487, D24: CNTV_CTL_EL0).
const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;

/// Where a vCPU was when it was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stopped {
    /// Host counter.
    pub at: u64,
    /// Program counter.
    pub pc: u64,
    /// The function it lies in.
    pub symbol: String,
    /// Whether the instruction there, or just before, is WFI.
    pub in_wfi: bool,
    /// Whether the instruction just before is HVC: the vCPU is in a call to KVM.
    pub in_hvc: bool,
    /// Whether userspace had suspended the vCPU (KVM_MP_STATE_SUSPENDED): wherever the guest is, the vCPU sleeps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// PSTATE.
    pub pstate: u64,
    /// CNTV_CTL.
    pub cntv_ctl: u64,
    /// CNTV_CVAL.
    pub cntv_cval: u64,
    /// CNTVCT as the guest would read it.
    pub cntvct: u64,
    /// The physical timer: as the kernel says, or else as the guest wrote it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ptimer: Option<Ptimer>,
    /// The level field as the last return left it.
    pub levels: Levels,
}

impl Stopped {
    /// Whether the vCPU slept: in WFI, in a call to KVM such as PSCI CPU_SUSPEND, or suspended by userspace.
    pub fn slept(&self) -> bool {
        self.in_wfi || self.in_hvc || self.suspended
    }
}

#[cfg(any(test, feature = "fixtures"))]
impl Stopped {
    /// A vCPU in WFI, whose vtimer's output has been due for 4000 ticks and was not reported.
    pub fn overslept() -> Stopped {
        let symbol = "0x40081234".to_owned();
        let (pc, pstate) = (0x4008_1234, 0x3c5);
        Stopped { pc, symbol, in_wfi: true, pstate, cntv_ctl: 5, cntv_cval: 1000, cntvct: 5000, ..Stopped::default() }
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Stopped { symbol, pstate, cntv_ctl, cntv_cval, cntvct, levels, .. } = self;
        let asleep = if self.in_wfi { " in WFI" } else { "" };
        write!(f, "{symbol}{asleep}: PSTATE {pstate:#x}, ")?;
        write!(f, "CNTV_CTL {cntv_ctl:#x}, CNTV_CVAL {cntv_cval:#x}, CNTVCT {cntvct:#x}, ")?;
        if let Some(Ptimer { ctl, cval, count }) = self.ptimer {
            write!(f, "CNTP_CTL {ctl:#x}, CNTP_CVAL {cval:#x}, CNTPCT {count:#x}, ")?;
        }
        write!(f, "levels {levels}")
    }
}

/// The physical timer of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ptimer {
    /// CNTP_CTL.
    pub ctl: u64,
    /// CNTP_CVAL.
    pub cval: u64,
    /// CNTPCT as the guest would read it.
    pub count: u64,
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
    /// What the vCPU was doing, as a sentence.
    pub fn diagnosis(&self) -> String {
        let place = match (self.in_wfi, self.in_hvc) {
            _ if self.suspended => "vCPU suspended by userspace, guest at PC",
            (true, _) => "guest asleep in WFI at PC",
            (_, true) => "guest in HVC at PC",
            _ => "guest did not end, stopped at PC",
        };
        format!("{place} {}, {}", self.symbol, timers(self))
    }

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

    fn stopped() -> Stopped {
        Stopped { symbol: "0x40081234 (litmus::wfi+0x8)".to_owned(), ..Stopped::overslept() }
    }

    #[test]
    fn a_guest_that_sleeps_past_its_deadline_is_named_with_place_lateness_and_level() {
        assert_eq!(
            stopped().diagnosis(),
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
