//! Puts a guest into its memory.

use super::BootError;
use crate::kvm::vm::Vm;
use crate::machine::fdt::{Hardware, device_tree};
use crate::machine::{Bus, Setup};
use crate::payload::{Kernel, Placed};

/// Kernel, initrd and device tree, each at its place.
pub(super) fn load(vm: &Vm, setup: &Setup, kernel: &Kernel<'_>, placed: &Placed, bus: &Bus) -> Result<(), BootError> {
    for piece in &kernel.pieces {
        vm.write(piece.address, &piece.bytes)?;
    }
    if let (Some(range), Some(initrd)) = (&placed.initrd, &setup.initrd) {
        vm.write(range.start, initrd)?;
    }
    let hardware = Hardware {
        cpus: setup.cpus,
        ram: setup.ram(),
        bootargs: &setup.bootargs,
        initrd: placed.initrd.clone(),
        flash: false,
    };
    vm.write(placed.fdt, &device_tree(&hardware, bus)?)?;
    Ok(())
}
