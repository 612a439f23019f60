//! `test`, `bench` and `run`: everything built, fetched and checked, then run on each kernel.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use vtick_frame::{Exit, Job};

use crate::artifacts::{self, Programs};
use crate::cache::Cache;
use crate::cli::{Host, Options};
use crate::emulated::{Died, Files, Run, SETTLE};
use crate::kernel::{self, Kernel};
use crate::process::{capture, run_in_view};
use crate::toolchain::{Toolchain, cargo};
use crate::{native, qemu};

/// Where the runner writes its record in the emulated host.
const RECORD: &str = "/run/record.json";
/// Where it finds the journal of the runs before it.
const JOURNAL: &str = "/journal";
/// What stands in front of its notes for that journal.
const NOTE: char = '@';
/// More notes than any run has: each boot adds some, so this bounds them.
const MOST_NOTES: usize = 10_000;
/// Status of a run that could not take place.
pub(crate) const CANNOT_RUN: i32 = 2;

/// `cargo xtask test`.
pub(crate) fn test(cache: &Cache, options: &Options) -> Result<i32> {
    if let Some(status) = refused("test", options)? {
        return Ok(status);
    }
    if !options.select() {
        let status = run_in_view(cargo().args(["test", "--workspace"]).current_dir(artifacts::workspace()))?;
        if !status.success() {
            return Ok(1);
        }
    }
    check("test", cache, options)
}

/// `cargo xtask bench`.
pub(crate) fn bench(cache: &Cache, options: &Options) -> Result<i32> {
    let mut options = options.clone();
    if let Some(name) = &options.save {
        if options.output.is_some() {
            bail!("--save and --output both say where the record goes: give one of them");
        }
        let place = saved(cache, name);
        fs::create_dir_all(place.parent().unwrap_or(Path::new(".")))?;
        options.output = Some(place);
    }
    match refused("bench", &options)? {
        Some(status) => Ok(status),
        None => check("bench", cache, &options),
    }
}

