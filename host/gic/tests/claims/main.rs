//! What a GICv2 does, one claim to a test. `[GICv2]` is Arm IHI 0048B.b.
//!
//! Each test is a guest's sequence of accesses and what must come of it. [`machine::Machine`] checks the invariants of the
//! GIC after every one of them.

mod acknowledge;
mod deactivation;
mod distributor;
mod groups;
mod level_and_edge;
mod machine;
mod preemption;
mod sgi;
mod shared;
mod state;
mod targets;
mod widths;
