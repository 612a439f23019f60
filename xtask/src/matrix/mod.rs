//! `cargo xtask matrix`: the checks and the plainest measurements on every combination of kernels and hosts.
//!
//! Each cell of the matrix is a run of this same program in a process of its own, so a kernel that cannot be fetched,
//! does not boot or dies costs its own cell. As many hosts run at once as there are CPUs. A cell that has come to an end
//! is kept: the same runner on the same kernel and host is not run again, and an interrupted matrix resumes.

mod cell;
mod entry;
mod index;
mod jobs;
mod planned;
mod store;
mod wanted;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::cell::Cell;
use self::entry::Entry;
use self::index::Index;
use self::planned::Planned;
use self::store::Store;
use self::wanted::Wanted;
use crate::artifacts;
use crate::cache::Cache;
use crate::cli::Options;
use crate::kernel::{self, Kernel};
use crate::process::{check_interrupted, run_in_view};
use crate::progress::Step;
use crate::toolchain::Toolchain;
use crate::vtick::CANNOT_RUN;

/// Name of the page in the output folder.
const ATLAS: &str = "atlas.html";

/// `cargo xtask matrix`.
///
/// The status is 1 if a cell has a violated check beyond the listed deviations, otherwise 2 if a cell could not be run.
pub(crate) fn matrix(cache: &Cache, options: &Options) -> Result<i32> {
    let wanted = Wanted::parse(&options.forwarded).map_err(anyhow::Error::msg)?;
    let output = wanted.output.clone().unwrap_or_else(|| artifacts::target().join("matrix"));
    std::fs::create_dir_all(&output).with_context(|| format!("cannot make the folder {}", output.display()))?;
    crate::qemu::ensure_installed()?;
    let programs = artifacts::programs(&Toolchain::obtain(cache, options.refresh)?)?;
    let kernels = obtain(cache, &wanted, options.refresh)?;
    let store = Store::open(cache, &programs, wanted.fresh)?;
    let planned = plan(&wanted, &kernels, &store)?;
    let (started, before) = (Instant::now(), jobs::cpu_seconds_of_children());
    let cells = jobs::run(&planned, &store, &programs, options, wanted.jobs)?;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), jobs::cpu_seconds_of_children() - before);
    let index = Index::new(cells);
    index.write(&output, &store)?;
    let status = show(&output)?;
    let count = |is: fn(&Planned) -> bool| planned.iter().filter(|cell| is(cell)).count();
    eprintln!(
        "{}: {} run now, {} kept from before, {} without a kernel; {wall:.0} s with {} at once, {cpu:.0} s of CPU time",
        counted(planned.len()),
        count(|cell| cell.kept.is_none()),
        count(|cell| cell.kept.is_some() && !cell.key.is_empty()),
        count(|cell| cell.key.is_empty()),
        wanted.jobs,
    );
    Ok(status.max(index.status()))
}

/// `cargo xtask merge`: the matrix whose shards are in these folders.
pub(crate) fn merge(options: &Options) -> Result<i32> {
    let Some(output) = &options.output else { bail!("`cargo xtask merge` needs --output FOLDER") };
    if options.forwarded.is_empty() {
        bail!("`cargo xtask merge` needs the folders of the shards: cargo xtask merge A B --output C");
    }
    std::fs::create_dir_all(output).with_context(|| format!("cannot make the folder {}", output.display()))?;
    let folders: Vec<PathBuf> = options.forwarded.iter().map(PathBuf::from).collect();
    let index = Index::merge(&folders, output)?;
    Ok(show(output)?.max(index.status()))
}

/// Prints the table and writes the page, both of which are the runner's.
fn show(output: &Path) -> Result<i32> {
    let vtick = artifacts::vtick_of_this_machine()?;
    let page = output.join(ATLAS);
    let status = run_in_view(Command::new(vtick).arg("report").arg(output.join(index::FILE)).arg("--html").arg(&page))?;
    Ok(if status.success() { 0 } else { CANNOT_RUN })
}

/// The kernels by name, each with its Image or the reason why there is none.
type Kernels = Vec<(String, Result<Kernel, String>)>;

fn obtain(cache: &Cache, wanted: &Wanted, refresh: bool) -> Result<Kernels> {
    let names = wanted.kernels(|| kernel::cloud_releases(cache, refresh))?;
    let mut kernels = Vec::new();
    for name in names {
        check_interrupted()?;
        let kernel = kernel::obtain(cache, &name, refresh).map_err(|error| format!("{error:#}"));
        check_interrupted()?;
        if let Err(error) = &kernel {
            eprintln!("{name}: {error}");
        }
        kernels.push((name, kernel));
    }
    Ok(kernels)
}

fn counted(number: usize) -> String {
    format!("{number} cell{}", if number == 1 { "" } else { "s" })
}

/// The product of kernels and hosts, as far as this shard has it.
fn plan(wanted: &Wanted, kernels: &Kernels, store: &Store) -> Result<Vec<Planned>> {
    let _step = Step::new("Looking which cells are known");
    let mut planned = Vec::new();
    let mut place = 0;
    for (name, kernel) in kernels {
        let digest = kernel.as_ref().ok().map(Store::of_kernel).transpose()?;
        for host in wanted.hosts() {
            let cell = Cell { place, kernel: name.clone(), host };
            place += 1;
            if !wanted.has(cell.place) {
                continue;
            }
            let key = digest.as_ref().map(|kernel| store.key(&cell, kernel, wanted));
            let kept = match (kernel, &key) {
                (Err(problem), _) => Some(Entry::without_kernel(&cell, problem)),
                (Ok(_), Some(key)) => store.kept(&cell, key),
                (Ok(_), None) => None,
            };
            planned.push(Planned { cell, key: key.unwrap_or_default(), kept, steps: wanted.steps() });
        }
    }
    Ok(planned)
}
