//! What programs of other people find: words that are misspelt (typos), dependencies that nothing uses (cargo-machete).
//! They are fetched into the cache, in these versions.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts;
use crate::cache::Cache;
use crate::process::{run, run_in_view};
use crate::progress::Step;
use crate::toolchain::cargo;

const TYPOS: &str = "1.52.0";
const MACHETE: &str = "0.9.2";

/// Says what they find; whether that is nothing.
pub(super) fn lint(cache: &Cache) -> Result<bool> {
    let mut clean = true;
    let mut judge = |program: &mut Command| -> Result<()> {
        clean &= run_in_view(program.current_dir(artifacts::workspace()))?.success();
        Ok(())
    };
    judge(&mut Command::new(typos(cache)?))?;
    // Where an argument stands for a folder, its dependencies are judged; without one it takes the current folder.
    judge(&mut Command::new(machete(cache)?))?;
    Ok(clean)
}

/// The Python registry has it as a program; to compile it takes minutes.
fn typos(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry(&format!("tools/typos-{TYPOS}"), |folder| {
        let step = Step::essential("Fetching typos");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"]);
        pip.arg(folder).arg(format!("typos=={TYPOS}"));
        run(&mut pip, Some(&step)).map(|_| ()).context("typos comes through Python's pip (Debian: python3-pip)")
    })?;
    Ok(entry.join("bin/typos"))
}

fn machete(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry(&format!("tools/cargo-machete-{MACHETE}"), |folder| {
        let step = Step::essential("Compiling cargo-machete");
        let target = tempfile::tempdir()?;
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", "--version", MACHETE, "cargo-machete", "--root"]).arg(folder);
        run(install.arg("--target-dir").arg(target.path()), Some(&step)).map(|_| ())
    })?;
    Ok(entry.join("bin/cargo-machete"))
}
