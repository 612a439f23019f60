//! `vtick export`: a check as a file of its own.

use std::path::{Path, PathBuf};

use super::select::{CHECK, select};
use super::{Done, EXAMPLE_CNTFRQ};
use vtick_contract::{Case, Check, File, Litmus, checks, reproducer};
use vtick_shell::say::print;

#[derive(clap::Args)]
pub(super) struct ExportArgs {
    /// The check with this name, as a program for `vtick test --program` (docs/litmus.md).
    #[arg(long, value_name = "CHECK", required_unless_present = "c", conflicts_with = "c")]
    litmus: Option<String>,
    /// The check with this name, or the program of this .litmus file, as a C program that needs only a compiler and a
    /// kernel.
    #[arg(long, value_name = "CHECK|FILE.litmus")]
    c: Option<String>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<Done> {
    let text = match (&args.litmus, &args.c) {
        (Some(name), _) => litmus(name)?,
        (None, Some(wanted)) => c(wanted)?,
        (None, None) => unreachable!("one of them is required"),
    };
    match &args.output {
        None => print!("{text}"),
        Some(path) => std::fs::write(path, text).map_err(|e| anyhow::anyhow!("--output {}: {e}", path.display()))?,
    }
    Ok(Done::Said)
}

fn check(name: &str) -> anyhow::Result<&'static Check> {
    let chosen = select(CHECK, checks::all(), |check| check.name, &[name.to_owned()])?;
    let [check] = chosen[..] else {
        let names: Vec<_> = chosen.iter().map(|check| check.name).collect();
        anyhow::bail!("{name}: several checks have this in their names; give one of {}", names.join(", "));
    };
    Ok(check)
}

fn c(wanted: &str) -> anyhow::Result<String> {
    let case = match wanted.strip_suffix(".litmus") {
        Some(_) => Case::File(Box::new(File::read(Path::new(wanted)).map_err(anyhow::Error::msg)?)),
        None => Case::Check(check(wanted)?),
    };
    let name = case.name().to_owned();
    reproducer::write(&case).map_err(|why| anyhow::anyhow!("--c {name}: it cannot be said in C: {why}"))
}

fn litmus(name: &str) -> anyhow::Result<String> {
    let check = check(name)?;
    let (program, _) = check.build(EXAMPLE_CNTFRQ);
    let judged = if program.expectations().is_empty() {
        "# This file does not hold the claim of the check: the program is only judged by whether it comes to its end.\n"
    } else {
        ""
    };
    let litmus = Litmus { claim: check.claim.to_owned(), clause: Some(check.clause.to_string()), program };
    Ok(format!("# {}\n{judged}{litmus}", check.name))
}
