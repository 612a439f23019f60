//! The verdict: what the program expects, in C.

use super::super::expect::LATE_US;
use super::super::program::{Deadline, Expectation, Span, Step};
use super::notes::Note;
use super::{FAST, Number, Source, number};
use vtick_core::lines::Levels;

/// Which of the functions that expectations use are needed.
#[derive(Default)]
pub(super) struct Needed {
    /// `levels_at`.
    pub(super) levels_at: bool,
    /// `count`.
    pub(super) returns: bool,
    /// `first`.
    pub(super) first: bool,
    /// `exit_of`.
    pub(super) exit_of: bool,
    /// When the returns came, on the guest's virtual counter.
    pub(super) at: bool,
    /// The same on the host's counter, which is the guest's physical counter.
    pub(super) physical: bool,
    /// When actions were done, on the host's counter.
    pub(super) done_at: bool,
    /// `result`.
    pub(super) results: bool,
}

impl Needed {
    pub(super) fn by(source: &Source<'_>) -> Needed {
        let mut needed = Needed::default();
        for expectation in source.program.expectations() {
            match expectation {
                Expectation::LevelsAt(..) if source.each_exit_is_one() => needed.exit_of = true,
                Expectation::LevelsAt(..) => needed.levels_at = true,
                Expectation::SomeReturn(..) | Expectation::EveryReturn(..) | Expectation::Returns(..) => {
                    needed.returns = true;
                }
                Expectation::FirstReturn(..) => needed.first = true,
                Expectation::InTime(_, deadline) => {
                    needed.exit_of = true;
                    *if deadline.physical { &mut needed.physical } else { &mut needed.at } = true;
                }
                Expectation::DoneAfter(..) => needed.done_at = true,
                Expectation::Unless(..)
                | Expectation::Result(..)
                | Expectation::ResultAtLeast(..)
                | Expectation::ResultIsOf(..) => needed.results = true,
                _ => {}
            }
        }
        needed
    }
}

