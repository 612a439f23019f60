//! The kernel under test: a file, a kernel's build tree, or a package of Debian's archive by version or suite.

mod archive;
mod needs;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use vtick_shell::{MOST_OF_KERNEL, read_regular};

pub(crate) use self::archive::{between, cloud_releases, list};
pub(crate) use self::needs::fragment;
use crate::cache::Cache;

/// What is tested when nothing else is asked for.
pub(crate) const DEFAULT: &str = "debian:6.12";

/// A kernel ready to be booted.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// What to call it: a package's version, or the path that was given.
    pub(crate) name: String,
    /// A plain arm64 Image.
    pub(crate) image: PathBuf,
}

/// Finds the kernel that `wanted` names, and fetches it if need be.
pub(crate) fn obtain(cache: &Cache, wanted: &str, refresh: bool) -> Result<Kernel> {
    match wanted.strip_prefix("debian:") {
        Some(wanted) => archive::obtain(cache, wanted, refresh),
        None if is_tree(wanted) => from_file(cache, wanted, &tree::image(Path::new(wanted))?),
        None => from_file(cache, wanted, Path::new(wanted)),
    }
}

/// The kernel of Debian's that `wanted` names, where it has been fetched.
pub(crate) fn there(cache: &Cache, wanted: &str) -> Result<Option<Kernel>> {
    wanted.strip_prefix("debian:").map_or(Ok(None), |wanted| archive::there(cache, wanted))
}

/// Whether a build tree is what `wanted` names.
pub(crate) fn is_tree(wanted: &str) -> bool {
    !wanted.starts_with("debian:") && Path::new(wanted).is_dir()
}

fn from_file(cache: &Cache, name: &str, path: &Path) -> Result<Kernel> {
    let name = name.to_owned();
    let file = read_regular("--kernel", path, MOST_OF_KERNEL).map_err(|error| {
        let hint = if name.contains('/') { "" } else { "; a kernel of Debian's archive is named debian:VERSION" };
        anyhow::anyhow!("{error}{hint}")
    })?;
    let length = file.len();
    let image = vtick_kernel_image::plain(file).map_err(|what| anyhow::anyhow!("--kernel {name} {what}"))?;
    if image.len() == length {
        return Ok(Kernel { name, image: path.to_owned() });
    }
    let place = format!("unpacked/{:x}-{:08x}", image.len(), crc32(&image));
    let folder = cache.entry(&place, |folder| Ok(fs::write(folder.join("Image"), &image)?))?;
    Ok(Kernel { name, image: folder.join("Image") })
}

/// Tells one Image from another.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
