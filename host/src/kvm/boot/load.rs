//! Puts a guest into its memory.

use super::BootError;
use crate::kvm::vm::Vm;
use crate::machine::fdt::{Hardware, device_tree};
use crate::machine::{Bus, Plan, Setup};

/// Kernel, initrd and device tree, each at its place.
pub(super) fn load(vm: &Vm, setup: &Setup, plan: &Plan<'_>, bus: &Bus) -> Result<(), BootError> {
    for piece in &plan.pieces {
        vm.write(piece.address, &piece.bytes)?;
    }
    if let (Some(range), Some(initrd)) = (&plan.initrd, &setup.initrd) {
        vm.write(range.start, initrd)?;
    }
    let hardware =
        Hardware { cpus: setup.cpus, ram: setup.ram(), bootargs: &setup.bootargs, initrd: plan.initrd.clone() };
    vm.write(plan.fdt, &device_tree(&hardware, bus)?)?;
    Ok(())
}
