//! vtick: validates and measures KVM/arm64's userspace interrupt controller mode.
//!
//! Everything but [`kvm`] is free of KVM and builds, and is tested, on any machine.

pub mod cli;
pub mod console;
pub mod identity;
pub mod image;
#[cfg_attr(not(all(target_arch = "aarch64", target_os = "linux")), path = "no_kvm.rs")]
pub mod kvm;
pub mod presence;
