//! `mutate`: the checks on a kernel that is changed a little.

use std::fs;

use anyhow::{Context, Result, bail};

use super::{plain, plan, prepare};
use crate::cache::Cache;
use crate::cli::{Host, Options};
use crate::coverage;
use crate::kernel::crc32;
use crate::mutants::{self, Campaign};

/// `cargo xtask mutate`.
pub(crate) fn mutate(cache: &Cache, options: &Options) -> Result<i32> {
    if options.host == Host::Native || options.kernels.len() > 1 {
        bail!(
            "`cargo xtask mutate` changes one kernel of the emulated host: --host native and several --kernel do not apply"
        );
    }
    // Who names the programs sees in the host what is wrong with the arguments.
    if options.programs.is_none()
        && let Some(status) = plan("test", &options.forwarded)?
    {
        return Ok(status);
    }
    coverage::begin(options)?;
    let (kernels, programs) = prepare(cache, options)?;
    let kernel = kernels.first().context("there is no kernel")?;
    let own = ["/bin/vtick", "test", "--journal", "--fail-fast"].map(str::to_owned);
    let argv = [&own[..], &options.forwarded[..]].concat();
    let run = || {
        let mut run = plain(options, &programs, kernel, argv.clone());
        (run.notes, run.mute, run.hush) = (Some(super::survive::NOTE), true, true);
        run
    };
    let program = format!("{:08x}", crc32(&fs::read(&programs.vtick)?));
    mutants::mutate(&Campaign { options, kernel, run: &run, program })
}
