//! vtick: validates and measures KVM/arm64's userspace interrupt controller mode.
//!
//! Everything but [`kvm`] is free of KVM and builds, and is tested, on any machine.

pub mod cli;
pub mod console;
pub mod contract;
pub mod controller;
pub mod exit;
pub mod explore;
mod figures;
pub mod identity;
pub mod image;
#[cfg_attr(not(all(target_arch = "aarch64", target_os = "linux")), path = "no_kvm.rs")]
pub mod kvm;
pub mod latency;
pub mod lines;
pub mod machine;
pub mod payload;
pub mod presence;
mod register_id;
pub mod report;
mod say;
pub mod trace;
