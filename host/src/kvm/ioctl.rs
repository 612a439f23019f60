//! The two system calls of the hot path, and what `kvm-ioctls` does not do well, without the C library: its `ioctl` is variadic and keeps errno, which costs
//! more instructions than all that the runner does between two calls.

use std::arch::asm;
use std::os::fd::RawFd;

/// KVM_RUN: `_IO(KVMIO, 0x80)`.
pub(super) const KVM_RUN: u64 = 0xae80;
/// KVM_IRQ_LINE: `_IOW(KVMIO, 0x61, struct kvm_irq_level)`, which is 8 bytes.
pub(super) const KVM_IRQ_LINE: u64 = 0x4008_ae61;

/// KVM_SET_USER_MEMORY_REGION: `_IOW(KVMIO, 0x46, struct kvm_userspace_memory_region)`, which is 32 bytes.
pub(super) const KVM_SET_USER_MEMORY_REGION: u64 = 0x4020_ae46;

/// KVM_CREATE_DEVICE: `_IOWR(KVMIO, 0xe0, struct kvm_create_device)`, which is 12 bytes.
pub(super) const KVM_CREATE_DEVICE: u64 = 0xc00c_aee0;

/// ioctl(2). Returns what the kernel does: a negative errno on failure.
///
/// # Safety
/// `argument` is what `request` takes on `fd`.
#[inline(always)]
pub(super) unsafe fn ioctl(fd: RawFd, request: u64, argument: u64) -> i64 {
    let result: i64;
    // SAFETY: a system call as [Linux, arch/arm64: number in x8, arguments from x0] has it, which changes x0 and memory
    // alone.
    unsafe {
        asm!("svc #0", in("x8") libc::SYS_ioctl, inlateout("x0") i64::from(fd) => result, in("x1") request,
            in("x2") argument, options(nostack));
    }
    result
}
