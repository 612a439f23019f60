//! Names of a program's steps and actions, by which loops, expectations and people speak of them.

use vtick_abi::litmus::{Op, code, sysreg};

use super::{ActionRef, Program, Step};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) step: Option<Step>,
    pub(super) action: Option<ActionRef>,
}

/// The names of a program.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(Vec<Label>);

impl Labels {
    pub(super) fn find(&self, name: &str) -> Option<&Label> {
        self.0.iter().find(|label| label.name == name)
    }

    pub(super) fn add(&mut self, name: String, step: Option<Step>, action: Option<ActionRef>) {
        self.0.push(Label { name, step, action });
    }

    pub(super) fn of_step(&self, step: Step) -> Option<&str> {
        self.0.iter().find(|label| label.step == Some(step)).map(|label| label.name.as_str())
    }

    pub(super) fn of_action(&self, action: ActionRef) -> Option<&str> {
        self.0.iter().find(|label| label.action == Some(action)).map(|label| label.name.as_str())
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|label| label.step.is_some()).map(|label| label.name.as_str())
    }

    pub(super) fn actions(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|label| label.action.is_some()).map(|label| label.name.as_str())
    }
}

impl Program {
    /// The program's names, with made-up ones for those steps and actions that loops and expectations speak of and that
    /// have none.
    pub(super) fn complete_labels(&self) -> Labels {
        let mut labels = self.labels.clone();
        let mut wanted: Vec<Step> = self.expectations.iter().flat_map(super::Expectation::steps).collect();
        wanted.extend(self.expectations.iter().filter_map(|expectation| self.asked_by(expectation.action()?)));
        for (block, ops) in (0..).zip(self.blocks.iter().map(|block| &block.ops)) {
            let loops = ops.iter().filter(|op| op.code == code::LOOP);
            wanted.extend(loops.map(|op| Step { block, index: op.extra as u32 }));
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|step| labels.of_step(*step).is_none());
        let word = |step: &Step| self.op_of(*step).map_or("step", word_for);
        for step in &wanted {
            let alone = wanted.iter().filter(|other| word(other) == word(step)).count() == 1;
            let name = unused(&labels, word(step), alone);
            let action = self.op_of(*step).and_then(asks);
            labels.add(name, Some(*step), action);
        }
        for action in self.expectations.iter().filter_map(super::Expectation::action) {
            if labels.of_action(action).is_none() {
                let name = unused(&labels, "answer", self.before.len() == 1);
                labels.add(name, None, Some(action));
            }
        }
        labels
    }

    /// The operation of a step.
    pub(super) fn op_of(&self, step: Step) -> Option<&Op> {
        self.blocks.get(step.block as usize)?.ops.get(step.index as usize)
    }

    /// The step that asks for an action; `None`: it is done before the guest starts.
    fn asked_by(&self, action: ActionRef) -> Option<Step> {
        (0..).zip(&self.blocks).find_map(|(block, written)| {
            let index = written.ops.iter().position(|op| asks(op) == Some(action))?;
            Some(Step { block, index: index as u32 })
        })
    }
}

/// The action that an operation asks for.
pub(super) fn asks(op: &Op) -> Option<ActionRef> {
    (op.code == code::ACTION).then_some(ActionRef(op.extra as usize))
}

/// `word`, or with the first number that makes a name of it that is not taken.
fn unused(labels: &Labels, word: &str, alone: bool) -> String {
    let numbered = (1..).map(|n| format!("{word}{n}"));
    let mut names = alone.then(|| word.to_owned()).into_iter().chain(numbered);
    names.find(|name| labels.find(name).is_none()).expect("there is a number for each")
}

fn word_for(op: &Op) -> &'static str {
    match op.code {
        code::SET => "note",
        code::READ => "seen",
        code::WRITE if matches!(op.what, sysreg::CNTV_CVAL | sysreg::CNTP_CVAL) => "armed",
        code::WRITE if matches!(op.what, sysreg::CNTV_CTL | sysreg::CNTP_CTL) && op.value == 0 => "off",
        code::WRITE => "written",
        code::WFI | code::DOZE => "slept",
        code::SPIN => "spun",
        code::TAKE => "taken",
        code::LOAD => "read",
        code::STORE => "write",
        code::HVC => "call",
        code::ACTION => "asked",
        _ => "step",
    }
}
