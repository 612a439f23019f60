//! What a program's transcript must show, as far as it can be said in the language of programs: then whoever runs the
//! program somewhere else can judge it, too.

use vtick_abi::litmus::{code, sysreg};

use super::{ActionRef, Program, Step};
use vtick_core::lines::Levels;

/// The beginning or the end of a step's first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The step.
    pub step: Step,
    /// Whether it is its end.
    pub end: bool,
}

/// From one point to another; returns of KVM_RUN are those of the vCPU whose steps these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First point.
    pub from: Point,
    /// Last point.
    pub to: Point,
}

/// When a timer expires: the CVAL that a step wrote or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The step.
    pub step: Step,
    /// Whether it is the physical timer's.
    pub physical: bool,
}

/// Something that a transcript must show for the claim to hold; or, for premises ([`Expectation::is_premise`]), for it to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The MMIO exit that a step makes shows these levels, each time the step runs.
    LevelsAt(Step, Levels),
    /// A return in the span shows these levels.
    SomeReturn(Levels, Span),
    /// The first return in the span shows these levels; there is one.
    FirstReturn(Levels, Span),
    /// Every return in the span (of the whole run, if there is none) shows these levels.
    EveryReturn(Levels, Option<Span>),
    /// So many returns are in the span.
    Returns(u64, Span),
    /// A step gives this value in these bits, each time it runs.
    Gives {
        /// The step.
        step: Step,
        /// The value.
        due: u64,
        /// The bits that count.
        mask: u64,
    },
    /// A step gives this at least.
    GivesAtLeast(Step, u64),
    /// A step gives no less than one step gives plus so many, and no more than another gives plus so many.
    GivesBetween {
        /// The step.
        step: Step,
        /// No less than this.
        least: (Step, u64),
        /// No more than this.
        most: (Step, u64),
    },
    /// A step is UNDEFINED.
    Undefined(Step),
    /// The last return of the run, on vCPU 0, shows these levels.
    LastReturn(Levels),
    /// An action of the host returns this: a value, or minus errno.
    Result(ActionRef, i64),
    /// An action of the host returns this at least.
    ResultAtLeast(ActionRef, i64),
    /// An action of the host returns what a step gives.
    ResultIsOf(ActionRef, Step),
    /// A step comes to its end at a deadline: not before it, and not so late that no scheduler could be the cause.
    EndsAt(Step, Deadline),
    /// A step takes so many ticks at most.
    EndsWithin(Step, u64),
    /// The vCPU never gets past a step.
    NeverEnds(Step),
    /// Premise: the MMIO exit that a step makes came before a deadline. Otherwise the host was too slow to see anything.
    InTime(Step, Deadline),
    /// Premise: the host did this after the end of a step.
    DoneAfter(ActionRef, Step),
    /// Premise: an action did not return this, which is how a host says that it has no such thing.
    Unless(ActionRef, i64),
}

impl Expectation {
    /// Whether it decides if the claim is put to the test at all, and not if it holds.
    pub fn is_premise(&self) -> bool {
        matches!(self, Expectation::InTime(..) | Expectation::DoneAfter(..) | Expectation::Unless(..))
    }

    /// The steps it speaks of.
    pub fn steps(&self) -> Vec<Step> {
        match *self {
            Expectation::LevelsAt(step, _) | Expectation::Gives { step, .. } | Expectation::Undefined(step) => {
                vec![step]
            }
            Expectation::EndsWithin(step, _) | Expectation::NeverEnds(step) => vec![step],
            Expectation::GivesAtLeast(step, _) | Expectation::ResultIsOf(_, step) => vec![step],
            Expectation::GivesBetween { step, least, most } => vec![step, least.0, most.0],
            Expectation::EndsAt(step, deadline) | Expectation::InTime(step, deadline) => vec![step, deadline.step],
            Expectation::SomeReturn(_, span) | Expectation::FirstReturn(_, span) | Expectation::Returns(_, span) => {
                vec![span.from.step, span.to.step]
            }
            Expectation::EveryReturn(_, span) => span.map_or(vec![], |span| vec![span.from.step, span.to.step]),
            Expectation::DoneAfter(_, step) => vec![step],
            Expectation::Result(..) | Expectation::ResultAtLeast(..) | Expectation::Unless(..) => vec![],
            Expectation::LastReturn(_) => vec![],
        }
    }

    /// The action it speaks of.
    pub fn action(&self) -> Option<ActionRef> {
        match *self {
            Expectation::Result(action, _) | Expectation::DoneAfter(action, _) | Expectation::Unless(action, _) => {
                Some(action)
            }
            Expectation::ResultAtLeast(action, _) | Expectation::ResultIsOf(action, _) => Some(action),
            _ => None,
        }
    }
}

impl Step {
    /// Its beginning.
    pub fn start(self) -> Point {
        Point { step: self, end: false }
    }

    /// Its end.
    pub fn end(self) -> Point {
        Point { step: self, end: true }
    }

    /// From its beginning to its end.
    pub fn whole(self) -> Span {
        self.start().to(self.end())
    }
}

impl Point {
    /// From here to there.
    pub fn to(self, to: Point) -> Span {
        Span { from: self, to }
    }
}

impl Program {
    /// The transcript must show this.
    pub fn expect(&mut self, expectation: Expectation) {
        self.expectations.push(expectation);
    }

    /// What the transcript must show, in its order.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// The deadline that a step sets or reads; `None`: the step has to do with no CVAL.
    pub fn deadline_of(&self, step: Step) -> Option<Deadline> {
        let op = self.op_of(step).filter(|op| matches!(op.code, code::READ | code::WRITE))?;
        match op.what {
            sysreg::CNTV_CVAL => Some(Deadline { step, physical: false }),
            sysreg::CNTP_CVAL => Some(Deadline { step, physical: true }),
            _ => None,
        }
    }
}
