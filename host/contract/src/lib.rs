//! The contract of the userspace-irqchip mode, clause by clause, and the checks that exercise it.
//!
//! A check is a short program for the guest and what its transcript must show, written together ([`checks`]). Nothing
//! here touches KVM: programs are built, rendered and judged on any machine; the `vtick` crate runs them.

mod attempts;
mod case;
mod cause;
mod check;
pub mod checks;
mod clause;
mod deviation;
mod diagnosis;
mod expect;
pub mod fault;
mod meaning;
pub mod model;
mod pace;
mod program;
mod record;
pub mod reproducer;
mod transcript;
mod verdict;

pub use attempts::run;
use case::as_expected;
pub use case::{Case, File};
pub use check::{Check, FailsOn, Judge, SecondOpinion, judge};
pub use clause::{Clause, Clauses};
pub use deviation::{DEVIATIONS, Deviation, expected};
pub use diagnosis::diagnose;
pub use fault::Fault;
pub use meaning::{Meaning, Overall, Tally};
pub use pace::{Costs, Terms};
pub use program::{
    Action, ActionRef, Deadline, Encoded, Expectation, Litmus, Moving, Point, Program, Setup, Span, Step, SyntaxError,
    TimerRegister, Value, parse,
};
pub use record::{CheckRecord, past, without_the_mode};
pub use transcript::{Disturbance, Ending, Event, GuestRecord, Refusal, Return, Storm, Transcript, shorten};
pub use verdict::{Judged, Judgement, Unheld, Verdict, disturbed, not_exercised, violated};
