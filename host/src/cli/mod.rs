//! The `vtick` command line. On anything but arm64 Linux it lists and explains; running takes KVM.

mod bench;
mod boot;
mod compare;
mod explore;
mod export;
#[cfg(test)]
mod mutations;
mod reference;
mod report;
mod select;
mod selftest;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// Exit status: every check that was exercised held or deviates as listed, and at least one was; everything was measured.
const OK: u8 = 0;
/// Exit status: a check is violated, or interrupts were lost.
const VIOLATED: u8 = 1;
/// Exit status: it could not be run; one line says why.
const CANNOT_RUN: u8 = 2;
/// Exit status of `--plan`: the arguments ask for something that needs no host, and it is done.
const NOTHING_TO_RUN: u8 = 3;
/// Exit status: no check was exercised, a test guest skipped its test (what the kernel's self-tests call SKIP).
const NOTHING_EXERCISED: u8 = 4;

/// A counter frequency for programs that are shown and not run.
const EXAMPLE_CNTFRQ: u64 = 1_000_000_000;

/// Validates and measures KVM/arm64's userspace interrupt controller mode.
#[derive(Parser)]
#[command(name = "vtick", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the kernel's contract with userspace, clause by clause.
    Test(test::TestArgs),
    /// Measure timer-interrupt latency.
    Bench(bench::BenchArgs),
    /// Run generated programs against the contract: all short ones, random long ones, sweeps of one event.
    Explore(explore::ExploreArgs),
    /// Boot a stock guest: an arm64 Linux Image, an ELF file or a flat binary.
    Boot(boot::BootArgs),
    /// Show records: again, side by side, or in the format of another tool. Runs on any machine.
    Report(report::ReportArgs),
    /// Write a check as a .litmus file. Runs on any machine.
    Export(export::ExportArgs),
    /// Write a test of this mode for the kernel's own suite, as patches. Runs on any machine.
    Selftest(selftest::SelftestArgs),
    /// Compare the latencies of two records. Runs on any machine.
    Compare(compare::CompareArgs),
    /// Print the part of docs/reference.md about these commands.
    #[command(hide = true)]
    Reference,
}

/// What every run can be told.
#[derive(Args)]
struct RunArgs {
    /// Write the whole record of the run to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Pin the vCPUs to these host CPUs: the first vCPU to the first CPU of the list, and so on; a short list starts again.
    #[arg(long, value_name = "CPU", value_delimiter = ',')]
    pin: Vec<usize>,
    /// Check the arguments and run nothing. Exit status 0: the command would run something; 3: all has been printed.
    #[arg(long, hide = true)]
    plan: bool,
}

/// The words of another program for what is printed while a run is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Live {
    /// The kernel's test protocol, version 1: all in one piece, when the run is over.
    Ktap,
    /// JSON, an event on each line, as things happen.
    JsonLines,
}

/// What a command came to.
enum Done {
    /// It ran; whether all was well.
    Ran(bool),
    /// It ran, and nothing was put to the test.
    NothingExercised,
    /// It was asked for something that needs no run.
    Said,
    /// There is something to run, but the command was only to plan.
    Planned,
}

/// The command line as clap has it, for whoever writes about it: manual pages, completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Puts advice that applies here in place of clap's.
fn advise(error: &mut clap::Error) {
    let said = |error: &clap::Error, kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    match error.kind() {
        // Clap advises to put `--` before it, which makes the name of a check of it.
        ErrorKind::UnknownArgument => drop(error.remove(ContextKind::Suggested)),
        ErrorKind::InvalidValue
            if said(error, ContextKind::InvalidArg) == "--as <FORMAT>"
                && report::Format::value_variants().iter().any(|format| {
                    let value = format.to_possible_value();
                    value.is_some_and(|value| value.get_name() == said(error, ContextKind::InvalidValue))
                }) =>
        {
            let format = said(error, ContextKind::InvalidValue);
            let tip =
                format!("{format} is made of a finished run's record: --output FILE, then `report FILE --as {format}`");
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        _ => {}
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mut e) => {
            advise(&mut e);
            // Help and version are no errors.
            vtick_shell::say::check(e.print());
            let planned = std::env::args().any(|arg| arg == "--plan");
            return match (e.use_stderr(), planned) {
                (true, _) => CANNOT_RUN.into(),
                (false, true) => NOTHING_TO_RUN.into(),
                (false, false) => OK.into(),
            };
        }
    };
    let (done, plan) = match cli.command {
        Command::Test(args) => (test::run(&args), args.run.plan),
        Command::Bench(args) => (bench::run(&args), args.run.plan),
        Command::Explore(args) => (explore::run(&args), args.plan),
        Command::Boot(args) => (boot::run(&args), args.plan),
        Command::Report(args) => (report::run(&args), false),
        Command::Export(args) => (export::run(&args), false),
        Command::Selftest(args) => (selftest::run(&args), false),
        Command::Compare(args) => (compare::run(&args), false),
        Command::Reference => (reference::run(), false),
    };
    vtick_shell::say::flush();
    match done {
        Ok(Done::Ran(true) | Done::Planned) => OK.into(),
        Ok(Done::Said) if plan => NOTHING_TO_RUN.into(),
        Ok(Done::Said) => OK.into(),
        Ok(Done::Ran(false)) => VIOLATED.into(),
        Ok(Done::NothingExercised) => NOTHING_EXERCISED.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            CANNOT_RUN.into()
        }
    }
}

/// Reads the measurements of a record.
fn read_record(path: &Path) -> anyhow::Result<vtick_report::Measured> {
    measured(path, &read_text(path)?)
}

/// More than any record has: raw samples are bounded.
const MOST_OF_RECORD: u64 = 1 << 30;

/// All of a record's file.
fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = vtick_shell::read_regular("record", path, MOST_OF_RECORD).map_err(anyhow::Error::msg)?;
    String::from_utf8(bytes)
        .map_err(|_| anyhow::anyhow!("{}: not a record of vtick: the file is not text", path.display()))
}

/// The measurements of a record that was read from `path`.
fn measured(path: &Path, json: &str) -> anyhow::Result<vtick_report::Measured> {
    let record = vtick_report::Measured::from_json(json).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    anyhow::ensure!(
        !record.latency.is_empty(),
        "{}: the record has no measurements; `bench` writes records that have",
        path.display()
    );
    Ok(record)
}

/// Where the record goes: opened before the work, so that a bad path costs nothing.
struct Output(Option<(PathBuf, std::fs::File)>);

impl Output {
    fn open(path: Option<&Path>) -> anyhow::Result<Output> {
        let Some(path) = path else { return Ok(Output(None)) };
        vtick_shell::check_writable("--output", path).map_err(anyhow::Error::msg)?;
        // Not truncated yet: an earlier record is replaced only by a later one.
        match std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path) {
            Ok(file) => Ok(Output(Some((path.to_owned(), file)))),
            Err(e) => anyhow::bail!("--output {}: {e}", path.display()),
        }
    }

    fn write(&mut self, record: &vtick_report::Record) -> anyhow::Result<()> {
        use std::io::Write;
        let Some((path, file)) = &mut self.0 else { return Ok(()) };
        let json = record.to_json();
        let written = file.set_len(0).and_then(|()| file.write_all(json.as_bytes()));
        written.map_err(|e| anyhow::anyhow!("--output {}: {e}", path.display()))
    }
}
