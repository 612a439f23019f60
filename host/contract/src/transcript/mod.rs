//! What happened while a program ran: every return of KVM_RUN, every operation of the guest, every line that was
//! driven, on one clock.
//!
//! The clock is the host's CNTVCT_EL0 in ticks. The guest's counter is the same less the VM's offset, which the guest
//! reports when it starts.

mod calm;
mod events;
mod fold;
mod refusal;
mod storm;
mod timeline;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use vtick_abi::litmus::{Op, code, kind, sysreg};
use vtick_core::stopped::{Ptimer, Stopped};

use super::program::{ActionRef, Encoded, Program, Step};
use super::verdict::{Unheld, disturbed, violated};

pub use events::{Disturbance, Ending, Event, GuestRecord, Return, Storm};
pub use fold::shorten;
pub use refusal::Refusal;

/// Everything that happened while a program ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Transcript {
    /// Events in the order of the host's counter.
    pub events: Vec<Event>,
    /// How each vCPU ended.
    pub endings: Vec<Ending>,
    /// Host counter minus guest counter.
    pub offset: u64,
    /// Warnings of the host kernel about KVM while the program ran; `None`: its log may not be read.
    pub warnings: Option<Vec<String>>,
    /// What happened in the VM beside this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<Box<Transcript>>,
    /// Why the program could not be run on this host, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// How long threads of the program were ready to run and did not, in ticks.
    #[serde(skip)]
    pub waited: u64,
    /// The program as the guest read it.
    #[serde(skip)]
    encoded: Encoded,
}

impl Transcript {
    /// Puts the events in order.
    pub fn new(program: &Program, events: Vec<Event>, endings: Vec<Ending>, offset: u64) -> Transcript {
        Transcript::of(program, program.encoded(), events, endings, offset)
    }

    /// The same of a program that is `encoded` already.
    pub fn of(
        program: &Program,
        encoded: Encoded,
        mut events: Vec<Event>,
        endings: Vec<Ending>,
        offset: u64,
    ) -> Transcript {
        events.sort_by_key(Event::at);
        let mut transcript = Transcript {
            events,
            endings,
            offset,
            warnings: None,
            neighbour: None,
            unavailable: None,
            waited: 0,
            encoded,
        };
        transcript.complete_ptimers(program);
        transcript
    }

    /// Not every kernel lets userspace read a stopped vCPU's physical timer: then it is what the guest made of it.
    fn complete_ptimers(&mut self, program: &Program) {
        for vcpu in 0..self.endings.len() {
            if let Ending::Stopped(Stopped { ptimer: None, at, .. }) = self.endings[vcpu] {
                let written = self.ptimer_as_written(program, vcpu, at);
                if let Ending::Stopped(stopped) = &mut self.endings[vcpu] {
                    stopped.ptimer = written;
                }
            }
        }
    }

    /// The transcript of a program that this host cannot run, for this reason.
    pub fn unavailable(program: &Program, reason: String) -> Transcript {
        Transcript { unavailable: Some(reason), ..Transcript::new(program, Vec::new(), Vec::new(), 0) }
    }

    /// Whether a vCPU is still in KVM_RUN, and no signal brings it back.
    pub fn is_stuck(&self) -> bool {
        let stuck = self.endings.iter().any(|ending| matches!(ending, Ending::Stuck { .. }));
        stuck || self.neighbour.as_deref().is_some_and(Transcript::is_stuck)
    }

