//! The state of a vCPU that drives its outputs, and how an event changes it.

use vtick_abi::litmus::sysreg;

use super::history::Output;
use crate::TimerRegister;

/// CNT{V,P}_CTL_EL0.{ENABLE, IMASK, ISTATUS} (Arm ARM DDI 0487, D24).
const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;
const ISTATUS: u64 = 1 << 2;
/// PMCR_EL0.E.
const PMCR_E: u64 = 1 << 0;

/// A number that lies between these two, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Between(pub(super) u64, pub(super) u64);

impl Between {
    const ANYTHING: Between = Between(0, u64::MAX);

    pub(super) fn contains(self, value: u64) -> bool {
        (self.0..=self.1).contains(&value)
    }
}

/// Which of the two timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Virtual,
    Physical,
}

/// A timer: ENABLE and IMASK (`None`: not known), and CVAL on the guest's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timer {
    ctl: Option<u64>,
    cval: Between,
    /// Host counter minus the timer's counter.
    pub(super) offset: u64,
    /// By how much its counter may be behind, after a move to a fresh VM.
    behind: u64,
}

impl Timer {
    /// After reset: off, with any deadline.
    fn reset(offset: u64) -> Timer {
        Timer { ctl: Some(0), cval: Between::ANYTHING, offset, behind: 0 }
    }

    /// Its output: ENABLE && !IMASK && counter >= CVAL [C10].
    pub(super) fn output(&self) -> Output {
        // A deadline beyond the end of the host's counter never comes.
        let on_host = |cval: u64| cval.saturating_add(self.offset);
        match self.ctl {
            None => Output::Unknown,
            Some(ctl) if ctl & (ENABLE | IMASK) == ENABLE => {
                Output::From(on_host(self.cval.0), on_host(self.cval.1).saturating_add(self.behind))
            }
            Some(_) => Output::Low,
        }
    }

    /// Whether CTL may read as `value` at a time between these two, on the host's counter. ISTATUS means nothing while
    /// the timer is off.
    pub(super) fn may_read_ctl(&self, value: u64, from: u64, to: u64) -> bool {
        let Some(ctl) = self.ctl else { return true };
        let on_host = |cval: u64| cval.saturating_add(self.offset);
        let (set, clear) = (on_host(self.cval.0) <= to, on_host(self.cval.1) > from);
        value & (ENABLE | IMASK) == ctl
            && (ctl & ENABLE == 0 || if value & ISTATUS != 0 { set } else { clear })
            && value & !(ENABLE | IMASK | ISTATUS) == 0
    }

    /// CTL as it reads, as text.
    pub(super) fn due_ctl(&self) -> String {
        let ctl = self.ctl.unwrap_or(0);
        match ctl & ENABLE {
            0 => format!("ENABLE clear, IMASK {}", ctl >> 1),
            _ => format!("{ctl:#x}, and ISTATUS by the deadline {}", self.cval.0),
        }
    }

    /// What CVAL may read as.
    pub(super) fn cval(&self) -> Between {
        self.cval
    }

    fn set_ctl(&mut self, value: u64) {
        self.ctl = Some(value & (ENABLE | IMASK));
    }

    /// It was reset, or restored, or neither: what was off is off.
    fn forget_unless_off(&mut self) {
        self.ctl = self.ctl.filter(|&ctl| ctl == 0);
        self.cval = Between::ANYTHING;
    }

    /// TVAL was written at a time between these two, on the host's counter.
    fn set_tval(&mut self, value: u64, from: u64, to: u64) {
        // A signed number of 32 bits from the counter on.
        let ahead = value as u32 as i32 as i64 as u64;
        let at = |time: u64| time.wrapping_sub(self.offset).wrapping_add(ahead);
        let (first, last) = (at(from), at(to));
        // Around the wrap of the counter nothing is known.
        self.cval = if first <= last { Between(first, last) } else { Between::ANYTHING };
    }
}

/// A set of bits, some of them not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bits {
    set: u32,
    unknown: u32,
}

