//! C7: the field is valid whatever kvm_valid_regs and kvm_dirty_regs say.

use super::common::VTIMER;
use crate::{Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, as_expected};
use vtick_core::lines::Levels;

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
    p.expect(Expectation::LevelsAt(before, Levels::NONE));
    p.expect(Expectation::LevelsAt(high, Levels::VTIMER));
    p.expect(Expectation::LevelsAt(low, Levels::NONE));
    as_expected(p, "low, high, low")
}
