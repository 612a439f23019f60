//! The command line: what it can say ([`Options`]), how it is read ([`parse`]), and what is said of it in the help.

mod parse;
pub(crate) mod reference;
mod sources;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use crate::qemu::Machine;
use crate::target::Target;

pub(crate) use self::sources::SourceOptions;
pub(crate) use self::values::number;

/// The help of the command.
pub(crate) const USAGE: &str = include_str!("cli/usage.txt");

/// The part of the help that is about one command: all of it where there is no such command.
pub(crate) fn usage_of(command: &str) -> String {
    let is_item = |line: &str| line.starts_with("  ") && !line.starts_with("   ");
    let listed: Vec<&str> =
        USAGE.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty()).collect();
    let Some(first) = listed.iter().position(|line| is_item(line) && line.split_whitespace().next() == Some(command))
    else {
        return USAGE.to_owned();
    };
    let rest = listed[first + 1..].iter().take_while(|line| !is_item(line));
    let own = listed[first].trim().strip_prefix(command).unwrap_or_default();
    let about = std::iter::once(own).chain(rest.copied()).map(str::trim);
    let mut text = format!("Usage: cargo xtask {command} [OPTIONS]");
    text += if crate::vtick::COMMANDS.contains(&command) { " [ARGUMENTS FOR VTICK]\n\n" } else { "\n\n" };
    about.filter(|line| !line.is_empty()).for_each(|line| text += &format!("{line}\n"));
    text.push('\n');
    let mut applies = false;
    for line in USAGE.lines().skip_while(|line| !line.starts_with("Options of ")) {
        if line.starts_with("Options of ") {
            applies = match line {
                line if line.starts_with("Options of all commands that run") => parse::runs_in_a_host(command),
                line if line.starts_with("Options of all commands") => true,
                line if line.starts_with("Options of coverage") => {
                    ["bench", "coverage", "run", "test"].contains(&command)
                }
                line => line.starts_with(&format!("Options of {command}")),
            };
        }
        if applies {
            text += &format!("{line}\n");
        }
    }
    text
}

/// The option of this program, for this command, that may have been meant by one that nobody knows.
pub(crate) fn near(command: &str, unknown: &str) -> Option<String> {
    /// Of Jaro and Winkler's similarity, without the dashes.
    const ALIKE: f64 = 0.8;
    let usage = usage_of(command);
    let names = usage.lines().filter_map(|line| line.strip_prefix("  --")?.split([' ', '[', '=', ',']).next());
    let unknown = unknown.trim_start_matches('-');
    // An option of this name is one of other commands.
    let alike = names.filter(|name| *name != unknown).map(|name| (strsim::jaro_winkler(unknown, name), name));
    let nearest = alike.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(alike, _)| *alike > ALIKE);
    nearest.map(|(_, name)| format!("--{name}"))
}

/// Where to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Natively if this machine can, otherwise emulated.
    Auto,
    /// On this machine.
    Native,
    /// In QEMU.
    Emulated,
}

/// Everything a command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) kernels: Vec<String>,
    pub(crate) host: Host,
    pub(crate) output: Option<PathBuf>,
    pub(crate) save: Option<String>,
    pub(crate) machine: Machine,
    pub(crate) timeout: Duration,
    /// It was given, and is not the default.
    pub(crate) timeout_given: bool,
    pub(crate) silence: Duration,
    pub(crate) with: Vec<PathBuf>,
    pub(crate) fetch: Vec<String>,
    /// Another machine to run on.
    pub(crate) target: Option<Target>,
    /// Use the runner and the agent that are in this folder, and build none.
    pub(crate) programs: Option<PathBuf>,
    /// (bisect) A kernel on which the check holds, and one on which it does not.
    pub(crate) good: Option<String>,
    pub(crate) bad: Option<String>,
    /// How long an exploration may take.
    pub(crate) time: Option<Duration>,
    /// The journal that an exploration goes on after.
    pub(crate) resume: Option<PathBuf>,
    /// Whether code that runs is logged, and where that is kept.
    pub(crate) coverage: bool,
    pub(crate) coverage_file: Option<PathBuf>,
    /// The list of the functions that count, or their names.
    pub(crate) functions: Option<PathBuf>,
    pub(crate) only: Vec<String>,
    /// What was said of the kernel's source.
    pub(crate) sources: SourceOptions,
    /// How many mutants are tried, drawn with which seed, or which, and how many at the same time.
    pub(crate) sample: Option<usize>,
    pub(crate) seed: u64,
    pub(crate) replay: Vec<String>,
    pub(crate) jobs: usize,
    /// (lint) What takes programs that have to be fetched first, too.
    pub(crate) full: bool,
    pub(crate) refresh: bool,
    /// Boot a host in each run, and use no saved one.
    pub(crate) fresh: bool,
    pub(crate) verbose: bool,
    pub(crate) help: bool,
    /// What is not ours, in its order.
    pub(crate) forwarded: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernels: Vec::new(),
            host: Host::Auto,
            output: None,
            save: None,
            machine: Machine::default(),
            timeout: Duration::from_secs(600),
            timeout_given: false,
            silence: Duration::from_secs(60),
            with: Vec::new(),
            fetch: Vec::new(),
            target: None,
            programs: None,
            good: None,
            bad: None,
            time: None,
            resume: None,
            coverage: false,
            coverage_file: None,
            functions: None,
            only: Vec::new(),
            sources: SourceOptions::default(),
            sample: None,
            seed: 1,
            replay: Vec::new(),
            jobs: 1,
            full: false,
            refresh: false,
            fresh: false,
            verbose: false,
            help: false,
            forwarded: Vec::new(),
        }
    }
}

impl Options {
    /// Whether a part of what `test` does, or another place to do it, was asked for.
    pub(crate) fn select(&self) -> bool {
        let defaults = Self::default();
        let place = (&self.kernels, self.host, &self.machine);
        place != (&defaults.kernels, defaults.host, &defaults.machine)
            || self.target.is_some()
            || self.coverage
            || !self.forwarded.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_a_command_has_its_own_lines_and_its_own_options() {
        let boot = usage_of("boot");
        assert!(
            boot.starts_with("Usage: cargo xtask boot [OPTIONS] [ARGUMENTS FOR VTICK]\n\nboot a stock guest"),
            "{boot}"
        );
        assert!(boot.contains("--host-kernel KERNEL") && boot.contains("--host-gic GIC"), "{boot}");
        assert!(!boot.contains("--modes LIST") && !boot.contains("--lcov"), "{boot}");
        let lint = usage_of("lint");
        assert!(lint.contains("--full: also spelling") && lint.contains("--verbose"), "{lint}");
        assert!(!lint.contains("--kernel"), "{lint}");
        assert_eq!(usage_of("no-such-command"), USAGE);
    }

    #[test]
    fn an_option_is_near_only_among_those_of_the_command() {
        assert_eq!(near("test", "--modus").as_deref(), Some("--mode"));
        assert_eq!(near("matrix", "--modus").as_deref(), Some("--modes"));
        assert_eq!(near("test", "--xyzzy"), None);
    }

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse("test", line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn only_what_narrows_the_run_counts_as_a_selection() {
        for line in ["", "-v", "--output x.json", "--timeout 9", "--host auto"] {
            assert!(!parse(line).unwrap().select(), "{line}");
        }
        for line in [
            "--clock real",
            "--host-append quiet",
            "--target ssh://board",
            "--kernel debian:6.1",
            "--host emulated",
            "--mode nvhe",
            "--host-gic none",
            "--cpu cortex-a57",
            "a-check",
        ] {
            assert!(parse(line).unwrap().select(), "{line}");
        }
    }
}