impl Bits {
    /// Reset leaves them as they are [ARM].
    const RESET: Bits = Bits { set: 0, unknown: u32::MAX };

    fn set(&mut self, bits: u64) {
        self.set |= bits as u32;
        self.unknown &= !bits as u32;
    }

    fn clear(&mut self, bits: u64) {
        self.set &= !bits as u32;
        self.unknown &= !bits as u32;
    }
}

/// The PMU: its overflow output is PMCR.E && (PMOVSSET & PMINTENSET & PMCNTENSET) [C14].
#[derive(Clone, Copy, Debug)]
struct Pmu {
    enabled: Option<bool>,
    counters: Bits,
    interrupts: Bits,
    overflows: Bits,
    /// Whether a counter was put to where it may overflow by counting.
    may_overflow: bool,
}

impl Pmu {
    const RESET: Pmu = Pmu {
        enabled: None,
        counters: Bits::RESET,
        interrupts: Bits::RESET,
        overflows: Bits::RESET,
        may_overflow: false,
    };

    fn output(&self) -> Output {
        let Pmu { counters, interrupts, overflows, .. } = self;
        let possible = |bits: &Bits| bits.set | bits.unknown;
        let overflow = possible(overflows) | if self.may_overflow { u32::MAX } else { 0 };
        if self.enabled == Some(false) || possible(counters) & possible(interrupts) & overflow == 0 {
            return Output::Low;
        }
        match self.enabled == Some(true) && counters.set & interrupts.set & overflows.set != 0 {
            true => Output::level(true),
            false => Output::Unknown,
        }
    }

    /// Whether this is one of its registers; then it was written.
    fn write(&mut self, register: u16, value: u64) -> bool {
        match register {
            sysreg::PMCR => self.enabled = Some(value & PMCR_E != 0),
            sysreg::PMCNTENSET => self.counters.set(value),
            sysreg::PMCNTENCLR => self.counters.clear(value),
            sysreg::PMINTENSET => self.interrupts.set(value),
            sysreg::PMINTENCLR => self.interrupts.clear(value),
            sysreg::PMOVSSET => self.overflows.set(value),
            sysreg::PMOVSCLR => self.overflows.clear(value),
            sysreg::PMCCNTR | sysreg::PMXEVCNTR | sysreg::PMSWINC => self.may_overflow = true,
            sysreg::PMCCFILTR | sysreg::PMSELR | sysreg::PMXEVTYPER => {}
            _ => return false,
        }
        true
    }
}

/// What drives a vCPU's outputs.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) vtimer: Timer,
    pub(super) ptimer: Timer,
    pmu: Pmu,
    has_pmu: bool,
}

impl State {
    /// A vCPU that was reset. `offset`, `physical_offset`: host counter minus the guest's two.
    pub(super) fn reset(offset: u64, physical_offset: u64, has_pmu: bool) -> State {
        State { vtimer: Timer::reset(offset), ptimer: Timer::reset(physical_offset), pmu: Pmu::RESET, has_pmu }
    }

    /// The outputs, in the order of their bits in the level field.
    pub(super) fn outputs(&self) -> [Output; 3] {
        let pmu = if self.has_pmu { self.pmu.output() } else { Output::Low };
        [self.vtimer.output(), self.ptimer.output(), pmu]
    }

    pub(super) fn timer(&self, which: Which) -> &Timer {
        match which {
            Which::Virtual => &self.vtimer,
            Which::Physical => &self.ptimer,
        }
    }

    fn timer_mut(&mut self, which: Which) -> &mut Timer {
        match which {
            Which::Virtual => &mut self.vtimer,
            Which::Physical => &mut self.ptimer,
        }
    }

