//! What the guest has to note for the verdict: results of steps, and when they began and ended.

use vtick_abi::litmus::{Op, code};

use super::super::program::{Expectation, Program, Step};

/// Something about a step that the guest notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Note {
    /// The virtual counter before it.
    Before,
    /// What it gave.
    Value,
    /// The virtual counter after it.
    After,
    /// The physical counter after it.
    AfterPhysical,
}

/// All notes, by vCPU and step: the index of one is its place.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<(usize, u32, Note)>);

impl Notes {
    /// What the expectations of a program need.
    pub(super) fn of(program: &Program, ops: &[Op]) -> Result<Notes, String> {
        let starts = program.block_starts();
        let mut wanted = Vec::new();
        let mut want = |step: Step, note: Note| {
            wanted.push((program.vcpu_of(step).expect("a step belongs to a vCPU"), step.op(&starts), note));
        };
        for expectation in program.expectations() {
            match *expectation {
                Expectation::Gives { step, .. } | Expectation::Undefined(step) => want(step, Note::Value),
                Expectation::GivesAtLeast(step, _) | Expectation::ResultIsOf(_, step) => want(step, Note::Value),
                Expectation::GivesBetween { step, least, most } => {
                    [step, least.0, most.0].into_iter().for_each(|step| want(step, Note::Value));
                }
                Expectation::EndsAt(step, deadline) => {
                    want(step, if deadline.physical { Note::AfterPhysical } else { Note::After });
                    want(deadline.step, Note::Value);
                }
                Expectation::EndsWithin(step, _) => {
                    want(step, Note::Before);
                    want(step, Note::After);
                }
                Expectation::InTime(_, deadline) => want(deadline.step, Note::Value),
                Expectation::DoneAfter(_, step) => want(step, Note::After),
                _ => {}
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        if !wanted.is_empty() && (program.setup.may_not_end || program.setup.powers_off) {
            return Err("its guest does not come to the end at which it would tell what its steps gave".to_owned());
        }
        let in_a_loop = |op: u32| {
            let loops = (0..).zip(ops).filter(|(_, op)| op.code == code::LOOP);
            loops.into_iter().any(|(end, looped): (u32, _)| looped.extra <= u64::from(op) && op <= end)
        };
        let looped = program.expectations().iter().any(|expectation| match *expectation {
            Expectation::SomeReturn(_, span) | Expectation::FirstReturn(_, span) | Expectation::Returns(_, span) => {
                in_a_loop(span.from.step.op(&starts)) || in_a_loop(span.to.step.op(&starts))
            }
            Expectation::EveryReturn(_, Some(span)) => in_a_loop(span.to.step.op(&starts)),
            Expectation::EndsAt(step, _) | Expectation::EndsWithin(step, _) => in_a_loop(step.op(&starts)),
            _ => false,
        });
        if looped {
            return Err("it looks for returns from or to the first time round of a loop".to_owned());
        }
        Ok(Notes(wanted))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place of a note; `None`: nobody needs it.
    pub(super) fn place(&self, op: u32, note: Note) -> Option<usize> {
        self.0.iter().position(|&(_, of, what)| (of, what) == (op, note))
    }

    /// The places of a vCPU's notes.
    pub(super) fn of_vcpu(&self, vcpu: usize) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(move |(_, note)| note.0 == vcpu).map(|(place, _)| place)
    }
}
