//! `run`: any command in the emulated host.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{emulate, plain, prepare};
use crate::cache::Cache;
use crate::cli::{Host, Options};

/// `cargo xtask run`: any command in the emulated host, as a person at its prompt would give it.
pub(crate) fn run(cache: &Cache, options: &Options) -> Result<i32> {
    if options.forwarded.is_empty() {
        bail!("what is to be run? for example: cargo xtask run -- vtick test");
    }
    if options.host == Host::Native || options.output.is_some() {
        bail!("`cargo xtask run` is for the emulated host: --host native and --output do not apply");
    }
    let (kernels, programs) = prepare(cache, options)?;
    let mut worst = 0;
    for kernel in &kernels {
        let mut run = plain(options, &programs, kernel, options.forwarded.clone());
        run.programs.extend_from_slice(&options.with);
        run.job.collect.clone_from(&options.fetch);
        let (status, files) = emulate(&run)?;
        worst = worst.max(status);
        for path in &options.fetch {
            let (_, contents) = files
                .iter()
                .find(|(name, _)| name == path)
                .with_context(|| format!("--fetch {path}: there was no such file"))?;
            let name = Path::new(path).file_name().with_context(|| format!("--fetch {path} is no file"))?;
            fs::write(name, contents)?;
        }
    }
    Ok(worst)
}
