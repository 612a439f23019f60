//! Memory that a VM can read and not write: its writes come out as MMIO exits ([KVM-API/4.35], KVM_MEM_READONLY).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use super::ioctl::{KVM_SET_USER_MEMORY_REGION, ioctl};
use super::vm::Vm;
use super::{Context, Error};

/// A region of guest memory, which the guest can see or not.
pub(super) struct Slot {
    /// A duplicate of the VM's fd, so that a device may be dropped after the VM.
    vm: OwnedFd,
    number: u32,
    memory: GuestMemoryMmap,
}

impl Slot {
    /// The region that is in `memory`, as slot `number` of the VM. It is not seen yet.
    pub(super) fn new(vm: &Vm, number: u32, memory: GuestMemoryMmap) -> Result<Slot, Error> {
        // SAFETY: the VM's, which lives while this borrows it.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(vm.fd.as_raw_fd()) };
        let vm = fd.as_fd().try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?;
        Ok(Slot { vm, number, memory })
    }

    /// Shows the region to the guest, or hides it: then its reads come out as exits, too.
    pub(super) fn show(&self, show: bool) -> Result<(), Error> {
        let Some(region) = self.memory.iter().next() else { return Ok(()) };
        let region = kvm_userspace_memory_region {
            slot: self.number,
            flags: KVM_MEM_READONLY,
            guest_phys_addr: region.start_addr().0,
            // A slot of no size is no slot.
            memory_size: if show { region.len() } else { 0 },
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the kernel reads `region`; what that describes is `memory`'s mapping, which is memory of the guest's
        // and of nothing else, and lives as long as this.
        let result = unsafe { ioctl(self.vm.as_raw_fd(), KVM_SET_USER_MEMORY_REGION, (&raw const region) as u64) };
        match i32::try_from(-result) {
            Ok(errno) if errno > 0 => {
                Err(std::io::Error::from_raw_os_error(errno)).call("KVM_SET_USER_MEMORY_REGION, read-only")
            }
            _ => Ok(()),
        }
    }
}
