//! `vtick test --inject all`: each fault is played, and the checks that must catch the fault are run.

use super::terms::{REST, terms};
use crate::cli::Done;
use crate::kvm::Kvm;
use vtick_contract::fault::Described;
use vtick_contract::{Case, Check, Verdict};
use vtick_report::terminal;
use vtick_shell::say::println;
/// Injects each fault, and sees that those of the checks that must catch it do.
pub(super) fn catch_faults(
    injected: &[&Described],
    among: &[&'static Check],
    ask_the_model: bool,
) -> anyhow::Result<Done> {
    let kvm = Kvm::open()?;
    kvm.require_the_mode()?;
    let host = kvm.describe();
    terminal::host(&host);
    let (terms, costs) = terms(&kvm, &host, None, ask_the_model);
    costs.iter().for_each(terminal::costs);
    println!();
    let (mut tried, mut missed, mut untried) = (0, 0, 0);
    let mut opinions = Vec::new();
    for fault in injected {
        let mut results = Vec::new();
        let mut objection = None;
        let due: Vec<_> = among.iter().filter(|check| check.must_catch(fault.fault)).collect();
        if due.is_empty() {
            continue;
        }
        tried += 1;
        for check in due {
            let execute = |program: &vtick_contract::Program| kvm.run(program, Some(fault.fault));
            let result = vtick_contract::run(&Case::Check(check), &host, terms, execute);
            let mut unexpected = result.objections.into_iter().filter(|opinion| opinion.expected.is_none());
            objection = objection.or_else(|| unexpected.next().map(|opinion| opinion.objection));
            results.push((check.name, result.judgement));
        }
        let has = |verdict| results.iter().any(|(_, judgement)| judgement.verdict == verdict);
        missed += usize::from(has(Verdict::Held));
        untried += usize::from(!has(Verdict::Held) && !has(Verdict::Violated));
        terminal::fault(fault.name, &results, objection.as_ref());
        if has(Verdict::Held) || has(Verdict::Violated) {
            opinions.push((*fault, objection));
        }
        std::thread::sleep(REST);
    }
    anyhow::ensure!(
        tried > 0,
        "these checks have to catch none of the faults; --explain CHECK names those that each catches"
    );
    println!("\n{tried} faults: {} caught, {missed} missed, {untried} not exercised", tried - missed - untried);
    if ask_the_model {
        terminal::second_opinions(&opinions);
    }
    Ok(if untried == tried { Done::NothingExercised } else { Done::Ran(missed == 0) })
}
