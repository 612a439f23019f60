//! Which instructions of the kernel under test run: counted on the kernel as it is, by QEMU's log of the code that it
//! translates. What belongs together is data: a list of functions, and a list of what is known to be out of reach.

mod code;
mod debug_info;
mod disassembly;
mod functions;
mod lcov;
mod lines;
mod listed;
mod log;
mod page;
mod patch;
mod reach;
mod report;
mod symbols;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use cargo_binutils::Tool;
use tempfile::TempDir;

#[cfg(test)]
pub(crate) use self::code::Code;
pub(crate) use self::code::FunctionCode;
use self::functions::Function;
use self::report::{Coverage, KernelCoverage};
use self::symbols::Symbols;
use crate::artifacts;
use crate::cache::Cache;
use crate::cli::{Host, Options, SourceOptions};
use crate::emulated::CodeLog;
use crate::kernel::{Kernel, crc32};
use crate::qemu::{Gic, Machine, Mode};
use crate::toolchain::Toolchain;

/// A command whose runs of the emulated host are all logged.
struct Session {
    functions: Vec<Function>,
    folder: TempDir,
    kernels: BTreeMap<String, Watched>,
}

/// A kernel whose code is logged.
struct Watched {
    image: String,
    symbols: Symbols,
    functions: Vec<FunctionCode>,
    /// The hosts that it was booted on, each with its log.
    runs: Vec<(String, PathBuf)>,
}

/// The command under way. One for the whole program, as there is one command.
static SESSION: Mutex<Option<Session>> = Mutex::new(None);

fn session() -> MutexGuard<'static, Option<Session>> {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command; with `--coverage`, every run of the emulated host in it is logged, and the table comes behind what the
/// command prints.
pub(crate) fn around(cache: &Cache, options: &Options, command: impl FnOnce(&Options) -> Result<i32>) -> Result<i32> {
    if !options.coverage {
        return command(options);
    }
    if options.host == Host::Native {
        bail!("--coverage is for the emulated host: --host native does not apply");
    }
    options.sources.check()?;
    begin(options)?;
    let emulated = Options { host: Host::Emulated, ..options.clone() };
    let status = command(&emulated);
    let session = session().take().context("the coverage is gone")?;
    let status = status?;
    let coverage = Coverage::new(session.finish()?);
    if let Some(file) = &options.coverage_file {
        coverage.write(file)?;
        eprintln!("the coverage is in {}", file.display());
    }
    show(cache, &coverage, options)?;
    Ok(status)
}

/// From now on, every run of the emulated host is logged.
pub(crate) fn begin(options: &Options) -> Result<()> {
    let default = || artifacts::workspace().join("tests/kernel/functions.txt");
    let functions = match &options.only[..] {
        [] => functions::read(&options.functions.clone().unwrap_or_else(default))?,
        names => {
            let function = |name: &String| Function { title: String::new(), names: vec![name.clone()] };
            names.iter().map(function).collect()
        }
    };
    *session() = Some(Session { functions, folder: tempfile::tempdir()?, kernels: BTreeMap::new() });
    Ok(())
}

/// `cargo xtask coverage`: the checks on all hosts, or what earlier runs wrote.
pub(crate) fn coverage(cache: &Cache, options: &Options, test: impl Fn(&Options) -> Result<i32>) -> Result<i32> {
    options.sources.check()?;
    // No check has such a name. A file that is missing is then named as a file, not as a check.
    let is_file = |argument: &String| !argument.starts_with('-') && argument.contains(['/', '.']);
    if !options.forwarded.is_empty() && options.forwarded.iter().all(is_file) {
        show(cache, &Coverage::read(&options.forwarded)?, options)?;
        return Ok(0);
    }
    around(cache, &Options { coverage: true, ..options.clone() }, |options| {
        let mut worst = 0;
        for machine in machines(&options.machine) {
            println!("== {}", machine.describe());
            worst = worst.max(test(&Options { machine, ..options.clone() })?);
        }
        println!();
        Ok(worst)
    })
}

/// The hosts on which different code of KVM runs.
///
/// One with VHE and a GIC without virtualisation support is not among them: the checks of the physical timer take it down one
/// after the other, and each time the silence has to be waited for.
fn machines(given: &Machine) -> Vec<Machine> {
    let default = || given.clone();
    vec![
        default(),
        Machine { mode: Some(Mode::Nvhe), ..default() },
        Machine { mode: Some(Mode::Protected), ..default() },
        Machine { cpus: 2, ..default() },
        Machine { gic: Gic::V2, ..default() },
        Machine { gic: Gic::NotVirtual, mode: Some(Mode::Nvhe), ..default() },
    ]
}

