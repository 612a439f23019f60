//! C7: the field is valid whatever kvm_valid_regs and kvm_dirty_regs say.

use super::common::{VTIMER, levels_at};
use crate::contract::{Action, Check, Clause, FailsOn, Fault, Judge, Program, judge};
use crate::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "field-is-valid-with-no-register-asked-for",
        clause: Clause::C7,
        claim: "With kvm_valid_regs and kvm_dirty_regs zero the field shows the level's rise and its fall.",
        catches: "A field that has to be asked for.",
        fails_on: FailsOn::Faults(&[Fault::FieldNeedsValidRegs]),
        program: |p| field_is_valid(p, 0),
    },
    Check {
        name: "field-is-valid-with-every-register-asked-for",
        clause: Clause::C7,
        claim: "With all bits of kvm_valid_regs and kvm_dirty_regs set, the field shows the level's rise and its fall, \
                and KVM_RUN succeeds.",
        catches: "A field taken from userspace because it is called dirty; KVM_RUN refused.",
        fails_on: FailsOn::Faults(&[Fault::FieldClearedByDirtyRegs]),
        program: |p| field_is_valid(p, u64::MAX),
    },
];

fn field_is_valid(p: &mut Program, flags: u64) -> Judge {
    p.ask(Action::SyncFlags(flags));
    let before = p.mmio_read();
    let high = VTIMER.expire(p);
    VTIMER.off(p);
    let low = p.mmio_write();
    judge(move |t| {
        levels_at(t, before, Levels::NONE, "before the deadline")?;
        levels_at(t, high, Levels::VTIMER, "after the deadline")?;
        levels_at(t, low, Levels::NONE, "after the timer was turned off")?;
        Ok("low, high, low".to_owned())
    })
}
