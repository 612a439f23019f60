//! What stands in for `kvm` on anything but arm64 Linux: there is no way to get a [`Kvm`] here, and so nothing to run.

use crate::contract::fault::Fault;
use crate::contract::{Program, Transcript};
use crate::latency::{AccessCosts, Irqchip, Measurement, Scenario};
use crate::machine::{Booted, Setup};
use crate::report::Host;

/// KVM on this machine: no value of it exists.
pub enum Kvm {}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "vtick runs guests on arm64 Linux alone; on this machine `cargo xtask test` and `cargo xtask bench` run it in an \
     emulated arm64 host"
)]
pub struct Error;

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
