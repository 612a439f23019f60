//! A series of patches for the kernel: `user_irq.c`, a test of this mode in the kernel's own suite (tools/testing/selftests).
//! Each of its tests is a check's program, written in C on the suite's library, so that the test cannot drift from the
//! checks.

mod guest;
mod judge;
mod series;
#[cfg(test)]
mod tests;
mod tree;

pub use series::{Author, write};
pub use tree::Tree;

use super::Source;
use super::template::{Parts, wrapped};
use crate::expect::LATE_US;
use crate::{Case, checks};
use vtick_core::lines::Routing;

/// The checks that the test is made of, in its order: at least one of each promise that only a run can show. None deviates
/// on a kernel that is maintained.
const CHECKS: [&str; 14] = [
    "mmio-read-exit-carries-the-level",
    "rising-level-ends-kvm-run",
    "falling-level-is-noticed-before-the-guest-runs-on",
    "falling-level-rides-on-the-next-mmio-exit",
    "ignored-level-makes-no-stream-of-exits",
    "raised-irq-line-is-taken-once-unmasked",
    "line-raised-by-another-thread-kicks-a-running-guest",
    "later-deadline-deasserts-until-it-passes",
    "wfi-wakes-on-the-vtimer-with-interrupts-masked",
    "wfi-wakes-on-the-vtimer-with-interrupts-unmasked",
    "wfi-wakes-on-the-ptimer-with-interrupts-masked",
    "wfi-wakes-on-a-line-raised-by-another-thread",
    "cval-set-through-one-reg-asserts",
    "pmu-overflow-is-noticed-before-the-guest-runs-on",
];

/// The whole test, for the library of a tree.
fn user_irq(tree: &Tree) -> String {
    let cases: Vec<Case> = cases().collect();
    let sources: Vec<Source<'_>> = cases.iter().map(|case| Source::new(case).expect("it can be said in C")).collect();
    let tests: Vec<String> = sources.iter().map(Source::test).collect();
    let table: Vec<String> = sources.iter().map(Source::entry).collect();
    let uses = |name: &str| tests.iter().any(|test| test.contains(&format!("{name}(")));
    let mut set = tree.traits();
    set.extend(["psci_version", "mmio_write", "write_pmu", "first_return"].iter().filter(|name| uses(name)));
    let put = vec![("tests", tests.join("\n")), ("table", table.concat()), ("late", LATE_US.to_string())];
    let parts = Parts { set, put };
    parts.write(include_str!("user_irq.c")).replace("\n\n\n", "\n\n").replace("\n\n};", "\n};")
}

fn cases() -> impl Iterator<Item = Case> {
    CHECKS.iter().map(|name| Case::Check(checks::all().find(|check| check.name == *name).expect("it is a check")))
}

impl Source<'_> {
    /// The check's name as C has it.
    fn identifier(&self) -> String {
        self.case.name().replace('-', "_")
    }

    /// The functions of a test: its guest's, and what the returns must show.
    fn test(&self) -> String {
        let name = self.identifier();
        let mut text = comment(&format!("{}: {}", self.case.clause(), self.case.claim()));
        text += &self.guest_functions(&name);
        let expected = self.expected();
        if !expected.is_empty() {
            text += &format!("\nstatic void expect_{name}(void)\n{{\n{expected}}}\n");
        }
        text
    }

    /// Its line of the table.
    fn entry(&self) -> String {
        let name = self.identifier();
        let mut text = format!("\t{{\n\t\t.name = \"{}\",\n\t\t.guest = {name},\n", self.case.name());
        if self.has_handlers() {
            text += &format!("\t\t.on_irq = {name}_irq,\n");
        }
        if !self.expected().is_empty() {
            text += &format!("\t\t.expect = expect_{name},\n");
        }
        for (field, is) in
            [("levels_raise_irq", self.program.setup.routing == Routing::Wire), ("has_pmu", self.program.setup.pmu)]
        {
            if is {
                text += &format!("\t\t.{field} = true,\n");
            }
        }
        text + "\t},\n"
    }
}

/// A comment of the kernel's style.
fn comment(text: &str) -> String {
    let lines = wrapped(text, super::host::WIDTH, "", "");
    if let [line] = &lines[..] {
        return format!("/* {line} */\n");
    }
    let lines: String = lines.iter().map(|line| format!(" * {line}\n")).collect();
    format!("/*\n{lines} */\n")
}
