//! What system calls return: discovery (C1), lines that there are and that there are not (C2, C8, C9), registers (C12);
//! and that the host has nothing to warn of (C13).

use super::super::Judge;
use super::super::lines::{is_one_of_index_and_id, named};
use super::super::requests::Request;
use crate::{Action, Clause, Transcript};

/// KVM_CAP_ARM_USER_IRQ (include/uapi/linux/kvm.h).
pub(crate) const KVM_CAP_ARM_USER_IRQ: u32 = 144;
/// KVM_ARM_IRQ_TYPE_* ([KVM-API/4.25]).
const TYPE_CPU: u32 = 0;
const TYPE_SPI: u32 = 1;
const TYPE_PPI: u32 = 2;

pub(crate) fn judge(judge: &mut Judge, requests: &[Request], transcript: &Transcript) {
    for request in requests {
        let (seen, action) = (request.result, request.action);
        let (clause, rule, due) = match action {
            Action::CheckExtension { capability } | Action::CheckSystemExtension { capability }
                if capability == KVM_CAP_ARM_USER_IRQ && seen < 1 =>
            {
                (Clause::C1, "capability", "at least 1".to_owned())
            }
            Action::RawLine { irq, .. } => {
                let due = errno_of_line(judge, irq);
                let refused = seen == -i64::from(libc::EINVAL) && is_one_of_index_and_id(judge.program, irq);
                if seen == -i64::from(due) || refused {
                    continue;
                }
                let clause = if judge.program.setup.vgic.is_none() { Clause::C8 } else { Clause::C2 };
                (clause, "line-id", (-i64::from(due)).to_string())
            }
            Action::Line { .. } | Action::LineAfter { .. }
                if judge.program.setup.vgic.is_none() && request.failed() =>
            {
                (Clause::C8, "line-id", "0".to_owned())
            }
            // Not every kernel knows every register.
            Action::Get(_) | Action::Set(..) if seen == -i64::from(libc::ENOENT) => continue,
            Action::Get(_) | Action::Set(..) | Action::Reinit { .. } if request.failed() => {
                (Clause::C12, "state-can-be-set", "no error".to_owned())
            }
            // 0, or an errno of a kernel that does not know it.
            Action::CounterOffset(_) if seen > 0 => (Clause::C12, "state-can-be-set", "0".to_owned()),
            _ => continue,
        };
        let what = format!("{} returned {seen}, expected {due}", judge.program.describe_action(action));
        judge.object(clause, rule, request.vcpu, request.at, what);
    }
    if let Some([first, ..]) = transcript.warnings.as_deref() {
        let what = format!("the host kernel warned: {first}; expected no warning");
        judge.object(Clause::C13, "host-warns", 0, 0, what);
    }
}

/// The errno that is due for an argument of KVM_IRQ_LINE; 0: none.
fn errno_of_line(judge: &Judge, irq: u32) -> i32 {
    let userspace = judge.program.setup.vgic.is_none();
    match irq >> 24 & 0xf {
        TYPE_CPU if !userspace => libc::ENXIO,
        TYPE_CPU if named(judge.program, irq).is_some() => 0,
        TYPE_SPI | TYPE_PPI if userspace => libc::ENXIO,
        _ => libc::EINVAL,
    }
}
