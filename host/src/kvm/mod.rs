//! KVM itself: the only part of the runner that makes its system calls, maps guest memory and starts vCPU threads.
#![allow(unsafe_code)] // ioctls, signals, the shared kvm_run page; every block says why it is sound

mod affinity;
mod boot;
mod clock;
mod companion;
mod conditions;
mod guest;
mod host;
mod ioctl;
mod irqchip;
mod kick;
mod litmus;
mod log;
mod measure;
mod registers;
mod slot;
mod vcpu;
mod vgic;
mod vm;

pub use boot::BootError;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use measure::MeasureError;

use crate::contract::fault::Fault;
use crate::contract::{Program, Transcript};
use crate::latency::{AccessCosts, Irqchip, Measurement, Scenario};
use crate::machine::{Booted, Setup};
use crate::report::Host;

/// The guest image, as built by `cargo xtask`.
static GUEST: &[u8] = include_bytes!(env!("VTICK_GUEST"));

/// Why a guest could not be run at all. One line each: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no /dev/kvm.
    #[error(
        "/dev/kvm is absent: this kernel has no KVM, or booted without access to EL2; vtick needs an arm64 host with KVM"
    )]
    NoKvm,
    /// /dev/kvm may not be opened.
    #[error("/dev/kvm may not be opened: permission denied; run as root, or as a member of the group that owns it")]
    NotPermitted,
    /// The kernel does not offer the mode.
    #[error(
        "this kernel does not offer KVM_CAP_ARM_USER_IRQ (KVM_CHECK_EXTENSION(144) = {0}): it cannot run a VM whose interrupt controller is in userspace"
    )]
    NoCapability(i32),
    /// A system call failed that has to succeed.
    #[error("{call}: {source}")]
    Call {
        /// Which.
        call: &'static str,
        /// How.
        source: std::io::Error,
    },
    /// There is no such in-kernel interrupt controller on this host.
    #[error(
        "this host cannot give a VM an in-kernel {0}: KVM_CREATE_DEVICE says ENODEV (a vGICv2 takes a host GICv2, a vGICv3 a host GICv3)"
    )]
    NoVgic(vgic::Vgic),
    /// The guest image is broken.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// A vCPU thread did not come back.
    #[error("vCPU {0} cannot be interrupted: KVM_RUN did not return within a second of a signal")]
    Stuck(usize),
}

/// KVM on this machine, known to offer the mode.
pub struct Kvm(());

impl Kvm {
    /// Opens /dev/kvm and asks whether it offers the mode.
    pub fn open() -> Result<Kvm, Error> {
        vm::capability()?;
        Ok(Kvm(()))
    }

    /// Describes the machine.
    pub fn describe(&self) -> Host {
        host::describe()
    }

    /// Runs a litmus program in a VM of its own, to its end or to its limit, on the kernel as it is or behind a fault.
    pub fn run(&self, program: &Program, fault: Option<Fault>) -> Result<Transcript, Error> {
        litmus::run(program, fault)
    }

    /// Counts what userspace spends on each access of a guest to the GIC.
    pub fn access_costs(&self) -> Result<AccessCosts, MeasureError> {
        measure::accesses()
    }

    /// Measures a scenario in a VM of its own, with the interrupt controller given. `plant`: instructions to waste on
    /// each interrupt, so that a comparison has something to find.
    pub fn measure(&self, scenario: &Scenario, irqchip: Irqchip, plant: u64) -> Result<Measurement, MeasureError> {
        measure::measure(scenario, irqchip, plant)
    }

    /// Boots a stock guest, its console on standard input and output, and runs it to its end.
    pub fn boot(&self, setup: &Setup) -> Result<Booted, BootError> {
        boot::boot(setup)
    }
}

/// A lock that another thread's panic does not take away: what it guards is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names the system call that failed.
trait Context<T> {
    fn call(self, call: &'static str) -> Result<T, Error>;
}

impl<T> Context<T> for Result<T, kvm_ioctls::Error> {
    fn call(self, call: &'static str) -> Result<T, Error> {
        self.map_err(|e| Error::Call { call, source: std::io::Error::from_raw_os_error(e.errno()) })
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn call(self, call: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Call { call, source })
    }
}
