//! Programs of other packages that have to be on this machine: found, or installed where that is allowed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{Interrupted, check_interrupted, run};
use crate::progress::Step;

/// For how long apt waits while another program installs packages, in seconds: a fresh cloud machine upgrades itself
/// after its first boot.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=600";

/// The first of `programs` that is there. Where none is, root installs Debian's `package`; anyone else is told to.
pub(crate) fn ensure(programs: &[&str], package: &str) -> Result<PathBuf> {
    let look = || found(programs);
    if let Some(found) = look() {
        return Ok(found);
    }
    let (program, command) = (programs[0], format!("apt-get install --no-install-recommends {package}"));
    if !rustix::process::geteuid().is_root() {
        bail!("{program} is not installed, and only root may do that: `sudo {command}`");
    }
    let step = Step::essential(format!("Installing {package}"));
    let install = || {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends", "-o", LOCK_TIMEOUT, package])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C");
        run(&mut apt, Some(&step))
    };
    if let Err(first) = install() {
        // Most likely because apt's indexes are absent or old.
        check_interrupted()?;
        run(Command::new("apt-get").arg("update").env("LC_ALL", "C"), Some(&step))
            .map_err(|error| if error.is::<Interrupted>() { error } else { error.context(format!("{first:#}")) })?;
        install()?;
    }
    look().with_context(|| format!("`{command}` succeeded, but there is still no {program}"))
}

/// The first of `programs` that is there.
pub(crate) fn found(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find(programs, &std::env::split_paths(&path).collect::<Vec<_>>())
}

fn find(programs: &[&str], folders: &[PathBuf]) -> Option<PathBuf> {
    let mut places = programs.iter().flat_map(|program| folders.iter().map(move |folder| folder.join(program)));
    places.find(|place| place.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_counts_wherever_it_is_on_the_path() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [a.path().to_owned(), b.path().to_owned()];
        assert_eq!(find(&["x", "y"], &folders), None);
        std::fs::write(a.path().join("y"), "").unwrap();
        assert_eq!(find(&["x", "y"], &folders), Some(a.path().join("y")));
        std::fs::write(b.path().join("x"), "").unwrap();
        assert_eq!(find(&["x", "y"], &folders), Some(b.path().join("x")));
    }
}
