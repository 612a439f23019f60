//! `compare`, `report`, `export` and `selftest`: what the runner makes of records and checks, which takes no host.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::CANNOT_RUN;
use crate::artifacts;
use crate::cache::Cache;
use crate::cli::Options;
use crate::process::{run, run_in_view};

/// Where a record that was given a name is kept.
pub(super) fn saved(cache: &Cache, name: &str) -> PathBuf {
    cache.path(&format!("records/{name}.json"))
}

/// Names of all records that are kept.
fn all_saved(cache: &Cache) -> Vec<String> {
    let folder = fs::read_dir(cache.path("records"));
    let names = folder.into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
    names.sort();
    names
}

/// Options of the runner's that have a value.
const WITH_VALUE: [&str; 5] = ["--fail-over", "--html", "--as", "--kcidb-origin", "--kcidb-build"];

/// `cargo xtask compare` and `cargo xtask report`: what the runner makes of records, which takes no host. A record is
/// given as a file or by the name it was saved under.
pub(crate) fn view(cache: &Cache, command: &str, options: &Options) -> Result<i32> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut is_value = false;
    for argument in &options.forwarded {
        let is_record = !is_value && !argument.starts_with('-');
        is_value = WITH_VALUE.contains(&argument.as_str());
        let place = saved(cache, argument);
        arguments.push(match argument {
            argument if !is_record || Path::new(argument).exists() => argument.into(),
            _ if place.exists() => place.into(),
            argument => {
                let kept = all_saved(cache);
                let kept = if kept.is_empty() { "none yet".to_owned() } else { kept.join(", ") };
                bail!("{argument}: neither a file nor a record that `cargo xtask bench --save` keeps (kept: {kept})");
            }
        });
    }
    on_this_machine(command, &arguments)
}

/// `cargo xtask export`: what the runner writes of a check, which takes no host either.
pub(crate) fn export(options: &Options) -> Result<i32> {
    on_this_machine("export", &forwarded(options))
}

/// `cargo xtask selftest`: the test that the runner writes for the kernel's own suite, signed off by whom git knows.
pub(crate) fn selftest(options: &Options) -> Result<i32> {
    let mut arguments = forwarded(options);
    if !options.forwarded.iter().any(|argument| argument.starts_with("--author")) {
        let known = |name: &str| run(Command::new("git").args(["config", name]), None).ok();
        if let (Some(name), Some(address)) = (known("user.name"), known("user.email")) {
            arguments.extend(["--author".into(), format!("{} <{}>", name.trim(), address.trim()).into()]);
        }
    }
    on_this_machine("selftest", &arguments)
}

/// The arguments for the runner, which writes to --output itself.
fn forwarded(options: &Options) -> Vec<OsString> {
    let output = options.output.iter().flat_map(|path| ["--output".into(), path.into()]);
    options.forwarded.iter().map(OsString::from).chain(output).collect()
}

fn on_this_machine(command: &str, arguments: &[OsString]) -> Result<i32> {
    let vtick = artifacts::vtick_of_this_machine()?;
    let status = run_in_view(Command::new(vtick).arg(command).args(arguments))?;
    Ok(status.code().unwrap_or(CANNOT_RUN))
}