    /// The guest wrote a system register at a time between these two, on the host's counter.
    pub(super) fn write(&mut self, register: u16, value: u64, from: u64, to: u64) {
        match register {
            sysreg::CNTV_CTL => self.vtimer.set_ctl(value),
            sysreg::CNTP_CTL => self.ptimer.set_ctl(value),
            sysreg::CNTV_CVAL => self.vtimer.cval = Between(value, value),
            sysreg::CNTP_CVAL => self.ptimer.cval = Between(value, value),
            sysreg::CNTV_TVAL => self.vtimer.set_tval(value, from, to),
            sysreg::CNTP_TVAL => self.ptimer.set_tval(value, from, to),
            _ => {
                self.pmu.write(register, value);
            }
        }
    }

    /// A system register was perhaps written, and perhaps not.
    pub(super) fn forget(&mut self, register: u16) {
        match register {
            sysreg::CNTV_CTL => self.vtimer.ctl = None,
            sysreg::CNTP_CTL => self.ptimer.ctl = None,
            sysreg::CNTV_CVAL | sysreg::CNTV_TVAL => self.vtimer.cval = Between::ANYTHING,
            sysreg::CNTP_CVAL | sysreg::CNTP_TVAL => self.ptimer.cval = Between::ANYTHING,
            _ => {
                if self.pmu.write(register, 0) {
                    self.pmu = Pmu::RESET;
                }
            }
        }
    }

    /// Userspace set a timer register through ONE_REG: to a number, or to one not known.
    pub(super) fn set(&mut self, register: TimerRegister, value: Between) {
        let (which, is_ctl) = match register {
            TimerRegister::CntvCtl => (Which::Virtual, true),
            TimerRegister::CntpCtl => (Which::Physical, true),
            TimerRegister::CntvCval => (Which::Virtual, false),
            TimerRegister::CntpCval => (Which::Physical, false),
            TimerRegister::Cntvct | TimerRegister::Cntpct => return,
        };
        let timer = self.timer_mut(which);
        match is_ctl {
            true => timer.set_ctl(value.0),
            false => timer.cval = value,
        }
    }

    /// All registers were saved, and restored in a fresh VM, whose counter may be `behind` after that. Of the physical
    /// timer the same is to be said as of [`reinit`](State::reinit).
    pub(super) fn moved(&mut self, behind: u64) {
        self.vtimer.behind += behind;
        self.ptimer.forget_unless_off();
        self.pmu = Pmu::RESET;
    }

    /// KVM_ARM_VCPU_INIT, and all other registers as they were. Kernels before 6.4 have no ONE_REG for the physical
    /// timer: what becomes of it is not known. Whether the PMU is as it was is for one rule to say (`pmu-is-restored`):
    /// all others would say the same in other words.
    pub(super) fn reinit(&mut self, restore_timers: bool) {
        self.pmu = Pmu::RESET;
        if !restore_timers {
            // Kernels differ: some leave the deadline as it was, some set it to zero.
            (self.vtimer.ctl, self.vtimer.cval) = (Some(0), Between::ANYTHING);
        }
        self.ptimer.forget_unless_off();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::reset(1000, 0, true)
    }

    #[test]
    fn a_timer_is_low_until_enabled_unmasked_and_due() {
        let mut state = state();
        assert_eq!(state.outputs()[0], Output::Low);
        state.write(sysreg::CNTV_CVAL, 50, 0, 0);
        state.write(sysreg::CNTV_CTL, 3, 0, 0);
        assert_eq!(state.outputs()[0], Output::Low, "masked");
        state.write(sysreg::CNTV_CTL, 1, 0, 0);
        assert_eq!(state.outputs()[0], Output::From(1050, 1050), "on the host's counter");
        state.write(sysreg::CNTV_CVAL, u64::MAX, 0, 0);
        assert_eq!(state.outputs()[0], Output::From(u64::MAX, u64::MAX), "never");
    }

    #[test]
    fn tval_is_signed_and_counts_from_when_it_was_written() {
        let mut state = state();
        state.write(sysreg::CNTV_TVAL, 30, 1100, 1104);
        assert_eq!(state.vtimer.cval(), Between(130, 134));
        state.write(sysreg::CNTV_TVAL, 0xffff_ffff, 1100, 1104);
        assert_eq!(state.vtimer.cval(), Between(99, 103));
        state.write(sysreg::CNTP_TVAL, 0xffff_ff00, 10, 20);
        assert_eq!(state.ptimer.cval(), Between(10u64.wrapping_sub(256), 20u64.wrapping_sub(256)));
    }

