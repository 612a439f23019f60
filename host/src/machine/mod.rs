//! The machine that stock guests boot on: a subset of QEMU's `virt`, with our GICv2 and without in-kernel irqchip.
//!
//! Nothing in here knows of KVM, threads or clocks.

pub mod device;
pub mod flash;
pub mod fw_cfg;
pub mod map;

pub use device::Device;
