//! Puts a guest into its memory.

use super::BootError;
use crate::kvm::vm::Vm;
use vtick_machine::fdt::{Hardware, device_tree};
use vtick_machine::{Bus, Plan, Setup};

/// Kernel, initrd and device tree, each at its place; `again`: into RAM that is not fresh.
pub(super) fn load(
    vm: &Vm,
    setup: &Setup,
    plan: &Plan<'_>,
    pmu: bool,
    again: bool,
    bus: &Bus,
) -> Result<(), BootError> {
    // Around its pieces a kernel expects zeroes, and RAM still has what the life before left there.
    if again {
        vm.clear(plan.takes.clone())?;
    }
    for piece in &plan.pieces {
        vm.write(piece.address, &piece.bytes)?;
    }
    if let (Some(range), Some(initrd)) = (&plan.initrd, &setup.initrd) {
        vm.write(range.start, initrd)?;
    }
    let hardware =
        Hardware { cpus: setup.cpus, pmu, ram: setup.ram(), bootargs: &plan.bootargs, initrd: plan.initrd.clone() };
    let tree = device_tree(&hardware, bus)?;
    vm.write(plan.fdt, &tree)?;
    // Where guests look that were made for the way in which QEMU boots ELF files.
    if let Some(room) = plan.fdt_copy.as_ref().filter(|room| room.end - room.start >= tree.len() as u64) {
        vm.write(room.start, &tree)?;
    }
    Ok(())
}
