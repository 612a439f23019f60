//! The contract of the userspace-irqchip mode, clause by clause, and the checks that exercise it.
//!
//! A check is a short program for the guest and what its transcript must show, written together ([`checks`]). Nothing
//! here touches KVM: programs are built, rendered and judged on any machine; `crate::kvm` runs them.

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
pub mod model;
mod pace;
mod program;
pub mod reproducer;
mod transcript;
mod verdict;

pub use attempts::run;
use case::as_expected;
pub use case::{Case, File};
pub use cause::{Cause, WFI_NEVER_WAKES};
pub use check::{Check, FailsOn, Judge, SecondOpinion, judge, past, without_the_mode};
pub use clause::{Clause, Clauses};
pub use deviation::{DEVIATIONS, Deviation, expected};
pub use diagnosis::{diagnose, diagnose_stopped};
pub use fault::Fault;
pub use pace::{Costs, Terms};
pub use program::{
    Action, ActionRef, Deadline, Expectation, Irqchip, Litmus, Moving, Point, Program, Setup, Span, Step, SyntaxError,
    TimerRegister, Value, parse,
};
pub use transcript::{
    Disturbance, Ending, Event, GuestRecord, Ptimer, Refusal, Return, Stopped, Storm, Transcript, shorten,
};
pub use verdict::{Judged, Judgement, Unheld, Verdict, disturbed, not_exercised, violated};