/// Where a record that was given a name is kept.
fn saved(cache: &Cache, name: &str) -> PathBuf {
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

/// Whatever can be known to be wrong is said before the long work. `Some` is the status to end with.
fn refused(command: &str, options: &Options) -> Result<Option<i32>> {
    if command == "test" && options.save.is_some() {
        bail!("--save keeps measurements: it belongs to `cargo xtask bench`");
    }
    if !options.with.is_empty() || !options.fetch.is_empty() {
        bail!("--with and --fetch belong to `cargo xtask run`");
    }
    for output in outputs(options)? {
        check_writable(&output)?;
    }
    plan(command, &options.forwarded)
}

/// Asks the runner, built for this machine, what it thinks of its arguments.
fn plan(command: &str, arguments: &[String]) -> Result<Option<i32>> {
    let vtick = artifacts::vtick_of_this_machine()?;
    let captured = capture(Command::new(vtick).args([command, "--plan"]).args(arguments), None)?;
    match captured.status.code() {
        Some(0) => Ok(None),
        // It has answered: --list, --explain and the like need no host.
        Some(3) => {
            print!("{}", captured.stdout);
            Ok(Some(0))
        }
        _ => {
            eprintln!("{}", captured.said.join("\n"));
            Ok(Some(CANNOT_RUN))
        }
    }
}

/// Runs `vtick COMMAND` with the forwarded arguments on every kernel that is asked for. The worst status counts.
fn check(command: &str, cache: &Cache, options: &Options) -> Result<i32> {
    let arguments = [&[command.to_owned()], &options.forwarded[..]].concat();
    if runs_natively(options)? {
        let programs = artifacts::programs(&Toolchain::obtain(cache, options.refresh)?)?;
        let output = options.output.iter().flat_map(|path| ["--output".to_owned(), path.display().to_string()]);
        return native::run(&programs.vtick, &arguments.iter().cloned().chain(output).collect::<Vec<_>>());
    }
    let mut argv = [&["/bin/vtick".to_owned()], &arguments[..], &["--output".to_owned(), RECORD.to_owned()]].concat();
    if command == "test" {
        argv.push("--journal".to_owned());
    }
    let (kernels, programs) = prepare(cache, options)?;
    let mut worst = 0;
    let scratch = tempfile::tempdir()?;
    let mut asked = outputs(options)?.into_iter();
    let mut records = Vec::new();
    for (index, kernel) in kernels.iter().enumerate() {
        let output = asked.next().unwrap_or_else(|| scratch.path().join(format!("{index}.json")));
        if kernels.len() > 1 {
            println!("== {}", kernel.name);
        }
        match survive(options, &programs, kernel, &argv) {
            Ok((status, files)) => {
                worst = worst.max(status);
                // A run that was refused has said why, and left none.
                if status != CANNOT_RUN {
                    keep(&files, &output)?;
                    records.push(output);
                }
            }
            // The other kernels are still worth their answer; this one was none.
            Err(error) if !error.is::<crate::process::Interrupted>() && kernels.len() > 1 => {
                eprintln!("error: {error:#}");
                worst = worst.max(CANNOT_RUN);
            }
            Err(error) => return Err(error),
        }
    }
    if command == "bench" && records.len() > 1 {
        let vtick = artifacts::vtick_of_this_machine()?;
        run_in_view(Command::new(vtick).args(["report", "--side-by-side"]).args(&records))?;
    }
    Ok(worst)
}

/// Runs `argv` in a fresh host as often as it takes the host down with it, each time going on behind what did: the runner
/// keeps a journal on lines that start with a mark, and is given it back.
fn survive(options: &Options, programs: &Programs, kernel: &Kernel, argv: &[String]) -> Result<(i32, Files)> {
    let mut journal: Vec<String> = Vec::new();
    let mut status = 0;
    loop {
        let mut argv = argv.to_vec();
        let mut files = Vec::new();
        if !journal.is_empty() {
            argv.extend(["--resume".to_owned(), JOURNAL.to_owned()]);
            files.push((JOURNAL.to_owned(), (journal.join("\n") + "\n").into_bytes()));
        }
        let job = job(argv, vec![RECORD.to_owned()]);
        let error = match emulate(options, programs, &[], kernel, &job, &files, Some(NOTE)) {
            Ok((ended, files)) => return Ok((status.max(ended), files)),
            Err(error) => error,
        };
        let died = error.downcast::<Died>()?;
        // Only what was under way can be blamed and left out. Of anything else a fresh host would die again.
        if died.notes.is_empty() || journal.len() > MOST_NOTES {
            return Err(died.into());
        }
        eprintln!("{died}\ngoing on in a fresh host");
        journal.extend(died.notes);
        journal.push(format!("{NOTE}died {}", died.how));
        status = 1;
    }
}

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
        let job = job(options.forwarded.clone(), options.fetch.clone());
        let (status, files) = emulate(options, &programs, &options.with, kernel, &job, &[], None)?;
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

fn runs_natively(options: &Options) -> Result<bool> {
    let native = match options.host {
        Host::Native => true,
        Host::Emulated => false,
        Host::Auto => native::possible() && options.kernels.is_empty() && options.machine == qemu::Machine::default(),
    };
    if native {
        native::check()?;
        if !options.kernels.is_empty() || options.machine != qemu::Machine::default() {
            bail!(
                "--host native runs on the kernel and the machine that are here: options that choose others do not apply"
            );
        }
    }
    Ok(native)
}

/// The kernels and the programs. First what can be refused, then what takes long.
fn prepare(cache: &Cache, options: &Options) -> Result<(Vec<Kernel>, Programs)> {
    let wanted = if options.kernels.is_empty() { vec![kernel::DEFAULT.to_owned()] } else { options.kernels.clone() };
    let obtain = |kernel: &String| kernel::obtain(cache, kernel, options.refresh);
    let kernels = wanted.iter().map(obtain).collect::<Result<Vec<_>>>()?;
    qemu::ensure_installed()?;
    let programs = artifacts::programs(&Toolchain::obtain(cache, options.refresh)?)?;
    Ok((kernels, programs))
}

fn job(argv: Vec<String>, collect: Vec<String>) -> Job {
    // The same environment everywhere: what a shell here happens to export would move the stack of what is measured.
    let env = [("PATH", "/bin"), ("HOME", "/tmp"), ("TERM", "dumb")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Job { argv, env, collect, settle: SETTLE }
}

/// One run in the emulated host: its status, and the files it left.
fn emulate(
    options: &Options,
    programs: &Programs,
    with: &[PathBuf],
    kernel: &Kernel,
    job: &Job,
    put: &[(String, Vec<u8>)],
    notes: Option<char>,
) -> Result<(i32, Files)> {
    let name: String =
        kernel.name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-+".contains(c) { c } else { '_' }).collect();
    let run = Run {
        kernel,
        machine: &options.machine,
        agent: &programs.agent,
        programs: &[std::slice::from_ref(&programs.vtick), with].concat(),
        job,
        notes,
        files: put,
        silence: options.silence,
        timeout: options.timeout,
        log: &artifacts::target().join("kernel-log").join(format!("{name}.log")),
    };
    let outcome = run.run()?;
    let status = match outcome.exit {
        Exit::Code(code) => code.into(),
        Exit::Signal(signal) => {
            eprintln!("error: in the emulated host, {} was {}", job.argv.join(" "), outcome.exit);
            128 + i32::from(signal)
        }
    };
    Ok((status, outcome.files))
}

fn keep(files: &Files, output: &Path) -> Result<()> {
    let Some((_, record)) = files.iter().find(|(path, _)| path == RECORD) else {
        bail!("the run left no record to write to {}", output.display());
    };
    fs::write(output, record).with_context(|| format!("cannot write {}", output.display()))
}

/// One file for one kernel; for several, the file's name with each kernel's in it.
fn outputs(options: &Options) -> Result<Vec<PathBuf>> {
    let Some(output) = &options.output else { return Ok(Vec::new()) };
    let file_name = output.file_name().with_context(|| format!("--output {} names no file", output.display()))?;
    if options.kernels.len() < 2 {
        return Ok(vec![output.clone()]);
    }
    let stem = Path::new(file_name).file_stem().unwrap_or_default().to_string_lossy();
    let extension = Path::new(file_name).extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    let name = |kernel: &String| kernel.trim_start_matches("debian:").replace('/', "_");
    Ok(options
        .kernels
        .iter()
        .map(|kernel| output.with_file_name(format!("{stem}-{}{extension}", name(kernel))))
        .collect())
}

/// Tries it, and leaves no trace.
fn check_writable(output: &Path) -> Result<()> {
    let existed = output.exists();
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(output)
        .with_context(|| format!("--output {}: it can't be written", output.display()))?;
    if !existed {
        fs::remove_file(output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::parse(line.split_whitespace().map(str::to_owned)).unwrap()
    }

    #[test]
    fn several_kernels_have_a_record_each() {
        let one = outputs(&options("--output a/r.json --kernel debian:6.1")).unwrap();
        assert_eq!(one, [PathBuf::from("a/r.json")]);
        let two = outputs(&options("--output a/r.json --kernel debian:6.1 --kernel /k/Image")).unwrap();
        assert_eq!(two, [PathBuf::from("a/r-6.1.json"), PathBuf::from("a/r-_k_Image.json")]);
    }

    #[test]
    fn an_output_that_cannot_be_written_is_an_error_and_a_possible_one_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let error = format!("{:#}", check_writable(&folder.path().join("absent/r.json")).unwrap_err());
        assert!(error.contains("absent/r.json: it can't be written"), "{error}");
        assert!(check_writable(folder.path()).is_err(), "a folder");
        let possible = folder.path().join("r.json");
        check_writable(&possible).unwrap();
        assert!(!possible.exists());
        fs::write(&possible, "kept").unwrap();
        check_writable(&possible).unwrap();
        assert_eq!(fs::read_to_string(possible).unwrap(), "kept");
    }
}
