//! What a transcript says of the host it was written on: whether its threads were kept from their work, and whether its
//! timers are as late as its counter.

use std::collections::HashMap;

use vtick_abi::litmus::{code, kind, sysreg};

use super::{Disturbance, Event, GuestRecord, Transcript};
use crate::program::Program;

/// CTL.{ENABLE, ISTATUS} (Arm ARM DDI 0487, D24: CNTV_CTL_EL0).
const ENABLE: u64 = 1 << 0;
const ISTATUS: u64 = 1 << 2;

impl Transcript {
    /// Whether nothing kept the threads of this program from their work for long: nobody disturbed them by intention, none
    /// waited for a CPU, what was to be done later was done in time, and no operation of the guest took longer than it
    /// takes.
    pub(crate) fn is_calm(&self, program: &Program) -> bool {
        let tolerable = program.us(25);
        // Waking up takes that, too, each time.
        let waits = program.us(100);
        let late = |event: &Event| match event {
            Event::Action { at, due: Some(due), .. } => at.saturating_sub(*due) > tolerable,
            _ => false,
        };
        let neighbour = self.neighbour.as_deref().zip(program.neighbour());
        // What a busy CPU does to a thread shows in how long that waited.
        self.waited <= waits
            && !self.was_interfered_with()
            && !self.events.iter().any(late)
            && self.longest_delay() <= tolerable
            && neighbour.is_none_or(|(transcript, program)| transcript.is_calm(program))
    }

    /// Whether a vCPU's thread was sent a signal by what disturbs the program: it ends KVM_RUN, and the guest's WFI.
    pub(crate) fn was_interfered_with(&self) -> bool {
        let signal = |event: &Event| matches!(event, Event::Disturbed { what: Disturbance::Signal { .. }, .. });
        self.events.iter().any(signal)
    }

    /// The longest that an operation of the guest took beyond what it has to, or that passed between two.
    fn longest_delay(&self) -> u64 {
        let mut last: HashMap<usize, u64> = HashMap::new();
        let mut longest = 0;
        for g in self.records() {
            let since = last.insert(g.vcpu, g.after);
            longest = longest.max(self.delay_within(g)).max(since.map_or(0, |since| g.before.saturating_sub(since)));
        }
        longest
    }

    /// What a record's operation took beyond what it has to; 0 where that is not known.
    fn delay_within(&self, g: &GuestRecord) -> u64 {
        match self.encoded.ops.get(g.op as usize).map(|op| op.code) {
            _ if g.kind != kind::OP => 0,
            Some(code::SPIN) => g.after.saturating_sub(g.before.max(self.host_time(g.value))),
            Some(
                code::TAKE
                | code::AWAIT
                | code::DOZE
                | code::WFI
                | code::WFE
                | code::HVC
                | code::ACTION
                | code::BARRIER,
            )
            | None => 0,
            Some(_) => g.after.saturating_sub(g.before),
        }
    }

    /// For how many ticks after its deadline a timer's ISTATUS was seen clear, at most; `None`: never.
    pub fn timer_lag(&self) -> Option<u64> {
        let mut deadlines: HashMap<(usize, u16), u64> = HashMap::new();
        let mut most = None;
        for g in self.records().filter(|g| g.kind == kind::OP) {
            let Some(op) = self.encoded.ops.get(g.op as usize) else { continue };
            let (timer, offset) = match op.what {
                sysreg::CNTV_CTL | sysreg::CNTV_CVAL | sysreg::CNTV_TVAL => (sysreg::CNTV_CTL, self.offset),
                // The guest's physical counter is the host's.
                _ => (sysreg::CNTP_CTL, 0),
            };
            match (op.code, op.what) {
                (code::WRITE, sysreg::CNTV_CVAL | sysreg::CNTP_CVAL) => {
                    deadlines.insert((g.vcpu, timer), g.value);
                }
                // Whatever it was before: from now on it is not known.
                (code::WRITE, sysreg::CNTV_TVAL | sysreg::CNTP_TVAL) | (code::ACTION, _) => {
                    deadlines.remove(&(g.vcpu, timer));
                }
                (code::READ, sysreg::CNTV_CTL | sysreg::CNTP_CTL) if g.value & (ENABLE | ISTATUS) == ENABLE => {
                    let since = deadlines.get(&(g.vcpu, timer)).map(|deadline| deadline.wrapping_add(offset));
                    let lag = since.and_then(|deadline| g.before.checked_sub(deadline)).filter(|lag| *lag > 0);
                    most = most.max(lag);
                }
                _ => {}
            }
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ending, Step, Value};

    /// A program that arms its vtimer for tick 100, spins to 1000 and reads CTL; and its transcript, where the last two
    /// operations end when `ends` says, and CTL reads `ctl`. The host's counter is 50 ahead of the guest's.
    fn transcript(ends: [u64; 2], ctl: u64) -> (Program, Transcript) {
        let mut p = Program::new(1_000_000_000);
        let armed = p.write(sysreg::CNTV_CVAL, 100);
        let spun = p.spin_until(Value::Is(1000));
        let read = p.read(sysreg::CNTV_CTL);
        let starts = p.block_starts();
        let record = |step: Step, before, after, value| {
            let op = step.op(&starts);
            Event::Guest(GuestRecord { vcpu: 0, op, kind: kind::OP, before, after, value })
        };
        let events =
            vec![record(armed, 60, 62, 100), record(spun, 62, ends[0], 1000), record(read, ends[0], ends[1], ctl)];
        let transcript = Transcript::new(&p, events, vec![Ending::Done], 50);
        (p, transcript)
    }

    #[test]
    fn an_operation_that_takes_longer_than_it_has_to_was_disturbed_and_a_spin_takes_what_it_is_told_to() {
        let calm = |ends| {
            let (program, transcript) = transcript(ends, 5);
            transcript.is_calm(&program)
        };
        assert!(calm([1051, 1052]));
        assert!(!calm([1050 + 26_000, 1051 + 26_000]), "the spin ended late");
        assert!(!calm([1051, 1051 + 26_000]), "the read took long");
    }

    #[test]
    fn a_thread_that_waited_for_a_cpu_or_was_sent_a_signal_was_disturbed() {
        let (program, mut transcript) = transcript([1051, 1052], 5);
        let busy = Disturbance::Busy { cpu: 0, ticks: 9_000_000, real_time: true };
        transcript.events.push(Event::Disturbed { at: 1060, what: busy });
        assert!(transcript.is_calm(&program), "on a CPU that nobody wanted");
        transcript.waited = 200_000;
        assert!(!transcript.is_calm(&program));
        transcript.waited = 0;
        transcript.events.push(Event::Disturbed { at: 1061, what: Disturbance::Signal { vcpu: 0 } });
        assert!(!transcript.is_calm(&program));
    }

    #[test]
    fn istatus_behind_the_counter_is_a_timer_that_lags() {
        assert_eq!(transcript([1051, 1052], 5).1.timer_lag(), None);
        assert_eq!(transcript([1051, 1052], 1).1.timer_lag(), Some(1051 - 150));
        assert_eq!(transcript([1051, 1052], 0).1.timer_lag(), None, "it is off");
        assert_eq!(transcript([140, 145], 1).1.timer_lag(), None, "its deadline is ahead");
    }
}
