//! The vtick guest: no operating system, one address space, interrupts handled where they are measured.
//!
//! The host loads this image, writes a litmus program or a measurement into the memory it shares with the guest, and
//! starts every vCPU at `_start`. All the guest knows of the outside is in `vtick-abi`.
#![cfg_attr(target_os = "none", no_std, no_main)]

// Off the bare-metal target this crate is an empty program, so that the workspace builds and lints as one.
#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod gicv2;
#[cfg(target_os = "none")]
mod gicv3;
#[cfg(target_os = "none")]
mod irqchip;
#[cfg(target_os = "none")]
mod litmus;
#[cfg(target_os = "none")]
mod mailbox;
#[cfg(target_os = "none")]
mod measure;
#[cfg(target_os = "none")]
mod mmio;
#[cfg(target_os = "none")]
mod sysreg;
#[cfg(target_os = "none")]
mod timer;
#[cfg(target_os = "none")]
mod vectors;