    #[test]
    fn ctl_reads_as_written_with_istatus_by_the_deadline_where_that_means_something() {
        let mut state = state();
        state.write(sysreg::CNTV_CVAL, 50, 0, 0);
        assert!(state.vtimer.may_read_ctl(0, 0, 9999) && state.vtimer.may_read_ctl(4, 0, 9999), "off");
        state.write(sysreg::CNTV_CTL, 1, 0, 0);
        assert!(state.vtimer.may_read_ctl(1, 1000, 1049) && !state.vtimer.may_read_ctl(5, 1000, 1049));
        assert!(state.vtimer.may_read_ctl(5, 1050, 1060) && !state.vtimer.may_read_ctl(1, 1050, 1060));
        assert!(state.vtimer.may_read_ctl(1, 1040, 1060) && state.vtimer.may_read_ctl(5, 1040, 1060), "in between");
        assert!(!state.vtimer.may_read_ctl(7, 1060, 1070), "IMASK was not set");
    }

    #[test]
    fn the_pmu_asserts_what_overflowed_is_enabled_and_interrupts() {
        let mut state = state();
        assert_eq!(state.outputs()[2], Output::Unknown, "reset leaves it as it was");
        for (register, value) in [(sysreg::PMCR, 1), (sysreg::PMCNTENSET, 2), (sysreg::PMOVSSET, 2)] {
            state.write(register, value, 0, 0);
        }
        assert_eq!(state.outputs()[2], Output::Unknown, "whether it interrupts is not known");
        for register in [sysreg::PMCNTENCLR, sysreg::PMINTENCLR, sysreg::PMOVSCLR] {
            state.write(register, 0xffff_ffff, 0, 0);
        }
        assert_eq!(state.outputs()[2], Output::Low);
        state.write(sysreg::PMCR, 1, 0, 0);
        state.write(sysreg::PMCNTENSET, 2, 0, 0);
        state.write(sysreg::PMOVSSET, 2, 0, 0);
        assert_eq!(state.outputs()[2], Output::Low, "no interrupt enabled");
        state.write(sysreg::PMINTENSET, 2, 0, 0);
        assert_eq!(state.outputs()[2], Output::level(true));
        state.write(sysreg::PMCR, 0, 0, 0);
        assert_eq!(state.outputs()[2], Output::Low);
        assert_eq!(State::reset(0, 0, false).outputs()[2], Output::Low, "no PMU");
    }

    #[test]
    fn a_counter_that_was_set_may_overflow_by_counting() {
        let mut state = state();
        for register in [sysreg::PMCNTENCLR, sysreg::PMINTENCLR, sysreg::PMOVSCLR] {
            state.write(register, 0xffff_ffff, 0, 0);
        }
        state.write(sysreg::PMCR, 1, 0, 0);
        state.write(sysreg::PMCNTENSET, 1 << 31, 0, 0);
        state.write(sysreg::PMINTENSET, 1 << 31, 0, 0);
        assert_eq!(state.outputs()[2], Output::Low);
        state.write(sysreg::PMCCNTR, u64::MAX - 10, 0, 0);
        assert_eq!(state.outputs()[2], Output::Unknown);
    }

    #[test]
    fn initialising_a_vcpu_again_turns_its_timers_off() {
        let mut state = state();
        state.write(sysreg::CNTV_CVAL, 50, 0, 0);
        state.write(sysreg::CNTV_CTL, 1, 0, 0);
        state.reinit(true);
        assert_eq!(state.outputs()[0], Output::From(1050, 1050));
        assert_eq!(state.vtimer.cval(), Between(50, 50));
        state.reinit(false);
        assert_eq!(state.outputs()[0], Output::Low);
        assert!(state.vtimer.cval().contains(0) && state.vtimer.cval().contains(50), "kernels differ");
    }
}
