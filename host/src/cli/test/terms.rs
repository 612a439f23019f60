//! How programs are run and judged on this host.

use crate::kvm::Kvm;
use vtick_contract::{Costs, Terms};
use vtick_core::Host;
/// Time to pass on what was printed.
pub(super) const REST: std::time::Duration = std::time::Duration::from_millis(5);

/// What the host means for programs and verdicts; and what it takes, where it had to be asked.
pub(super) fn terms(kvm: &Kvm, host: &Host, disturb: Option<u64>, ask_the_model: bool) -> (Terms, Option<Costs>) {
    let exact = Terms { disturb, varies: disturb.is_some(), ask_the_model, ..Terms::EXACT };
    if host.deterministic {
        return (exact, None);
    }
    let costs = Costs::measure(host.cntfrq, |program| kvm.run(program, None));
    let slow = costs.map_or(Terms::EXACT, |costs| Terms { scale: costs.scale(), ..Terms::EXACT });
    (Terms { varies: true, time_is_real: true, disturb, ask_the_model, ..slow }, costs)
}
