//! What the guest has to note for the verdict: results of steps, and when they began and ended.

use vtick_abi::litmus::{Op, base, code};

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

/// All notes, by vCPU and step, each with the guest's general register that holds it: its place. In RAM they would need an
/// exit each, since the guest's MMU is off and the host's caches are not.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<(usize, u32, Note, usize)>);

/// Registers that only notes use; those behind hold the arguments of a call.
const FREE: [usize; 13] = [4, 5, 6, 7, 8, 15, 16, 17, 29, 0, 1, 2, 3];

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
        let calls = ops.iter().any(|op| op.code == code::HVC);
        let uses = |register: u16| {
            let compares = |op: &Op| op.code == code::UNLESS && op.what == register;
            let mut ops = ops.iter().filter(|op| op.code != code::END);
            ops.any(|op| op.reg == register || op.base == base::REGISTER + register || compares(op))
        };
        let free = FREE.into_iter().filter(|&register| register > 3 || !calls);
        let free: Vec<usize> = free.chain((0..8).filter(|&it| !uses(it)).map(|it| 19 + usize::from(it))).collect();
        let mut notes = Notes::default();
        for (vcpu, op, note) in wanted {
            let Some(&register) = free.get(notes.of_vcpu(vcpu)) else {
                return Err(format!("its verdict needs more than {} results of a vCPU, a register each", free.len()));
            };
            notes.0.push((vcpu, op, note, register));
        }
        Ok(notes)
    }

    /// How many a vCPU has.
    fn of_vcpu(&self, vcpu: usize) -> usize {
        self.0.iter().filter(|note| note.0 == vcpu).count()
    }

    /// The register of a note; `None`: nobody needs it.
    pub(super) fn place(&self, op: u32, note: Note) -> Option<usize> {
        let same = |it: &&(usize, u32, Note, usize)| (it.1, it.2) == (op, note);
        self.0.iter().find(same).map(|it| it.3)
    }
}
