//! An in-kernel interrupt controller, for the VMs that have one ([KVM-API/4.79] and the documents of its device types).

use kvm_bindings::{
    KVM_DEV_ARM_VGIC_CTRL_INIT, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_VGIC_V2_ADDR_TYPE_CPU,
    KVM_VGIC_V2_ADDR_TYPE_DIST, KVM_VGIC_V3_ADDR_TYPE_DIST, KVM_VGIC_V3_ADDR_TYPE_REDIST, kvm_create_device,
    kvm_device_attr, kvm_device_type_KVM_DEV_TYPE_ARM_VGIC_V2 as VGIC_V2,
    kvm_device_type_KVM_DEV_TYPE_ARM_VGIC_V3 as VGIC_V3,
};
use kvm_ioctls::{DeviceFd, VmFd};
use vtick_abi::layout::{GICC_BASE, GICD_BASE, GICR_BASE};

use super::{Context, Error};
use crate::contract::Irqchip;

/// Gives a VM whose vCPUs are all created its interrupt controller. `Ok(None)`: this host has none such.
pub(super) fn create(vm: &VmFd, irqchip: Irqchip) -> Result<Option<DeviceFd>, Error> {
    let (type_, frames) = match irqchip {
        Irqchip::Userspace => return Ok(None),
        Irqchip::VgicV2 => (VGIC_V2, [(KVM_VGIC_V2_ADDR_TYPE_DIST, GICD_BASE), (KVM_VGIC_V2_ADDR_TYPE_CPU, GICC_BASE)]),
        Irqchip::VgicV3 => {
            (VGIC_V3, [(KVM_VGIC_V3_ADDR_TYPE_DIST, GICD_BASE), (KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR_BASE)])
        }
    };
    let mut device = kvm_create_device { type_, fd: 0, flags: 0 };
    let device = match vm.create_device(&mut device) {
        Ok(device) => device,
        Err(e) if e.errno() == libc::ENODEV => return Ok(None),
        Err(e) => return Err(e).call("KVM_CREATE_DEVICE"),
    };
    for (frame, base) in frames {
        let attribute = attribute(KVM_DEV_ARM_VGIC_GRP_ADDR, frame, (&raw const base) as u64);
        device.set_device_attr(&attribute).call("KVM_SET_DEVICE_ATTR of the vGIC's address")?;
    }
    let init = attribute(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
    device.set_device_attr(&init).call("KVM_SET_DEVICE_ATTR to initialise the vGIC")?;
    Ok(Some(device))
}

/// An attribute for KVM_SET_DEVICE_ATTR, of a device or of a vCPU.
pub(super) fn attribute(group: u32, attr: u32, addr: u64) -> kvm_device_attr {
    kvm_device_attr { flags: 0, group, attr: attr.into(), addr }
}
