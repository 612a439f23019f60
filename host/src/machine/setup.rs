//! What is to be booted, and on how much of a machine: all that can be checked before there is one.

use std::ops::Range;
use std::time::Duration;

use vtick_abi::layout::RAM_BASE;

use crate::payload::{Kernel, PayloadError, Placed};

/// A guest to be booted.
#[derive(Clone, Debug)]
pub struct Setup {
    /// vCPUs, 1 to 8.
    pub cpus: usize,
    /// Bytes of RAM, a multiple of 2 MiB.
    pub memory: u64,
    /// The file to boot.
    pub kernel: Vec<u8>,
    /// The file with its first file system.
    pub initrd: Option<Vec<u8>>,
    /// The kernel's command line.
    pub bootargs: String,
    /// The longest it may run.
    pub timeout: Option<Duration>,
    /// The text whose first line is to be marked in the account.
    pub mark: Option<String>,
    /// How many events of each thread are kept for a trace.
    pub tape: usize,
}

/// Which file cannot be booted, and why.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SetupError {
    /// The kernel.
    #[error("kernel: {0}")]
    Kernel(PayloadError),
    /// The initrd.
    #[error("initrd: {0}")]
    Initrd(PayloadError),
}

impl Setup {
    /// Guest physical addresses of RAM.
    pub fn ram(&self) -> Range<u64> {
        RAM_BASE..RAM_BASE + self.memory
    }

    /// What is loaded, and where everything goes.
    pub fn plan(&self) -> Result<(Kernel<'_>, Placed), SetupError> {
        let kernel = Kernel::parse(&self.kernel, self.ram()).map_err(SetupError::Kernel)?;
        let initrd = self.initrd.as_ref().map(|initrd| initrd.len() as u64);
        let placed = kernel.place(self.ram(), initrd).map_err(|error| match error {
            PayloadError::Initrd { .. } => SetupError::Initrd(error),
            other => SetupError::Kernel(other),
        })?;
        Ok((kernel, placed))
    }
}
