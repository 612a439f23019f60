//! A 32-bit Arm kernel of Debian's archive, for guests: armhf's flavour for machines of every kind, `armmp`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::deb;
use crate::progress::Step;

/// What stands for it on a command line.
pub(crate) const NAME: &str = "debian:armmp";
/// The package that depends on the newest one.
const PACKAGE: &str = "linux-image-armmp:armhf";

/// Finds the kernel, and fetches it if need be.
pub(crate) fn from_debian(cache: &Cache, refresh: bool) -> Result<PathBuf> {
    // Which version it was is remembered, so that a second run does not ask the network.
    let current = "armhf/current";
    if !refresh && let Ok(entry) = fs::read_to_string(cache.path(current)) {
        let file = cache.path(&entry).join("zImage");
        if file.exists() {
            return Ok(file);
        }
    }
    let apt = Apt::of_armhf(cache)?;
    if refresh {
        apt.refresh()?;
    }
    let entry = apt.with_indexes(|apt| {
        let depends = apt.dependencies(PACKAGE)?;
        let package = depends.into_iter().find(|name| name.starts_with("linux-image-"));
        let package = package.with_context(|| format!("Debian's package {PACKAGE} depends on no kernel"))?;
        let version = apt.field(&format!("{package}:armhf"), "Version")?;
        let entry = format!("armhf/{package}_{version}");
        cache.entry(&entry, |folder| {
            let step = Step::essential(format!("Fetching {package} {version} for armhf"));
            let (downloads, unpacked) = (folder.join("download"), folder.join("unpacked"));
            for deb in apt.download(&[format!("{package}:armhf={version}")], &downloads, &step)? {
                deb::unpack(&deb, &unpacked, |path| path.starts_with("boot/vmlinuz-"))?;
            }
            let kernel = fs::read_dir(unpacked.join("boot")).ok().and_then(|mut files| files.next());
            let kernel = kernel.with_context(|| format!("Debian's package {package} has no kernel in it"))??;
            fs::rename(kernel.path(), folder.join("zImage"))?;
            fs::remove_dir_all(downloads)?;
            Ok(fs::remove_dir_all(unpacked)?)
        })?;
        Ok(entry)
    })?;
    cache.write(current, &entry)?;
    Ok(cache.path(&entry).join("zImage"))
}
