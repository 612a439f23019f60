//! The machine that stock guests boot on: a subset of QEMU's `virt`, with our GICv2 and without in-kernel irqchip.
//!
//! Nothing in here knows of KVM or starts threads; its clock is given to it.

pub mod bus;
pub mod device;
mod ending;
pub mod fdt;
pub mod flash;
pub mod fw_cfg;
mod ledger;
pub mod map;
mod nowhere;
pub mod payload;
mod pl011;
mod rom;
mod rtc;
mod said;
mod setup;
mod step;
mod time;
mod translate;
mod vacant;
pub mod virtio;

pub use bus::{Bus, Moved, Port};
pub use device::Device;
pub use ending::{Booted, El1, Ended, Snapshot};
pub use ledger::{Account, Ledger};
pub use nowhere::{Nowhere, notice};
pub use pl011::Pl011;
pub use rom::{Rom, RomError};
pub use rtc::Pl031;
pub use said::{Heard, Listen, TestdevCommands};
pub use setup::{Console, Disk, Plan, Pmu, Setup, SetupError};
pub use step::{Books, Flow, Machine};
pub use time::{Clock, Deadlines};
pub use translate::Stage1;
pub use vacant::fill;