impl Source<'_> {
    /// The statements that judge.
    pub(super) fn verdict(&self) -> String {
        let mut text = String::new();
        let expectations = self.program.expectations();
        for expectation in expectations.iter().filter(|it| it.is_premise()) {
            let said = self.said(expectation);
            let lacking = self.lacking(expectation);
            text += &format!("\tif ({lacking})\n\t\tend(4, \"does not apply: {said}\");\n");
        }
        for expectation in expectations.iter().filter(|it| !it.is_premise()) {
            let said = self.said(expectation);
            for mut condition in self.conditions(expectation) {
                if condition.len() > 80 {
                    condition = condition.replace(" && r->levels", " &&\n\t\t     r->levels");
                }
                text += &match condition.len() + said.len() {
                    // With all around it, a line of a hundred columns.
                    ..=78 => format!("\texpect({condition}, \"{said}\");\n"),
                    _ => format!("\texpect({condition},\n\t       \"{said}\");\n"),
                };
            }
        }
        text
    }

    fn said(&self, expectation: &Expectation) -> String {
        let said = self.program.describe_expectation(expectation);
        let words = ["expect ", "assume ", "skip if "];
        words.iter().find_map(|word| said.strip_prefix(word)).unwrap_or(&said).to_owned()
    }

    /// What is so where a premise does not hold.
    fn lacking(&self, premise: &Expectation) -> String {
        match *premise {
            Expectation::InTime(step, deadline) => {
                let at = if deadline.physical { "physical" } else { "at" };
                format!("{}->{at} >= {}", self.exit_of(step), self.note(deadline.step, Note::Value))
            }
            Expectation::DoneAfter(action, step) => {
                format!("done_at[{}] - offset < {}", action.0, self.note(step, Note::After))
            }
            Expectation::Unless(action, result) => format!("result[{}] == {result}", action.0),
            _ => unreachable!("it is a premise"),
        }
    }

    /// What must be so, in C.
    fn conditions(&self, expectation: &Expectation) -> Vec<String> {
        let counted = |levels: &str, span: Span| {
            let ((first, last), vcpu) = (self.ends(span), self.of(span.from.step));
            let steps = if first == last {
                format!("r->step == {first}")
            } else {
                format!("r->step >= {first} && r->step <= {last}")
            };
            format!("count({vcpu}{steps}{levels})")
        };
        let are = |levels: Levels| format!(" && r->levels == {}", of_levels(levels));
        let are_not = |levels: Levels| format!(" && r->levels != {}", of_levels(levels));
        vec![match *expectation {
            Expectation::LevelsAt(step, due) if self.each_exit_is_one() => {
                format!("{}->levels == {}", self.exit_of(step), of_levels(due))
            }
            Expectation::LevelsAt(step, due) => {
                format!("levels_at({}{}, {})", self.of(step), self.number(step), of_levels(due))
            }
            Expectation::SomeReturn(due, span) => format!("{} > 0", counted(&are(due), span)),
            Expectation::FirstReturn(due, span) => {
                format!("first({}{}) == {}", self.of(span.from.step), self.span(span), of_levels(due))
            }
            Expectation::EveryReturn(due, Some(span)) => format!("{} == 0", counted(&are_not(due), span)),
            Expectation::EveryReturn(due, None) => {
                let due = of_levels(due);
                let all = |vcpu: usize| format!("count({}r->levels != {due}) == 0", self.named(vcpu));
                return (0..self.program.setup.vcpus).map(all).collect();
            }
            Expectation::Returns(due, span) => format!("{} == {due}", counted("", span)),
            Expectation::Gives { step, due, mask: u64::MAX } => {
                format!("{} == {due:#x}", self.note(step, Note::Value))
            }
            Expectation::Gives { step, due, mask } => {
                format!("({} & {mask:#x}) == {due:#x}", self.note(step, Note::Value))
            }
            Expectation::LastReturn(due) => {
                let v = if self.is_alone() { "" } else { "vcpus[0]." };
                format!("{v}nr && {v}ret[{v}nr - 1].levels == {}", of_levels(due))
            }
            Expectation::GivesAtLeast(step, due) => format!("{} >= {due}", self.note(step, Note::Value)),
            Expectation::GivesBetween { step, least, most } => {
                let value = self.note(step, Note::Value);
                let bound = |(step, more): (Step, u64)| {
                    let from = self.note(step, Note::Value);
                    match number(more, more / 2) {
                        Number::Is(0) => from,
                        Number::Is(ticks) => format!("{from} + {ticks}"),
                        Number::Micros(micros) => format!("{from} + us({micros})"),
                    }
                };
                return vec![format!("{value} >= {}", bound(least)), format!("{value} <= {}", bound(most))];
            }
            Expectation::ResultAtLeast(action, due) => format!("result[{}] >= {due}", action.0),
            Expectation::ResultIsOf(action, step) => {
                format!("(__u64)result[{}] == {}", action.0, self.note(step, Note::Value))
            }
            Expectation::Undefined(step) => format!("{} == -1UL", self.note(step, Note::Value)),
            Expectation::Result(action, due) => format!("result[{}] == {due}", action.0),
            Expectation::EndsAt(step, Deadline { step: set, physical }) => {
                let end = self.note(step, if physical { Note::AfterPhysical } else { Note::After });
                format!("{end} - {} < us({LATE_US})", self.note(set, Note::Value))
            }
            Expectation::EndsWithin(step, ticks) => {
                let (before, after) = (self.note(step, Note::Before), self.note(step, Note::After));
                format!("{after} - {before} <= us({})", ticks / (FAST / 1_000_000))
            }
            Expectation::NeverEnds(step) => {
                let v = if self.is_alone() { String::new() } else { format!("vcpus[{}].", self.vcpu(step)) };
                format!("!{v}done && X({}28) == {}", self.of(step), self.number(step))
            }
            Expectation::InTime(..) | Expectation::DoneAfter(..) | Expectation::Unless(..) => {
                unreachable!("it is a premise")
            }
        }]
    }

    fn exit_of(&self, step: Step) -> String {
        format!("exit_of({}{})", self.of(step), self.number(step))
    }

    /// The vCPU of a step, as the first argument of a function.
    fn of(&self, step: Step) -> String {
        self.named(self.vcpu(step))
    }

    /// The first and the last step of a span.
    fn span(&self, span: Span) -> String {
        let (first, last) = self.ends(span);
        format!("{first}, {last}")
    }

    /// The numbers of these.
    pub(super) fn ends(&self, Span { from, to }: Span) -> (u32, u32) {
        let (first, last) = (self.number(from.step), self.number(to.step));
        (first + u32::from(from.end), last - u32::from(!to.end))
    }

    fn note(&self, step: Step, note: Note) -> String {
        let register = self.notes.place(step.op(&self.starts), note).expect("what an expectation needs is noted");
        format!("X({}{register})", self.of(step))
    }
}

/// Levels by the names of include/uapi/linux/kvm.h.
pub(super) fn of_levels(levels: Levels) -> String {
    let levels = in_c(levels, ["KVM_ARM_DEV_EL1_VTIMER", "KVM_ARM_DEV_EL1_PTIMER", "KVM_ARM_DEV_PMU"]);
    if levels.contains('|') { format!("({levels})") } else { levels }
}

/// Levels as an expression in C: the names of the vtimer's, the ptimer's and the PMU's bit.
pub(super) fn in_c(levels: Levels, names: [&str; 3]) -> String {
    let bits = [Levels::VTIMER, Levels::PTIMER, Levels::PMU].into_iter().zip(names);
    let mut said: Vec<String> =
        bits.filter(|(bit, _)| levels.contains(*bit)).map(|(_, name)| name.to_owned()).collect();
    let unknown = levels.0 & !7;
    if unknown != 0 {
        said.push(format!("{unknown:#x}"));
    }
    if said.is_empty() { "0".to_owned() } else { said.join(" | ") }
}
