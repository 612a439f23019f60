//! Looks at a vCPU, in its own thread.

use crate::kvm::vcpu::Vcpu;
use crate::kvm::vm::Vm;
use crate::kvm::{Error, guest, registers};
use vtick_core::lines::Levels;
use vtick_machine::{El1, Snapshot};

/// Where a vCPU is; `levels` as it last reported them by itself.
pub(super) fn take(vm: &Vm, vcpu: &Vcpu, levels: Levels) -> Result<Snapshot, Error> {
    let mut x = [0; 31];
    for (index, x) in x.iter_mut().enumerate() {
        *x = vcpu.register(registers::x(index as u64))?;
    }
    Ok(Snapshot {
        stopped: guest::stopped(vm, vcpu, levels)?,
        off: vcpu.is_off()?,
        x,
        el1: El1 {
            sp: vcpu.register(registers::SP_EL1)?,
            elr: vcpu.register(registers::ELR_EL1)?,
            esr: vcpu.register(registers::ESR_EL1)?,
            far: vcpu.register(registers::FAR_EL1)?,
            vbar: vcpu.register(registers::VBAR_EL1)?,
            sctlr: vcpu.register(registers::SCTLR_EL1)?,
        },
    })
}
