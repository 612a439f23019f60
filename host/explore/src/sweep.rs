//! One program, its event moved tick by tick over the whole path of KVM_RUN.

use std::collections::BTreeSet;

use vtick_abi::litmus::{base, kind, sysreg};

use vtick_contract::{Action, Event, Moving, Program, Transcript};
use vtick_core::lines::{Line, Routing};

/// A sweep that is there without a file.
pub struct Sweep {
    /// Its name.
    pub name: &'static str,
    /// What moves over what.
    pub what: &'static str,
    /// From when to when the event is moved, in microseconds of the counter after the operation that asks for it. Another
    /// thread's does not come before that has been woken.
    span: (u64, u64),
    program: fn(&mut Program),
}

const DEADLINES: (u64, u64) = (0, 24);
const ACTORS: (u64, u64) = (10, 80);

/// The sweeps that are there without a file. Their event is moved by [`Program::with_event_after`].
pub const SWEEPS: &[Sweep] = &[
    Sweep {
        name: "level-spinning",
        what: "the virtual timer's deadline, over two MMIO exits and a spin",
        span: DEADLINES,
        program: |p| {
            p.arm_vtimer(0);
            p.mmio_read();
            p.mmio_write();
            p.spin(p.us(40));
        },
    },
    Sweep {
        name: "level-in-wfi",
        what: "the virtual timer's deadline, over an MMIO exit and a WFI",
        span: DEADLINES,
        program: |p| {
            p.arm_vtimer(0);
            p.mmio_read();
            p.wfi();
            p.mmio_read();
        },
    },
    Sweep {
        name: "line-spinning",
        what: "another thread's KVM_IRQ_LINE, over two MMIO exits and a spin",
        span: ACTORS,
        program: |p| {
            p.ask(Action::LineAfter { ticks: 0, vcpu: 0, line: Line::Irq, level: true });
            p.mmio_read();
            p.mmio_write();
            p.spin(p.us(80));
            p.read(sysreg::ISR);
        },
    },
    Sweep {
        name: "line-in-wfi",
        what: "another thread's KVM_IRQ_LINE, over an MMIO exit and a WFI",
        span: ACTORS,
        program: |p| {
            p.ask(Action::LineAfter { ticks: 0, vcpu: 0, line: Line::Irq, level: true });
            p.mmio_read();
            p.wfi();
            p.read(sysreg::ISR);
        },
    },
    Sweep {
        name: "signal-spinning",
        what: "a signal to the vCPU's thread, over two MMIO exits and a spin",
        span: ACTORS,
        program: |p| {
            p.ask(Action::SignalAfter { ticks: 0, vcpu: 0 });
            p.mmio_read();
            p.mmio_write();
            p.spin(p.us(80));
        },
    },
    Sweep {
        name: "signal-in-wfi",
        what: "a signal to the vCPU's thread, over an MMIO exit and a WFI",
        span: ACTORS,
        program: |p| {
            // A signal that comes before the WFI does not end it.
            p.arm_vtimer(p.us(400));
            p.ask(Action::SignalAfter { ticks: 0, vcpu: 0 });
            p.mmio_read();
            p.wfi();
            p.mmio_read();
        },
    },
];

impl Sweep {
    /// The program, for a host whose counter runs at `cntfrq` Hz.
    pub fn program(&self, cntfrq: u64) -> Program {
        let mut program = Program::new(cntfrq);
        program.route(Routing::Wire);
        (self.program)(&mut program);
        program
    }

    /// From which tick to which its event is moved.
    pub fn ticks(&self, cntfrq: u64) -> (u64, u64) {
        let ticks = |us: u64| us * cntfrq / 1_000_000;
        (ticks(self.span.0), ticks(self.span.1))
    }
}

/// Where in the run of vCPU 0 an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// In its so manieth KVM_RUN, so many ticks after the call.
    Inside(usize, u64),
    /// In userspace before its so manieth KVM_RUN, so many ticks after the return of the one before.
    Outside(usize, u64),
}

