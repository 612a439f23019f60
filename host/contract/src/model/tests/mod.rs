//! Transcripts written by hand: one that a sound kernel leaves, to which the model has nothing to object; and then, for
//! each rule, one like it that breaks the rule.

mod parts;
mod sound;
mod unsound;

use vtick_abi::layout::MAILBOX_BASE;
use vtick_abi::litmus::kind;
use vtick_abi::mailbox;

use super::{Tolerance, judge};
use crate::{ActionRef, Ending, Event, GuestRecord, Program, Return, Step, Transcript};
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line};

const NONE: Levels = Levels::NONE;
const VTIMER: Levels = Levels::VTIMER;
const READ: Exit = Exit::MmioRead { address: MAILBOX_BASE + mailbox::SCRATCH, len: 8 };
const DONE: Exit = Exit::MmioWrite { address: MAILBOX_BASE + mailbox::DONE, len: 8, value: 0 };
const EINTR: Exit = Exit::Interrupted;

const TIGHT: Tolerance =
    Tolerance { notice: 100, kick: 100, take: 10, wake: 1000, restore: 10, sleeps_are_exact: true };

/// The exit by which a guest asks for an action.
fn asks(action: ActionRef) -> Exit {
    Exit::MmioWrite { address: MAILBOX_BASE + mailbox::ACTION, len: 8, value: action.0 as u64 }
}

/// A transcript as it is written down. Guest and host have one counter.
struct Tape {
    program: Program,
    events: Vec<Event>,
    endings: Vec<Ending>,
    warnings: Option<Vec<String>>,
}

impl Tape {
    fn new(program: Program) -> Tape {
        let endings = vec![Ending::Done; program.setup.vcpus];
        Tape { program, events: Vec::new(), endings, warnings: None }
    }

    /// The guest's operation ran between these two times.
    fn op(mut self, step: Step, before: u64, after: u64, value: u64) -> Tape {
        let op = step.op(&self.program.block_starts());
        self.events.push(Event::Guest(GuestRecord { vcpu: 0, op, kind: kind::OP, before, after, value }));
        self
    }

    /// Its handler, which starts with `first`, took an interrupt.
    fn taken(mut self, kind: u32, first: Step, at: u64) -> Tape {
        let op = first.op(&self.program.block_starts());
        self.events.push(Event::Guest(GuestRecord { vcpu: 0, op, kind, before: at, after: at, value: 0 }));
        self
    }

    /// KVM_RUN was called, and returned.
    fn run(mut self, entered: u64, returned: u64, exit: Exit, levels: Levels) -> Tape {
        self.events.push(Event::Return(Return { vcpu: 0, entered, returned, exit, levels, pc: None, reason: None }));
        self
    }

    /// What exit_reason said with it.
    fn reason(mut self, reason: u32) -> Tape {
        if let Some(Event::Return(exit)) = self.events.last_mut() {
            exit.reason = Some(reason);
        }
        self
    }

    fn acted(mut self, action: ActionRef, at: u64, result: i64) -> Tape {
        self.events.push(Event::Action { at, action: action.0, due: None, result });
        self
    }

    fn line(mut self, at: u64, level: bool) -> Tape {
        self.events.push(Event::Line { at, vcpu: 0, line: Line::Irq, level });
        self
    }

    fn ends(mut self, ending: Ending) -> Tape {
        self.endings = vec![ending];
        self
    }

    /// What the model has against it, by the names of its rules.
    fn objections(self) -> Vec<&'static str> {
        let mut transcript = Transcript::new(&self.program, self.events, self.endings, 0);
        transcript.warnings = self.warnings;
        judge(&self.program, &transcript, &TIGHT).into_iter().map(|objection| objection.rule).collect()
    }
}
