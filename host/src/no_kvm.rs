//! What stands in for `kvm` on anything but arm64 Linux: there is no way to get a [`Kvm`] here, and so nothing to run.

use vtick_contract::fault::Fault;
use vtick_contract::{Program, Transcript};
use vtick_core::Host;
use vtick_latency::{AccessCosts, Irqchip, Measurement, Scenario};
use vtick_machine::{Booted, Setup};

/// KVM on this machine: no value of it exists.
pub enum Kvm {}

/// A VM that runs one program after the other: no value of it exists.
pub enum Reused {}

impl Reused {
    /// See `kvm`.
    pub fn suits(&self, _: &Program) -> bool {
        match *self {}
    }

    /// See `kvm`.
    pub fn is_usable(&self) -> bool {
        match *self {}
    }

    /// See `kvm`.
    pub fn run(&mut self, _: &Program, _: Option<Fault>) -> Result<Transcript, Error> {
        match *self {}
    }
}

/// The host kernel's log.
pub struct Log(());

impl Log {
    /// See `kvm`.
    pub fn warnings(&mut self) -> Option<Vec<String>> {
        None
    }
}

/// See `kvm`.
pub fn cpu_time() -> std::time::Duration {
    std::time::Duration::ZERO
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "vtick runs guests only on arm64 Linux; on this machine `cargo xtask test` and `cargo xtask bench` run it in an \
     emulated arm64 host"
)]
pub struct Error;

impl Error {
    /// See `kvm`.
    pub fn lacks_neighbour(&self) -> bool {
        false
    }
}

impl Kvm {
    /// Always an error here.
    pub fn open() -> Result<Kvm, Error> {
        Err(Error)
    }

    /// See `kvm`.
    pub fn capability(&self) -> Result<i32, Error> {
        match *self {}
    }

    /// See `kvm`.
    pub fn require_the_mode(&self) -> Result<(), Error> {
        match *self {}
    }

    /// See `kvm`.
    pub fn describe(&self) -> Host {
        match *self {}
    }

    /// See `kvm`.
    pub fn pin_vcpus(&self, _: Vec<usize>) -> Result<(), Error> {
        match *self {}
    }

    /// See `kvm`.
    pub fn run(&self, _: &Program, _: Option<Fault>) -> Result<Transcript, Error> {
        match *self {}
    }

    /// See `kvm`.
    pub fn log(&self) -> Log {
        match *self {}
    }

    /// See `kvm`.
    pub fn reused(&self, _: usize, _: bool, _: u64) -> Result<Reused, Error> {
        match *self {}
    }

    /// See `kvm`.
    pub fn access_costs(&self) -> Result<AccessCosts, Error> {
        match *self {}
    }

    /// See `kvm`.
    pub fn measure(&self, _: &Scenario, _: Irqchip, _: u64) -> Result<Measurement, Error> {
        match *self {}
    }

    /// See `kvm`.
    pub fn boot(&self, _: &Setup) -> Result<Booted, Error> {
        match *self {}
    }
}
