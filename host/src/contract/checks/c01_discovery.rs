//! C1: the capability and its version.

use crate::contract::{Action, Check, Clause, Judge, Program, judge, violated};

/// KVM_CAP_ARM_USER_IRQ (include/uapi/linux/kvm.h).
const KVM_CAP_ARM_USER_IRQ: u32 = 144;

pub(super) const CHECKS: &[Check] = &[Check {
    name: "capability-is-positive",
    clause: Clause::C1,
    claim: "KVM_CHECK_EXTENSION(KVM_CAP_ARM_USER_IRQ) on the VM is at least 1.",
    catches: "A kernel that reports levels without saying so, or that says so as 0.",
    program: capability_is_positive,
}];

fn capability_is_positive(p: &mut Program) -> Judge {
    let asked = p.before(Action::CheckExtension { capability: KVM_CAP_ARM_USER_IRQ });
    judge(move |t| match t.result(asked)? {
        version if version >= 1 => Ok(format!("version {version}: vtimer, ptimer and PMU levels")),
        other => violated(format!("KVM_CHECK_EXTENSION({KVM_CAP_ARM_USER_IRQ}) = {other}, but the mode is in use")),
    })
}
