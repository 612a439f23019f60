//! Runs on this very machine, when it is an arm64 Linux host with KVM.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::show;

const KVM: &str = "/dev/kvm";

/// Whether this machine can be the host.
pub(crate) fn possible() -> bool {
    cfg!(target_arch = "aarch64") && Path::new(KVM).exists()
}

/// What stands in the way of it.
pub(crate) fn check() -> Result<()> {
    if !cfg!(target_arch = "aarch64") {
        bail!("--host native: this is no arm64 machine");
    }
    match OpenOptions::new().read(true).write(true).open(KVM) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{KVM} is not there: this kernel has no KVM, or was not started in EL2 (use --host emulated)")
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            bail!(
                "{KVM}: permission denied; `sudo usermod -aG kvm $USER` and a new login give it, or use --host emulated"
            )
        }
        Err(error) => bail!("{KVM}: {error}"),
    }
}

/// Becomes the runner. Comes back only with the reason why that failed.
pub(crate) fn run(vtick: &Path, arguments: &[String]) -> Result<i32> {
    check()?;
    let mut command = Command::new(vtick);
    command.args(arguments);
    show(&command);
    Err(command.exec().into())
}
