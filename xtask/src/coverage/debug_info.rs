//! The kernel with debugging information (vmlinux), by which an instruction has a line of source.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::deb;
use crate::progress::Step;

/// The vmlinux of a kernel: that of Debian's package of debugging information, or a file.
pub(crate) fn obtain(cache: &Cache, wanted: &str, kernel: &str) -> Result<PathBuf> {
    if wanted != "debian" {
        return Ok(PathBuf::from(wanted));
    }
    let Some(release) = kernel.strip_prefix("debian:") else {
        bail!("--debug-info debian: {kernel} is no kernel of Debian's archive; give the path of its vmlinux");
    };
    let package = format!("linux-image-{release}-dbg:arm64");
    let folder = cache.entry(&format!("debug-info/{release}"), |folder| {
        let apt = Apt::of_all_kernels(cache)?;
        let step = Step::essential(format!("Fetching debugging information of kernel {release}"));
        let downloads = folder.join("download");
        let debs = apt.with_indexes(|apt| apt.download(std::slice::from_ref(&package), &downloads, &step))?;
        for file in debs {
            deb::unpack(&file, folder, |path| path.starts_with("usr/lib/debug/boot/vmlinux"))?;
        }
        fs::rename(folder.join(format!("usr/lib/debug/boot/vmlinux-{release}")), folder.join("vmlinux"))
            .with_context(|| format!("Debian's package {package} has no vmlinux in it"))?;
        remove(&folder.join("usr"))?;
        remove(&downloads)
    })?;
    Ok(folder.join("vmlinux"))
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
