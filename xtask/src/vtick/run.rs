//! `run`: any command in the emulated host, or on another machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use vtick_shell::{MOST, check_writable, open_regular};

use super::{check_target, emulate, plain, prepare};
use crate::artifacts;
use crate::cache::Cache;
use crate::cli::{Host, Options};
use crate::emulated::Files;
use crate::target::Work;
use crate::toolchain::Toolchain;

/// `cargo xtask run`: any command in the emulated host, as a person at its prompt would give it.
pub(crate) fn run(cache: &Cache, options: &Options) -> Result<i32> {
    if options.forwarded.is_empty() {
        bail!("what is to be run? for example: cargo xtask run -- vtick test");
    }
    if options.host == Host::Native || options.output.is_some() {
        bail!("`cargo xtask run` is for the emulated host: --host native and --output do not apply");
    }
    for file in &options.with {
        open_regular("--with", file, MOST).map_err(anyhow::Error::msg)?;
    }
    for path in &options.fetch {
        check_writable("--fetch", fetched(path)?).map_err(anyhow::Error::msg)?;
    }
    if let Some(target) = &options.target {
        check_target(options)?;
        let mut programs = vec![artifacts::programs(&Toolchain::obtain(cache, options.refresh)?)?.vtick];
        programs.extend_from_slice(&options.with);
        let (argv, fetch) = (options.forwarded.clone(), options.fetch.clone());
        let (status, files) = target.run(Work { programs, argv, fetch, limit: options.timeout })?;
        keep(options, &files)?;
        return Ok(status);
    }
    let (kernels, programs) = prepare(cache, options)?;
    let mut worst = 0;
    for kernel in &kernels {
        let mut run = plain(options, &programs, kernel, options.forwarded.clone());
        run.programs.extend_from_slice(&options.with);
        run.job.collect.clone_from(&options.fetch);
        let (status, files) = emulate(&run)?;
        worst = worst.max(status);
        keep(options, &files)?;
    }
    Ok(worst)
}

/// Writes the files that were to be brought back into the current folder.
fn keep(options: &Options, files: &Files) -> Result<()> {
    for path in &options.fetch {
        let found = files.iter().find(|(name, _)| name == path);
        let (_, contents) = found.with_context(|| format!("--fetch {path}: there was no such file"))?;
        let name = fetched(path)?;
        fs::write(name, contents).with_context(|| format!("--fetch {path}: cannot write {}", name.display()))?;
    }
    Ok(())
}

/// Where a file of the emulated host goes: into the current folder.
fn fetched(path: &str) -> Result<&Path> {
    let name = Path::new(path).file_name().with_context(|| format!("--fetch {path} is no file"))?;
    Ok(Path::new(name))
}
