//! C1: the capability and its version.

use super::common::{PTIMER, VTIMER};
use crate::{Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, judge, violated};

/// KVM_CAP_ARM_USER_IRQ (include/uapi/linux/kvm.h).
const KVM_CAP_ARM_USER_IRQ: u32 = 144;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "capability-is-positive",
        clause: Clause::C1,
        claim: "KVM_CHECK_EXTENSION(KVM_CAP_ARM_USER_IRQ) on the VM is at least 1.",
        catches: "A kernel that reports levels without announcing the capability, or that announces version 0.",
        fails_on: FailsOn::Faults(&[Fault::CapabilityAbsent]),
        program: |p| capability(p, Action::CheckExtension { capability: KVM_CAP_ARM_USER_IRQ }),
    },
    Check {
        name: "capability-is-positive-on-the-system-fd",
        clause: Clause::C1,
        claim: "KVM_CHECK_EXTENSION(KVM_CAP_ARM_USER_IRQ) on /dev/kvm is at least 1, before there is a VM.",
        catches: "A capability that only a VM reports: userspace has to decide before it creates the VM.",
        fails_on: FailsOn::Faults(&[Fault::CapabilityAbsent]),
        program: |p| capability(p, Action::CheckSystemExtension { capability: KVM_CAP_ARM_USER_IRQ }),
    },
    Check {
        name: "no-bit-appears-beyond-those-of-the-version",
        clause: Clause::C1,
        claim: "Version 1 of the capability means vtimer, ptimer and PMU: no other bit of the level field is ever set.",
        catches: "A new device in the field without a new version, or rubbish in its upper bits.",
        fails_on: FailsOn::Faults(&[Fault::UnknownBit, Fault::UnknownHighBit]),
        program: no_bit_beyond,
    },
];

fn capability(p: &mut Program, action: Action) -> Judge {
    let asked = p.before(action);
    // Where the answer is no, there may be no guest.
    p.needs_no_guest();
    p.expect(Expectation::ResultAtLeast(asked, 1));
    judge(move |t| match t.result(asked)? {
        version if version >= 1 => Ok(format!("version {version}: vtimer, ptimer and PMU levels")),
        other => violated(format!("KVM_CHECK_EXTENSION({KVM_CAP_ARM_USER_IRQ}) = {other}, but the mode is in use")),
    })
}

fn no_bit_beyond(p: &mut Program) -> Judge {
    let asked = p.before(Action::CheckExtension { capability: KVM_CAP_ARM_USER_IRQ });
    VTIMER.expire(p);
    PTIMER.expire(p);
    judge(move |t| {
        // A version beyond 1 may bring bits that nobody knows yet.
        let known = if t.result(asked)? == 1 { 7 } else { u64::MAX };
        match t.returns().find(|r| r.levels.0 & !known != 0) {
            None => Ok("only bits 0 to 2".to_owned()),
            Some(r) => violated(format!("a return with {} showed levels {}", r.exit, r.levels)),
        }
    })
}
