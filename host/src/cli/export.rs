//! `vtick export`: a check as a file of its own.

use std::path::PathBuf;

use super::select::{CHECK, select};
use super::{Done, EXAMPLE_CNTFRQ};
use crate::contract::{Litmus, checks};
use crate::say::print;

#[derive(clap::Args)]
pub(super) struct ExportArgs {
    /// The check to write, as a program for `vtick test --program` (docs/litmus.md).
    #[arg(long, value_name = "CHECK")]
    litmus: String,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<Done> {
    let text = litmus(&args.litmus)?;
    match &args.output {
        None => print!("{text}"),
        Some(path) => std::fs::write(path, text).map_err(|e| anyhow::anyhow!("--output {}: {e}", path.display()))?,
    }
    Ok(Done::Said)
}

fn litmus(name: &str) -> anyhow::Result<String> {
    let chosen = select(CHECK, checks::all(), |check| check.name, &[name.to_owned()])?;
    let [check] = chosen[..] else {
        let names: Vec<_> = chosen.iter().map(|check| check.name).collect();
        anyhow::bail!("--litmus {name}: several checks have this in their names; give one of {}", names.join(", "));
    };
    let (program, _) = check.build(EXAMPLE_CNTFRQ);
    let judged = if program.expectations().is_empty() {
        "# This file does not hold the claim of the check: the program is only judged by whether it comes to its end.\n"
    } else {
        ""
    };
    let litmus = Litmus { claim: check.claim.to_owned(), clause: Some(check.clause.to_string()), program };
    Ok(format!("# {}\n{judged}{litmus}", check.name))
}
