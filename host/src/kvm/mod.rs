//! KVM itself: the only part of the runner that makes its system calls, maps guest memory and starts vCPU threads.
#![allow(unsafe_code)] // ioctls, signals, the shared kvm_run page; every block says why it is sound

mod affinity;
mod boot;
mod clock;
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
pub use clock::cpu_time;
pub use litmus::Reused;
pub use log::Log;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use measure::MeasureError;

use vtick_contract::fault::Fault;
use vtick_contract::{Program, Refusal, Transcript};
use vtick_core::Host;
use vtick_latency::{AccessCosts, Irqchip, Measurement, Scenario};
use vtick_machine::{Booted, Setup};

/// The guest image, as built by `cargo xtask`; empty in a program that something else has built.
static GUEST: &[u8] = include_bytes!(env!("VTICK_GUEST"));

/// Why a guest could not be run at all. One line each: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This program has no guest in it.
    #[error("this vtick was built without its guest and can run nothing; `cargo xtask build` makes one with it")]
    NoGuest,
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
    #[error("{call}: {cause}")]
    Call {
        /// Which.
        call: &'static str,
        /// Why. Part of the message: were it the error's source, it would be printed twice.
        cause: std::io::Error,
    },
    /// A system call about a register failed.
    #[error("{call} of {}{}: {cause}", vtick_core::register_id::describe(*.id), assigned(*.value))]
    Register {
        /// Which.
        call: &'static str,
        /// The register's id.
        id: u64,
        /// What it was to be set to, as far as that is one of 64 bits at most.
        value: Option<u64>,
        /// Why. Part of the message: were it the error's source, it would be printed twice.
        cause: std::io::Error,
    },
    /// There is no such in-kernel interrupt controller on this host.
    #[error(
        "this host cannot give a VM an in-kernel {0}: KVM_CREATE_DEVICE says ENODEV (a vGICv2 takes a host GICv2, a vGICv3 a host GICv3)"
    )]
    NoVgic(vtick_core::Vgic),
    /// The guest image is broken.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// A vCPU thread did not come back.
    #[error("vCPU {0} cannot be interrupted: KVM_RUN did not return within a second of a signal")]
    Stuck(usize),
}

/// The value that a register was to be set to, as a message has it behind the register's name.
fn assigned(value: Option<u64>) -> String {
    value.map(|value| format!(" := {value:#x}")).unwrap_or_default()
}

impl Error {
    /// What the kernel refused, if that is what this is: `vcpu` is the one it was about, and the guest ran before or not.
    fn refusal(&self, vcpu: Option<usize>, before_the_guest: bool) -> Option<Refusal> {
        let (call, register, value, cause) = match self {
            Error::Call { call, cause } if call.starts_with("KVM_") => (call, None, None, cause),
            Error::Register { call, id, value, cause } => (call, Some(*id), *value, cause),
            _ => return None,
        };
        // Without an errno it is not the kernel that says so.
        let errno = cause.raw_os_error()?;
        Some(Refusal { at: clock::counter(), vcpu, call: (*call).to_owned(), register, value, errno, before_the_guest })
    }
}

/// KVM on this machine.
pub struct Kvm(());

impl Kvm {
    /// Opens /dev/kvm.
    pub fn open() -> Result<Kvm, Error> {
        if GUEST.is_empty() {
            return Err(Error::NoGuest);
        }
        vm::open()?;
        Ok(Kvm(()))
    }

    /// What the kernel says of the mode (KVM_CHECK_EXTENSION of KVM_CAP_ARM_USER_IRQ): its version, or none of it.
    pub fn capability(&self) -> Result<i32, Error> {
        vm::capability()
    }

    /// An error, unless this kernel offers the mode.
    pub fn require_the_mode(&self) -> Result<(), Error> {
        match self.capability()? {
            1.. => Ok(()),
            other => Err(Error::NoCapability(other)),
        }
    }

    /// Describes the machine.
    pub fn describe(&self) -> Host {
        host::describe()
    }

    /// Has vCPUs run on these CPUs from now on: the first on the first, and so on, and from the beginning again.
    pub fn pin_vcpus(&self, cpus: Vec<usize>) -> Result<(), Error> {
        affinity::pin_vcpus(cpus)
    }

    /// Runs a litmus program in a VM of its own, to its end or to its limit, on the kernel as it is or behind a fault.
    pub fn run(&self, program: &Program, fault: Option<Fault>) -> Result<Transcript, Error> {
        litmus::run(program, fault)
    }

    /// The host kernel's log, from here on.
    pub fn log(&self) -> Log {
        Log::mark()
    }

    /// A VM that runs one program after the other, each for `limit` ticks at most, give or take as much again.
    pub fn reused(&self, vcpus: usize, pmu: bool, limit: u64) -> Result<Reused, Error> {
        Reused::new(vcpus, pmu, limit)
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
        self.map_err(|e| Error::Call { call, cause: std::io::Error::from_raw_os_error(e.errno()) })
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn call(self, call: &'static str) -> Result<T, Error> {
        self.map_err(|cause| Error::Call { call, cause })
    }
}