    /// The system calls that the kernel refused.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.events.iter().filter_map(|event| match event {
            Event::Refused(refusal) => Some(refusal),
            _ => None,
        })
    }

    /// Index of a step's operation in the encoded program.
    fn op(&self, step: Step) -> u32 {
        step.op(&self.encoded.starts)
    }

    /// The program, `program`, as the guest read it.
    pub(super) fn encoded(&self, program: &Program) -> Cow<'_, Encoded> {
        // A transcript that was read from a file does not have it.
        if self.encoded.ops.is_empty() { Cow::Owned(program.encoded()) } else { Cow::Borrowed(&self.encoded) }
    }

    /// All returns of KVM_RUN.
    pub fn returns(&self) -> impl DoubleEndedIterator<Item = &Return> {
        self.events.iter().filter_map(|event| match event {
            Event::Return(r) => Some(r),
            _ => None,
        })
    }

    /// All records of the guest.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &GuestRecord> {
        self.events.iter().filter_map(|event| match event {
            Event::Guest(g) => Some(g),
            _ => None,
        })
    }

    /// All records of one step that ran as an operation.
    pub fn all(&self, step: Step) -> impl Iterator<Item = &GuestRecord> {
        let op = self.op(step);
        self.records().filter(move |g| g.op == op && matches!(g.kind, 0 | 3))
    }

    /// The first record of a step. That it was never reached is a violation: each program can be run to its end on a
    /// kernel that keeps the contract.
    pub fn at(&self, step: Step) -> Result<&GuestRecord, Unheld> {
        match self.all(step).next() {
            Some(record) => Ok(record),
            None => violated(format!("the guest never got past operation {}", self.op(step))),
        }
    }

    /// Interrupts the vCPU took, IRQs and FIQs, in order.
    pub fn interrupts(&self, vcpu: usize) -> impl Iterator<Item = &GuestRecord> {
        self.records().filter(move |g| g.vcpu == vcpu && matches!(g.kind, 1 | 2))
    }

    /// The MMIO exit that a step caused.
    pub fn exit_of(&self, step: Step) -> Result<&Return, Unheld> {
        let record = self.at(step)?;
        let exit = self.returns().find(|r| {
            r.vcpu == record.vcpu
                && r.returned >= record.before
                && r.returned <= record.after
                && r.exit.address().is_some()
        });
        match exit {
            Some(exit) => Ok(exit),
            None => violated(format!("operation {} caused no MMIO exit", record.op)),
        }
    }

    /// Returns of one vCPU between two points of time, both included.
    pub fn returns_between(&self, vcpu: usize, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &Return> {
        self.returns().filter(move |r| r.vcpu == vcpu && r.returned >= from && r.returned <= to)
    }

    /// What an action returned: a value, or minus errno.
    pub fn result(&self, action: ActionRef) -> Result<i64, Unheld> {
        let found = self.events.iter().find_map(|event| match event {
            Event::Action { action: index, result, .. } if *index == action.0 => Some(*result),
            _ => None,
        });
        match found {
            Some(result) => Ok(result),
            // Every vCPU has come to its end by now, or else that is what is said.
            None => disturbed(format!("the program ended before the host came to action {}", action.0)),
        }
    }

    /// The transcript of the VM beside this one.
    pub fn neighbour(&self) -> Result<&Transcript, Unheld> {
        match &self.neighbour {
            Some(transcript) => Ok(transcript),
            None => violated("the VM beside this one left no transcript"),
        }
    }

    /// When an action was done.
    pub fn time_of(&self, action: ActionRef) -> Result<u64, Unheld> {
        let found = self.events.iter().find_map(|event| match event {
            Event::Action { at, action: index, .. } if *index == action.0 => Some(*at),
            _ => None,
        });
        match found {
            Some(at) => Ok(at),
            // Every vCPU has come to its end by now, or else that is what is said.
            None => disturbed(format!("the program ended before the host came to action {}", action.0)),
        }
    }

    /// A point of the guest's counter on the host's.
    pub fn host_time(&self, guest: u64) -> u64 {
        guest.wrapping_add(self.offset)
    }

    /// The deadline that a step of [`Program::arm_vtimer`] set, on the host's counter.
    pub fn deadline(&self, step: Step) -> Result<u64, Unheld> {
        Ok(self.host_time(self.at(step)?.value))
    }

    /// The physical timer of a vCPU at this time, from what the guest wrote to it; `None`: nothing.
    fn ptimer_as_written(&self, program: &Program, vcpu: usize, at: u64) -> Option<Ptimer> {
        let encoded = self.encoded(program);
        let ops = &encoded.ops;
        let last = |register| {
            let writes = |op: &Op| op.code == code::WRITE && op.what == register;
            let written =
                |g: &&GuestRecord| g.vcpu == vcpu && g.kind == kind::OP && ops.get(g.op as usize).is_some_and(writes);
            self.records().rfind(written).map(|g| g.value)
        };
        // The guest's physical counter is the host's.
        Some(Ptimer { ctl: last(sysreg::CNTP_CTL)?, cval: last(sysreg::CNTP_CVAL)?, count: at })
    }
}