/// Prepares for a kernel's runs. `kallsyms` boots it and brings back its symbols, which are kept.
pub(crate) fn watch(cache: &Cache, kernel: &Kernel, kallsyms: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
    if session().is_none() {
        return Ok(());
    }
    let image = fs::read(&kernel.image).with_context(|| format!("cannot read {}", kernel.image.display()))?;
    let name = format!("{:x}-{:08x}", image.len(), crc32(&image));
    // The boot is no run that counts: the kernel is not watched yet.
    let folder =
        cache.entry(&format!("symbols/{name}"), |folder| Ok(fs::write(folder.join("kallsyms"), kallsyms()?)?))?;
    let symbols = Symbols::parse(&String::from_utf8_lossy(&fs::read(folder.join("kallsyms"))?))?;
    if let Some(session) = &mut *session() {
        let functions = code::of(&session.functions, &symbols, &image)?;
        if functions.iter().all(|function| function.parts.is_empty()) {
            bail!("{} has none of the functions that are listed", kernel.name);
        }
        session.kernels.entry(kernel.name.clone()).or_insert(Watched {
            image: name,
            symbols,
            functions,
            runs: Vec::new(),
        });
    }
    Ok(())
}

/// Where a run of this kernel logs its code, if it is to.
pub(crate) fn log_of(kernel: &Kernel, machine: &Machine) -> Option<CodeLog> {
    let mut session = session();
    let Session { kernels, folder, .. } = session.as_mut()?;
    let number: usize = kernels.values().map(|watched| watched.runs.len()).sum();
    let watched = kernels.get_mut(&kernel.name)?;
    let file = folder.path().join(format!("{number}.log"));
    watched.runs.push((machine.describe(), file.clone()));
    let parts = watched.functions.iter().flat_map(|function| &function.parts);
    let ranges = parts.map(|part| part.start..part.start + 4 * part.words.len().max(1) as u64).collect();
    Some(CodeLog { ranges, file })
}

/// The code of a kernel's functions, with what has run so far.
pub(crate) fn ran(kernel: &Kernel) -> Result<Vec<FunctionCode>> {
    let session = session();
    let watched =
        session.as_ref().and_then(|session| session.kernels.get(&kernel.name)).context("it is not watched")?;
    let mut functions = watched.functions.clone();
    for (_, file) in &watched.runs {
        code::take(&mut functions, &log::read(file)?);
    }
    Ok(functions)
}

impl Session {
    /// What came of the runs.
    fn finish(self) -> Result<Vec<KernelCoverage>> {
        let mut kernels = Vec::new();
        for (kernel, mut watched) in self.kernels {
            let mut hosts = Vec::new();
            for (host, file) in watched.runs {
                code::take(&mut watched.functions, &log::read(&file)?);
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
            let (image, symbols) = (watched.image, watched.symbols.named(&reach::NO_RETURN));
            kernels.push(KernelCoverage { kernel, image, hosts, symbols, functions: watched.functions });
        }
        Ok(kernels)
    }
}

/// The table, and what else was asked for.
fn show(cache: &Cache, coverage: &Coverage, options: &Options) -> Result<()> {
    let list = listed::read(&artifacts::workspace().join("tests/kernel/out-of-reach.txt"))?;
    for kernel in &coverage.kernels {
        print!("\n{}", kernel.table(&list, options.verbose));
    }
    let SourceOptions { debug_info, lcov, .. } = &options.sources;
    let Some(debug_info) = debug_info else { return write_page(cache, coverage, &list, None, options) };
    let [kernel] = &coverage.kernels[..] else { bail!("--debug-info is of one kernel, and there are several") };
    let lines = lines::of(&debug_info::obtain(cache, debug_info, &kernel.kernel)?, kernel)?;
    let tree = options.sources.tree.as_deref();
    if let Some(file) = lcov {
        fs::write(file, lcov::write(&lines, tree)).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("the coverage by lines is in {}", file.display());
    }
    if let Some(diff) = options.sources.diff()? {
        print!("\n{}", patch::report(&diff, &lines, tree)?);
    }
    write_page(cache, coverage, &list, tree.map(|tree| page::Lines { sources: &lines, tree }), options)
}

/// The page, if it is wanted.
fn write_page(
    cache: &Cache,
    coverage: &Coverage,
    list: &[listed::Entry],
    lines: Option<page::Lines>,
    options: &Options,
) -> Result<()> {
    let Some(file) = &options.sources.page else { return Ok(()) };
    let objdump = Toolchain::obtain(cache, false)?.tool(Tool::Objdump)?;
    let page = page::write(coverage, list, lines.as_ref(), &objdump)?;
    fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("the page is in {}", file.display());
    Ok(())
}
