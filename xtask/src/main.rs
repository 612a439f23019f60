//! The one command of the project: `cargo xtask`.
//!
//! It builds the guest and the static runner, obtains a kernel, and runs `vtick` natively or in an emulated arm64 host,
//! whose output it brings back. It knows nothing of interrupt controllers, timers or contracts: what `vtick` is told,
//! and what it answers, passes through.

mod a64;
mod apt;
mod armhf;
mod artifacts;
mod cache;
mod cli;
mod coverage;
mod deb;
mod digest;
mod dist;
mod doctor;
mod emulated;
mod fdt;
mod firmware;
mod gdb;
mod guard;
mod initramfs;
mod install;
mod kernel;
mod keyboard;
mod lint;
mod list;
mod matrix;
mod mutants;
mod native;
mod process;
mod progress;
mod qemu;
mod qmp;
mod say;
mod scan;
mod target;
mod toolchain;
mod version;
mod vtick;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::cli::{Options, USAGE};
use crate::process::Interrupted;
use crate::say::say;
use crate::toolchain::Toolchain;

/// Browsers that render a report for the tests; Debian's package has the first one's name.
const BROWSERS: [&str; 3] = ["chromium", "google-chrome", "chromium-browser"];

/// The commands, for one that is misspelt.
const WORDS: [&str; 23] = [
    "test",
    "bench",
    "explore",
    "compare",
    "report",
    "export",
    "selftest",
    "boot",
    "matrix",
    "merge",
    "bisect",
    "run",
    "coverage",
    "mutate",
    "build",
    "dist",
    "doctor",
    "guest",
    "browser",
    "kernels",
    "kconfig",
    "reference",
    "lint",
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let status =
        Options::parse(&command, arguments).map_err(anyhow::Error::msg).and_then(|options| run(&command, &options));
    let status = status.unwrap_or_else(|error| {
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            return interrupted.status();
        }
        if say::reader_has_gone(&error) {
            return say::READER_HAS_GONE;
        }
        eprintln!("error: {error:#}");
        vtick::CANNOT_RUN
    });
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}

fn run(command: &str, options: &Options) -> Result<i32> {
    if options.verbose {
        progress::be_verbose();
    }
    if options.help {
        say(cli::usage_of(command))?;
        return if vtick::COMMANDS.contains(&command) { vtick::help(command) } else { Ok(0) };
    }
    if ["build", "browser", "dist", "doctor", "kconfig", "kernels", "lint", "reference"].contains(&command)
        && let Some(argument) = options.forwarded.first()
    {
        bail!("`cargo xtask {command}` has no argument {argument}; `cargo xtask --help` lists them");
    }
    process::catch_signals()?;
    if command == "doctor" {
        return doctor::doctor();
    }
    let cache = Cache::open()?;
    let toolchain = || Toolchain::obtain(&cache, options.refresh);
    match command {
        "explore" => coverage::around(&cache, options, |options| vtick::explore(&cache, options)),
        "test" => coverage::around(&cache, options, |options| vtick::test(&cache, options)),
        "bench" => coverage::around(&cache, options, |options| vtick::bench(&cache, options)),
        "boot" => vtick::boot(&cache, options),
        "bisect" => vtick::bisect(&cache, options),
        "matrix" => matrix::matrix(&cache, options),
        "merge" => matrix::merge(options),
        "export" => vtick::export(options),
        "selftest" => vtick::selftest(options),
        "run" => coverage::around(&cache, options, |options| vtick::run(&cache, options)),
        "coverage" => coverage::coverage(&cache, options, |options| vtick::test(&cache, options)),
        "compare" | "report" => vtick::view(&cache, command, options),
        "mutate" => vtick::mutate(&cache, options),
        "build" => artifacts::deliver(&artifacts::programs(&toolchain()?)?, options.output.as_deref()).map(|()| 0),
        "guest" => match options.forwarded.split_first() {
            Some((tool, arguments)) => artifacts::show_guest(&toolchain()?, tool, arguments),
            None => bail!("`cargo xtask guest` needs a tool: objdump, size or nm"),
        },
        "browser" => {
            say(format!("{}\n", install::ensure(&BROWSERS, BROWSERS[0])?.display()))?;
            Ok(0)
        }
        "kconfig" => {
            print!("{}", kernel::fragment());
            Ok(0)
        }
        "kernels" => kernel::list(&cache, options.refresh).map(|()| 0),
        "reference" => cli::reference::write(),
        "dist" => dist::dist(&cache, &toolchain()?, options.output.as_deref()).map(|()| 0),
        "lint" => lint::lint(&cache, &toolchain()?, options.full),
        "" | "help" | "-h" | "--help" => {
            say(USAGE)?;
            Ok(0)
        }
        other => {
            let near =
                WORDS.iter().map(|word| (strsim::jaro_winkler(other, word), word)).max_by(|a, b| a.0.total_cmp(&b.0));
            let near = near.filter(|(alike, _)| *alike > 0.75).map(|(_, word)| format!("; did you mean {word}?"));
            bail!("no command named {other}{} `cargo xtask --help` lists the commands", near.unwrap_or(";".to_owned()))
        }
    }
}
