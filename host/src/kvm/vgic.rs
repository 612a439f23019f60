//! The kernel's own interrupt controllers, for comparison: KVM_CREATE_DEVICE and its attributes.
//!
//! Tags: `[VGIC2]`, `[VGIC3]`: Linux, Documentation/virt/kvm/devices/arm-vgic.rst and arm-vgic-v3.rst.

use std::os::fd::AsRawFd;

use kvm_bindings::{
    KVM_CREATE_DEVICE_TEST, KVM_DEV_ARM_VGIC_CTRL_INIT, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_DEV_ARM_VGIC_GRP_CTRL,
    KVM_VGIC_V2_ADDR_TYPE_CPU, KVM_VGIC_V2_ADDR_TYPE_DIST, KVM_VGIC_V3_ADDR_TYPE_DIST, KVM_VGIC_V3_ADDR_TYPE_REDIST,
    kvm_create_device, kvm_device_attr, kvm_device_type_KVM_DEV_TYPE_ARM_VGIC_V2,
    kvm_device_type_KVM_DEV_TYPE_ARM_VGIC_V3,
};
use kvm_ioctls::{DeviceFd, VmFd};
use vtick_abi::layout::{GICC_BASE, GICD_BASE, GICR_BASE};

use super::ioctl::{KVM_CREATE_DEVICE, ioctl};
use super::{Context, Error};
use vtick_core::Vgic;

/// KVM_CREATE_DEVICE's number of a controller.
fn kind(vgic: Vgic) -> u32 {
    match vgic {
        Vgic::V2 => kvm_device_type_KVM_DEV_TYPE_ARM_VGIC_V2,
        Vgic::V3 => kvm_device_type_KVM_DEV_TYPE_ARM_VGIC_V3,
    }
}

/// Gives a VM whose vCPUs are all created its in-kernel controller. [`Error::NoVgic`]: this host has none such.
pub(super) fn create(vm: &VmFd, vgic: Vgic) -> Result<DeviceFd, Error> {
    let addresses = match vgic {
        Vgic::V2 => [(KVM_VGIC_V2_ADDR_TYPE_DIST, GICD_BASE), (KVM_VGIC_V2_ADDR_TYPE_CPU, GICC_BASE)],
        Vgic::V3 => [(KVM_VGIC_V3_ADDR_TYPE_DIST, GICD_BASE), (KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR_BASE)],
    };
    let mut request = kvm_create_device { type_: kind(vgic), fd: 0, flags: 0 };
    let device = vm.create_device(&mut request).map_err(|e| match e.errno() {
        libc::ENODEV => Error::NoVgic(vgic),
        errno => Error::Call { call: "KVM_CREATE_DEVICE", cause: std::io::Error::from_raw_os_error(errno) },
    })?;
    for (attr, base) in addresses {
        set(&device, KVM_DEV_ARM_VGIC_GRP_ADDR, attr, &raw const base)?;
    }
    // [VGIC2], [VGIC3]: KVM_DEV_ARM_VGIC_CTRL_INIT after all vCPUs were created.
    set(&device, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, std::ptr::null())?;
    Ok(device)
}

/// Whether KVM could give this VM such a controller: KVM_CREATE_DEVICE that only tests ([KVM-API/4.79]); `None`: it says
/// neither.
pub(super) fn is_possible(vm: &VmFd, vgic: Vgic) -> Option<bool> {
    let mut request = kvm_create_device { type_: kind(vgic), fd: 0, flags: KVM_CREATE_DEVICE_TEST };
    // Not by `create_device` of kvm-ioctls, which takes the descriptor that the kernel leaves at 0 for a new one.
    // SAFETY: the kernel reads and writes `request` during the call.
    match unsafe { ioctl(vm.as_raw_fd(), KVM_CREATE_DEVICE, (&raw mut request) as u64) } {
        0 => Some(true),
        NO_DEVICE => Some(false),
        _ => None,
    }
}

/// What KVM_CREATE_DEVICE says of a kind of device that it has not.
const NO_DEVICE: i64 = -(libc::ENODEV as i64);

fn set(device: &DeviceFd, group: u32, attr: u32, value: *const u64) -> Result<(), Error> {
    let attr = kvm_device_attr { flags: 0, group, attr: u64::from(attr), addr: value as u64 };
    device.set_device_attr(&attr).call("KVM_SET_DEVICE_ATTR of a vGIC")
}
