//! `compare` and `report`: what the runner makes of records, which takes no host.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::CANNOT_RUN;
use crate::artifacts;
use crate::cache::Cache;
use crate::cli::Options;
use crate::process::run_in_view;

/// Where a record that was given a name is kept.
pub(super) fn saved(cache: &Cache, name: &str) -> PathBuf {
    cache.path(&format!("records/{name}.json"))
}

/// `cargo xtask compare` and `cargo xtask report`: what the runner makes of records, which takes no host. A record is
/// given as a file or by the name it was saved under.
pub(crate) fn view(cache: &Cache, command: &str, options: &Options) -> Result<i32> {
    let record = |argument: &String| match saved(cache, argument) {
        place if !Path::new(argument).exists() && place.exists() => place.into_os_string(),
        _ => argument.into(),
    };
    let vtick = artifacts::vtick_of_this_machine()?;
    let status = run_in_view(Command::new(vtick).arg(command).args(options.forwarded.iter().map(record)))?;
    Ok(status.code().unwrap_or(CANNOT_RUN))
}