/// The moment at which the event of a transcript came. `None`: it did not come, or came before the program began.
pub fn moment(program: &Program, transcript: &Transcript, moving: Moving) -> Option<Moment> {
    let at = when(program, transcript, moving)?;
    let returns: Vec<_> = transcript.returns().filter(|r| r.vcpu == 0).collect();
    let number = returns.partition_point(|r| r.returned < at);
    match returns.get(number) {
        Some(r) if r.entered <= at => Some(Moment::Inside(number, at - r.entered)),
        _ => Some(Moment::Outside(number, at - returns.get(number.checked_sub(1)?)?.returned)),
    }
}

/// The host's counter at the event.
fn when(program: &Program, transcript: &Transcript, moving: Moving) -> Option<u64> {
    match moving {
        Moving::Actor(wanted) => transcript.events.iter().find_map(|event| match event {
            Event::Action { at, action, .. } if *action == wanted => Some(*at),
            _ => None,
        }),
        Moving::Deadline(op) => {
            let record = transcript.records().find(|record| record.op == op && record.kind == kind::OP)?;
            let written = program.encode().1[op as usize];
            Some(match (written.what, written.base) {
                // Relative to a counter that was read between these two.
                (sysreg::CNTV_TVAL | sysreg::CNTP_TVAL, _) => record.before.wrapping_add(record.value),
                (_, base::NOW_PHYSICAL) => record.value,
                _ => transcript.host_time(record.value),
            })
        }
    }
}

/// The moments that a sweep has covered.
#[derive(Clone, Debug, Default)]
pub struct Covered(BTreeSet<Moment>);

impl Covered {
    /// Takes in a moment.
    pub fn add(&mut self, moment: Moment) {
        self.0.insert(moment);
    }

    /// Distinct moments, and of them those within KVM_RUN and those in userspace.
    pub fn count(&self) -> (usize, usize, usize) {
        let inside = self.0.iter().filter(|moment| matches!(moment, Moment::Inside(..))).count();
        (self.0.len(), inside, self.0.len() - inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vtick_contract::{Ending, GuestRecord, Return};
    use vtick_core::exit::Exit;
    use vtick_core::lines::Levels;

    fn returned(entered: u64, returned: u64) -> Event {
        let exit = Exit::Interrupted;
        Event::Return(Return { vcpu: 0, entered, returned, exit, levels: Levels::NONE, pc: None, reason: None })
    }

    /// A transcript of one deadline at guest time `deadline`, whose guest is 1000 ticks behind the host.
    fn with_deadline_at(program: &Program, deadline: u64) -> Transcript {
        let armed = GuestRecord { vcpu: 0, op: 0, kind: kind::OP, before: 1100, after: 1110, value: deadline };
        let events = vec![returned(1000, 1200), returned(1300, 1500), Event::Guest(armed)];
        Transcript::new(program, events, vec![Ending::Done], 1000)
    }

    #[test]
    fn a_deadline_lies_within_a_kvm_run_or_between_two() {
        let mut program = Program::new(1_000_000);
        program.arm_vtimer(5);
        let moving = program.event().unwrap();
        let at = |deadline| moment(&program, &with_deadline_at(&program, deadline), moving);
        assert_eq!(at(150), Some(Moment::Inside(0, 150)));
        assert_eq!(at(230), Some(Moment::Outside(1, 30)));
        assert_eq!(at(300), Some(Moment::Inside(1, 0)));
        assert_eq!(at(700), Some(Moment::Outside(2, 200)));
        let mut covered = Covered::default();
        [150, 150, 151, 230].into_iter().filter_map(at).for_each(|moment| covered.add(moment));
        assert_eq!(covered.count(), (3, 2, 1));
    }

    #[test]
    fn an_event_that_never_came_has_no_moment() {
        let mut program = Program::new(1_000_000);
        program.ask(Action::SignalAfter { ticks: 5, vcpu: 0 });
        let transcript = Transcript::new(&program, vec![returned(10, 20)], vec![Ending::Done], 0);
        assert_eq!(moment(&program, &transcript, program.event().unwrap()), None);
    }

    #[test]
    fn every_sweep_has_an_event_to_move() {
        assert!(SWEEPS.iter().all(|sweep| sweep.program(1_000_000_000).event().is_some()));
    }
}
