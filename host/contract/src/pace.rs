//! How fast a host is, and what follows from that for programs: their spans, and what a violation is worth.

use serde::{Deserialize, Serialize};
use vtick_abi::litmus::sysreg::{CNTV_CTL, CNTV_CVAL};

use super::program::{Action, Program, Value};
use super::transcript::Transcript;
use vtick_core::lines::Line;

/// What a host takes, in nanoseconds; measured when nothing else is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Costs {
    /// From one return of KVM_RUN for an MMIO access to the next.
    pub exit: u64,
    /// An action of the guest's that is a KVM_IRQ_LINE.
    pub line: u64,
    /// How late a thread that sleeps for a millisecond wakes.
    pub wake: u64,
    /// How long after a deadline the timer's ISTATUS was still clear: 0 on silicon, where a read compares.
    pub lag: u64,
}

/// What the spans of the checks are made for, in nanoseconds: a host of which nothing takes longer runs them as they are.
const MADE_FOR: Costs = Costs { exit: 10_000, line: 15_000, wake: 150_000, lag: 30_000 };
/// The most by which spans are stretched from the start: beyond it a host is so slow that only patience helps.
const MOST: u64 = 16;
/// MMIO accesses, and KVM_IRQ_LINE calls, that are looked at.
const EXITS: u64 = 41;
/// Reads of CTL after a deadline.
const READS: u64 = 400;

impl Costs {
    /// By how much spans are multiplied on such a host.
    pub fn scale(&self) -> u64 {
        let times = |cost: u64, made_for: u64| cost.div_ceil(made_for);
        let all = [
            times(self.exit, MADE_FOR.exit),
            times(self.line, MADE_FOR.line),
            times(self.wake, MADE_FOR.wake),
            times(self.lag, MADE_FOR.lag),
        ];
        all.into_iter().max().unwrap_or(1).clamp(1, MOST)
    }

    /// Whether timers of this host set ISTATUS so late that a guest can see it.
    pub fn timers_lag(&self) -> bool {
        self.lag > MADE_FOR.exit / 10
    }

    /// Measures them with a program that `execute` runs; `None`: it could not be run to its end.
    pub fn measure<E>(cntfrq: u64, mut execute: impl FnMut(&Program) -> Result<Transcript, E>) -> Option<Costs> {
        let mut p = Program::new(cntfrq);
        p.setup.limit = 4 * cntfrq;
        let rounds = p.note(EXITS);
        p.into_register(rounds, 0);
        let read = p.mmio_read();
        p.loop_to(0, read);
        let rounds = p.note(EXITS);
        p.into_register(rounds, 0);
        let (line, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false });
        p.loop_to(0, line);
        let naps: Vec<_> = (0..5).map(|_| p.ask(Action::Stay { ticks: p.us(1000) })).collect();
        // Masked: it changes no level, and ISTATUS is set all the same.
        let armed = p.write(CNTV_CVAL, Value::Now(p.us(300)));
        p.write(CNTV_CTL, 3);
        p.spin(p.us(300));
        let rounds = p.note(READS);
        p.into_register(rounds, 0);
        let status = p.read(CNTV_CTL);
        p.loop_to(0, status);
        let transcript = execute(&p).ok()?;
        let t = &transcript;
        let ns = |ticks: u64| (u128::from(ticks) * 1_000_000_000 / u128::from(cntfrq)) as u64;
        let exits: Vec<u64> = t.all(read).map(|g| g.after - g.before).collect();
        let lines: Vec<u64> = t.all(line).map(|g| g.after - g.before).collect();
        let wakes = naps.iter().map(|(asked, stayed)| {
            let asked = t.exit_of(*asked).ok()?.returned;
            Some(t.time_of(*stayed).ok()?.saturating_sub(asked + p.us(1000)))
        });
        let wakes = wakes.collect::<Option<Vec<u64>>>()?;
        let deadline = t.deadline(armed).ok()?;
        t.result(raised).ok()?;
        let late =
            t.all(status).take_while(|g| g.value & 4 == 0).last().map_or(0, |g| g.after.saturating_sub(deadline));
        Some(Costs { exit: ns(median(exits)?), line: ns(median(lines)?), wake: ns(median(wakes)?), lag: ns(late) })
    }
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// What a host means for programs and verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// By how much spans are multiplied.
    pub scale: u64,
    /// Whether two runs of one program may differ: then one violation proves nothing that may have come of something else.
    pub varies: bool,
    /// Whether time passes as it does for a person: then a timer may lag behind its counter, where the CPU is emulated.
    pub time_is_real: bool,
    /// What disturbs the threads of programs, if something is to.
    pub disturb: Option<u64>,
    /// Whether the model judges, too.
    pub ask_the_model: bool,
}

impl Terms {
    /// Of a host on which two runs are the same.
    pub const EXACT: Terms = Terms { scale: 1, varies: false, time_is_real: false, disturb: None, ask_the_model: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_stretched_by_what_is_slowest_and_not_on_a_host_they_are_made_for() {
        assert_eq!(Costs { exit: 6_068, line: 7_000, wake: 60_000, lag: 0 }.scale(), 1);
        assert_eq!(Costs { exit: 100_000, line: 7_000, wake: 60_000, lag: 0 }.scale(), 10);
        assert_eq!(Costs { exit: 1, line: 1, wake: 1, lag: 200_000 }.scale(), 7);
        assert_eq!(Costs { wake: u64::MAX, ..Costs::default() }.scale(), MOST);
        assert_eq!(Costs::default().scale(), 1);
    }
}
