//! Unpacks Debian packages without installing them.

use std::fs;
use std::io::Read;
use std::path::{Component, Path};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::spawn;

/// Unpacks those files of `package` into `folder` whose path (such as `usr/bin/rustc`) is wanted.
pub(crate) fn unpack(package: &Path, folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.arg("--fsys-tarfile").arg(package).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = spawn(&mut command)?;
    let stdout = running.0.stdout.take().context("dpkg-deb has no output")?;
    let mut archive = tar::Archive::new(stdout);
    let unpacked = unpack_archive(&mut archive, folder, wanted);
    // To its end, or dpkg-deb would fail for want of a reader; then what it says of its own failure comes first.
    let mut rest = archive.into_inner();
    let drained = std::io::copy(&mut rest, &mut std::io::sink());
    let mut said = String::new();
    running.0.stderr.take().context("dpkg-deb has no error output")?.read_to_string(&mut said)?;
    let status = running.0.wait()?;
    ensure!(status.success(), "cannot unpack {} (a truncated download?): {}", package.display(), said.trim());
    drained?;
    unpacked.with_context(|| format!("cannot unpack {}", package.display()))
}

fn unpack_archive<R: Read>(archive: &mut tar::Archive<R>, folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    for entry in archive.entries()? {
        crate::process::check_interrupted()?;
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let inside: std::path::PathBuf = path.components().filter(|c| matches!(c, Component::Normal(_))).collect();
        if entry.header().entry_type().is_dir() || !wanted(&inside.to_string_lossy()) {
            continue;
        }
        if let Some(parent) = inside.parent() {
            fs::create_dir_all(folder.join(parent))?;
        }
        // Checks that nothing, not even through a link, is written outside the folder.
        ensure!(entry.unpack_in(folder)?, "{} would be outside", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package made here; `None` where Debian's tools are not installed, and nothing can be unpacked either.
    fn package(folder: &Path) -> Option<std::path::PathBuf> {
        if Command::new("dpkg-deb").arg("--version").output().is_err() {
            eprintln!("skipped: there is no dpkg-deb here");
            return None;
        }
        let tree = folder.join("tree");
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::create_dir_all(tree.join("boot")).unwrap();
        let control = "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: m <m@localhost>\nDescription: d\n";
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        // Enough that a truncated package is cut inside the data.
        let noise: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(tree.join("boot/vmlinuz-1"), &noise).unwrap();
        fs::write(tree.join("boot/System.map-1"), "").unwrap();
        let built = Command::new("dpkg-deb").args(["--root-owner-group", "-b"]).args([&tree, folder]).output().unwrap();
        assert!(built.status.success(), "{built:?}");
        Some(folder.join("x_1_all.deb"))
    }

    #[test]
    fn only_wanted_files_are_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let Some(package) = package(folder.path()) else { return };
        let out = folder.path().join("out");
        unpack(&package, &out, |path| path.starts_with("boot/vmlinuz")).unwrap();
        assert_eq!(fs::read(out.join("boot/vmlinuz-1")).unwrap().len(), 100_000);
        assert!(!out.join("boot/System.map-1").exists());
    }

    #[test]
    fn a_truncated_package_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let Some(package) = package(folder.path()) else { return };
        let whole = fs::read(&package).unwrap();
        fs::write(&package, &whole[..whole.len() / 2]).unwrap();
        let error = unpack(&package, &folder.path().join("out"), |_| true).unwrap_err().to_string();
        assert!(error.contains("x_1_all.deb (a truncated download?)"), "{error}");
    }
}
