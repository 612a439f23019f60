//! UEFI firmware of Debian's archive, for guests.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::apt::Apt;
use crate::cache::{Cache, State};
use crate::deb;
use crate::progress::Step;

const PACKAGE: &str = "qemu-efi-aarch64";
/// The firmware in that package: edk2's ArmVirtQemu.
const FILE: &str = "usr/share/qemu-efi-aarch64/QEMU_EFI.fd";

/// Finds the firmware, and fetches it if need be.
pub(crate) fn from_debian(cache: &Cache, refresh: bool) -> Result<PathBuf> {
    // Which version it was is remembered, so that a second run does not ask the network.
    let current = "firmware/current";
    if !refresh
        && let Ok(entry) = fs::read_to_string(cache.path(current))
        && cache.state(&entry)? == State::Intact
    {
        return Ok(cache.path(&entry).join("QEMU_EFI.fd"));
    }
    let apt = Apt::of_this_machine(cache)?;
    if refresh {
        apt.refresh()?;
    }
    let entry = apt.with_indexes(|apt| {
        let version = apt.field(PACKAGE, "Version")?;
        let entry = format!("firmware/{version}");
        cache.entry(&entry, |folder| {
            let step = Step::essential(format!("Fetching {PACKAGE} {version}"));
            let downloads = folder.join("download");
            for deb in apt.download(&[format!("{PACKAGE}={version}")], &downloads, &step)? {
                deb::unpack(&deb, folder, |path| path == FILE)?;
            }
            fs::rename(folder.join(FILE), folder.join("QEMU_EFI.fd"))
                .with_context(|| format!("Debian's package {PACKAGE} {version} has no {FILE}"))?;
            fs::remove_dir_all(downloads)?;
            Ok(fs::remove_dir_all(folder.join("usr"))?)
        })?;
        Ok(entry)
    })?;
    cache.write(current, &entry)?;
    Ok(cache.path(&entry).join("QEMU_EFI.fd"))
}
