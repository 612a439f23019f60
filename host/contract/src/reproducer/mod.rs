//! A program as a C file that needs nothing but a compiler and a kernel: what is mailed when a check is violated.
//!
//! The guest's part is arm64 assembly made of the program's operations ([`guest`]), the host's part raw system calls
//! ([`host`]), the verdict what the program expects ([`judge`]). The guest runs with its MMU off and keeps the number of
//! the step that it is at in a register, which the host reads at each return of KVM_RUN: no transcript in RAM is needed.

mod guest;
mod host;
mod judge;
mod notes;
pub mod selftest;
mod template;
#[cfg(test)]
mod tests;

use vtick_abi::litmus::{Header, Op, code};

use super::Case;
use super::program::{Action, ActionRef, Expectation, Program, Step};
use notes::Notes;
use vtick_core::lines::Routing;

/// Two frequencies of the counter for which a program is written: what doubles from one to the other is a length of time.
const FAST: u64 = 1_000_000_000;
const SLOW: u64 = FAST / 2;

/// A program, and all that its parts need to be written.
struct Source<'a> {
    case: &'a Case,
    /// For a counter of [`FAST`].
    program: Program,
    header: Header,
    ops: Vec<Op>,
    /// The same for a counter of [`SLOW`].
    slower_ops: Vec<Op>,
    starts: Vec<u32>,
    notes: Notes,
}

/// A number of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    /// The number itself.
    Is(u64),
    /// So many microseconds of the counter.
    Micros(i64),
}

/// Writes the C program. The error says, in a line, what of the program cannot be said in one.
pub fn write(case: &Case) -> Result<String, String> {
    Ok(host::write(&Source::new(case)?))
}

/// The command that writes the C program of the check of this name; `None`: there is none, or it cannot be said in C.
pub fn offer(name: &str) -> Option<String> {
    let check = super::checks::all().find(|check| check.name == name)?;
    write(&Case::Check(check)).ok().map(|_| format!("cargo xtask export --c {name}"))
}

/// What a C file of a readable length cannot do, or cannot judge.
fn refuse(program: &Program) -> Result<(), String> {
    if program.setup.routing == Routing::Gic {
        return Err("its interrupts go through vtick's GICv2, which is no part of a file that is to be read".to_owned());
    }
    if program.neighbour().is_some() {
        return Err("a second VM runs beside it, with a program of its own".to_owned());
    }
    for action in program.actions() {
        match action {
            Action::MoveToFreshVm => return Err("it goes on in a fresh VM, with all of its machine saved".to_owned()),
            Action::Spi { .. } | Action::SpiAfter { .. } => {
                return Err("a device drives vtick's GICv2, which is no part of a file that is to be read".to_owned());
            }
            _ => {}
        }
    }
    if program.expectations().is_empty() {
        return Err("its judge sees more than the lines of a program's text can say".to_owned());
    }
    Ok(())
}

impl<'a> Source<'a> {
    fn new(case: &'a Case) -> Result<Source<'a>, String> {
        let (program, slower) = (case.build_paced(FAST, 1).0, case.build_paced(SLOW, 1).0);
        refuse(&program)?;
        let ((header, ops), (_, slower_ops)) = (program.encode(), slower.encode());
        let starts = program.block_starts();
        let notes = Notes::of(&program, &ops)?;
        Ok(Source { case, program, header, ops, slower_ops, starts, notes })
    }
}

impl Source<'_> {
    /// A number of the operation with this index: its value, of which another frequency makes something else where it is
    /// a length of time.
    fn value(&self, index: usize) -> Number {
        number(self.ops[index].value, self.slower_ops[index].value)
    }

    /// Microseconds that an action waits.
    fn wait(&self, action: ActionRef) -> i64 {
        let ticks = |program: &Program| match program.actions()[action.0] {
            Action::LineAfter { ticks, .. } | Action::SignalAfter { ticks, .. } | Action::Stay { ticks } => ticks,
            Action::ImmediateExit { after } => after,
            _ => 0,
        };
        (ticks(&self.program) / 1000) as i64
    }

    /// The number of a step, from 1: zero is before the first.
    fn number(&self, step: Step) -> u32 {
        step.op(&self.starts) + 1
    }

    /// The vCPU that a step belongs to.
    fn vcpu(&self, step: Step) -> usize {
        self.program.vcpu_of(step).expect("a step belongs to a vCPU")
    }

    /// Whether one vCPU is all there is: then no function has to be told which vCPU.
    fn is_alone(&self) -> bool {
        let (setup, actions) = (&self.program.setup, self.program.actions());
        let meet = |action: &Action| matches!(action, Action::Meet);
        setup.vcpus == 1 && setup.creation.is_empty() && setup.runs_on.is_empty() && !actions.iter().any(meet)
    }

    /// A vCPU as the first argument of a function.
    fn named(&self, vcpu: usize) -> String {
        if self.is_alone() { String::new() } else { format!("&vcpus[{vcpu}], ") }
    }

    /// Whether another thread does an action, after a while.
    fn is_late(action: &Action) -> bool {
        matches!(action, Action::LineAfter { .. } | Action::SignalAfter { .. })
    }

    /// Whether each step whose exit the verdict looks at runs once: it stands in no loop and in no handler.
    fn each_exit_is_one(&self) -> bool {
        let is_one = |op: u32| {
            let back = |(index, it): (u32, &Op)| {
                matches!(it.code, code::LOOP | code::UNLESS) && it.extra <= u64::from(op) && op <= index
            };
            let looped = (0..).zip(&self.ops).any(back);
            let block =
                self.ops[..op as usize].iter().rposition(|it| it.code == code::END).map_or(0, |it| it as u32 + 1);
            !looped && self.header.entry[..self.program.setup.vcpus].contains(&block)
        };
        self.program.expectations().iter().all(|expectation| match *expectation {
            Expectation::LevelsAt(step, _) => is_one(step.op(&self.starts)),
            _ => true,
        })
    }

    /// Whether a vCPU has a handler.
    fn has_handlers(&self) -> bool {
        let none = vtick_abi::litmus::NO_HANDLER;
        self.header.irq.iter().chain(&self.header.fiq).any(|&entry| entry != none)
    }
}

/// What a number is, which is `fast` for a counter twice as fast as one for which it is `slow`.
fn number(fast: u64, slow: u64) -> Number {
    let ticks = fast as i64;
    if ticks != 0 && ticks == (slow as i64).wrapping_mul(2) && ticks % 1000 == 0 {
        Number::Micros(ticks / 1000)
    } else {
        Number::Is(fast)
    }
}
