//! The words that vtick's crates share: levels and lines, exits, the host, a stopped vCPU; and [`controller`], the one
//! place that turns levels into lines. No KVM is in here.

pub mod cause;
pub mod controller;
pub mod exit;
pub mod figures;
pub mod host;
pub mod lines;
pub mod register_id;
pub mod stopped;
pub mod vgic;

pub use host::{Host, Unit};
pub use vgic::Vgic;
