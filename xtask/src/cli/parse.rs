//! Reads the command line. Options of this program are recognised wherever they stand; every other argument is handed on,
//! in its order, to `vtick`, which knows what it means.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::values::{choice, duration, megabytes, number, parameters, saved_name};
use super::{Host, Options};
use crate::qemu::{Clock, Gic, Mode};
use crate::target::Target;

impl Options {
    /// Reads the arguments behind the command's name. Behind a `--` nothing is ours.
    pub(crate) fn parse(command: &str, arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        let mut given = BTreeSet::new();
        while let Some(argument) = arguments.next() {
            let (name, mut attached) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let mut value = || {
                let value = attached.take().or_else(|| arguments.next());
                value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} needs a value"))
            };
            let own = own(command, name);
            if WITHOUT_HOST.contains(&command) && OF_HOST.contains(&own) {
                return Err(format!(
                    "`cargo xtask {command}` has no option {name}: the command runs nothing in a host"
                ));
            }
            if WITHOUT_OUTPUT.contains(&command) && own == "--output" {
                return Err(format!("`cargo xtask {command}` has no option --output; redirect its output with > FILE"));
            }
            if SINGLE.contains(&own) && !given.insert(own.to_owned()) {
                return Err(format!("{name} is given more than once: which is meant?"));
            }
            match own {
                "--coverage" if COVERED.contains(&command) => {
                    options.coverage = true;
                    options.coverage_file = attached.take().map(PathBuf::from);
                }
                "--functions" => match value()? {
                    file if Path::new(&file).exists() => options.functions = Some(file.into()),
                    file if file.contains(['/', '.']) => {
                        return Err(format!("--functions {file}: there is no such file"));
                    }
                    names => options.only.extend(names.split(',').map(str::to_owned)),
                },
                "--debug-info" => options.sources.debug_info = Some(value()?),
                "--lcov" => options.sources.lcov = Some(value()?.into()),
                "--page" => options.sources.page = Some(value()?.into()),
                "--source" => options.sources.tree = Some(value()?.into()),
                "--patch" => options.sources.patch = Some(value()?.into()),
                "--since" => options.sources.since = Some(value()?),
                "--sample" => options.sample = Some(number(name, &value()?, 1..=u32::MAX)? as usize),
                "--seed" => options.seed = number(name, &value()?, 0..=u32::MAX)?.into(),
                "--replay" => options.replay.push(value()?),
                "--jobs" => options.jobs = number(name, &value()?, 1..=64)? as usize,
                "--kernel" => options.kernels.push(value()?),
                "--host" => options.host = choice(name, &value()?, &HOSTS)?,
                "--output" => options.output = Some(value()?.into()),
                "--save" => options.save = Some(saved_name(value()?)?),
                "--mode" => options.machine.mode = Some(choice(name, &value()?, &MODES)?),
                "--host-gic" => options.machine.gic = choice(name, &value()?, &GICS)?,
                "--host-cpus" => options.machine.cpus = number(name, &value()?, 1..=64)?,
                "--host-append" => options.machine.append = Some(parameters(name, value()?)?),
                "--clock" => options.machine.clock = choice(name, &value()?, &CLOCKS)?,
                "--cpu" => options.machine.cpu = value()?,
                "--memory" => options.machine.memory = megabytes(name, &value()?)?,
                "--timeout" => {
                    options.timeout = Duration::from_secs(number(name, &value()?, 1..=86_400)?.into());
                    options.timeout_given = true;
                }
                "--silence" => options.silence = Duration::from_secs(number(name, &value()?, 1..=86_400)?.into()),
                "--with" => options.with.push(value()?.into()),
                "--good" if command == "bisect" => options.good = Some(value()?),
                "--bad" if command == "bisect" => options.bad = Some(value()?),
                "--target" if ["test", "bench", "run"].contains(&command) => {
                    options.target = Some(Target::parse(&value()?)?);
                }
                "--fetch" => options.fetch.push(value()?),
                "--programs" => options.programs = Some(value()?.into()),
                "--time" => options.time = Some(duration(name, &value()?)?),
                "--resume" => options.resume = Some(value()?.into()),
                "--full" if command == "lint" => options.full = true,
                "--refresh" => options.refresh = true,
                "--fresh" => options.fresh = true,
                "--verbose" | "-v" => options.verbose = true,
                "--help" | "-h" => options.help = true,
                "--" => options.forwarded.extend(arguments.by_ref()),
                _ => {
                    options.forwarded.push(argument);
                    continue;
                }
            }
            if attached.is_some() {
                return Err(format!("{name} takes no value"));
            }
        }
        if options.machine.gic == Gic::V2 && options.machine.cpus > 8 {
            return Err(format!("--host-cpus {}: a GICv2 (--host-gic 2) has 8 CPUs at most", options.machine.cpus));
        }
        Ok(options)
    }
}

/// The option that `name` stands for. A guest that is booted has some of the same names, and there they are not ours.
fn own<'a>(command: &str, name: &'a str) -> &'a str {
    match name {
        "--host-gic" | "--host-cpus" | "--output" | "--fresh" if command == "matrix" => "",
        "--time" | "--resume" if command != "explore" => "",
        "--sample" | "--seed" | "--replay" | "--jobs" if command != "mutate" => "",
        _ if command != "boot" => name,
        "--kernel" | "--memory" | "--timeout" | "--output" | "--save" | "--with" | "--fetch" => "",
        "--host-kernel" => "--kernel",
        "--host-memory" => "--memory",
        "--host-timeout" => "--timeout",
        _ => name,
    }
}

/// Options that can be given once.
const SINGLE: [&str; 10] = [
    "--host",
    "--output",
    "--save",
    "--mode",
    "--host-gic",
    "--host-cpus",
    "--cpu",
    "--memory",
    "--timeout",
    "--silence",
];

/// Commands whose runs of the emulated host can be logged.
const COVERED: [&str; 5] = ["test", "bench", "explore", "run", "coverage"];

/// Commands that run nothing in a host, and options that say something of one: there they would be taken for nothing.
const WITHOUT_HOST: [&str; 13] = [
    "build",
    "browser",
    "compare",
    "dist",
    "doctor",
    "export",
    "guest",
    "kconfig",
    "kernels",
    "lint",
    "reference",
    "report",
    "selftest",
];
/// Whether the options of [`OF_HOST`] apply to a command.
pub(super) fn runs_in_a_host(command: &str) -> bool {
    !WITHOUT_HOST.contains(&command) && command != "merge"
}

/// Commands that print what they have to say.
const WITHOUT_OUTPUT: [&str; 8] = ["browser", "compare", "doctor", "guest", "kconfig", "kernels", "lint", "report"];
const OF_HOST: [&str; 15] = [
    "--fresh",
    "--kernel",
    "--host",
    "--mode",
    "--host-gic",
    "--host-cpus",
    "--host-append",
    "--clock",
    "--cpu",
    "--memory",
    "--timeout",
    "--silence",
    "--save",
    "--with",
    "--fetch",
];

const HOSTS: [(&str, Host); 3] = [("auto", Host::Auto), ("native", Host::Native), ("emulated", Host::Emulated)];
const MODES: [(&str, Mode); 3] = [("vhe", Mode::Vhe), ("nvhe", Mode::Nvhe), ("protected", Mode::Protected)];
const GICS: [(&str, Gic); 3] = [("2", Gic::V2), ("3", Gic::V3), ("none", Gic::NotVirtual)];

const CLOCKS: [(&str, Clock); 2] = [("instructions", Clock::Instructions), ("real", Clock::Real)];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse("test", line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn own_options_are_recognised_anywhere_and_the_rest_keeps_its_order() {
        let options = parse("wfi-wakes --kernel debian:6.1 --clause C11 -v --host=native --list").unwrap();
        assert_eq!(options.forwarded, ["wfi-wakes", "--clause", "C11", "--list"]);
        assert_eq!(options.kernels, ["debian:6.1"]);
        assert_eq!((options.host, options.verbose), (Host::Native, true));
    }

    #[test]
    fn for_boot_what_host_and_guest_both_have_is_the_guests_unless_it_says_host() {
        let line = "--kernel=Image --memory 512M --host-kernel debian:6.1 --host-memory 2048 --host-cpus 2 --timeout 9";
        let options = Options::parse("boot", line.split_whitespace().map(str::to_owned)).unwrap();
        assert_eq!(options.forwarded, ["--kernel=Image", "--memory", "512M", "--timeout", "9"]);
        assert_eq!(options.kernels, ["debian:6.1"]);
        assert_eq!((options.machine.memory, options.machine.cpus), (2048, 2));
        let elsewhere = parse("--host-kernel debian:6.1").unwrap();
        assert_eq!((elsewhere.forwarded.len(), elsewhere.kernels.len()), (2, 0));
    }

    #[test]
    fn an_exploration_has_a_time_and_a_journal_which_are_no_options_elsewhere() {
        let line = "--time 10m --resume j --seed 3 --ops 2";
        let words = || line.split_whitespace().map(str::to_owned);
        let options = Options::parse("explore", words()).unwrap();
        assert_eq!(options.time, Some(Duration::from_secs(600)));
        assert_eq!((options.resume, options.forwarded.len()), (Some("j".into()), 4));
        assert_eq!(Options::parse("test", words()).unwrap().forwarded.len(), 8);
        let error = Options::parse("explore", ["--time".to_owned(), "5d".to_owned()]).unwrap_err();
        assert_eq!(error, "--time 5d: seconds, or a number with s, m or h, are needed");
    }

    #[test]
    fn functions_are_a_file_or_names_and_options_of_mutants_are_no_other_commands() {
        assert_eq!(parse("--functions a,b").unwrap().only, ["a", "b"]);
        assert!(parse("--functions nowhere.txt").unwrap_err().contains("there is no such file"));
        assert!(parse("--functions=Cargo.toml").unwrap().functions.is_some());
        assert_eq!(parse("--seed 5").unwrap().forwarded, ["--seed", "5"]);
        let mutate = Options::parse("mutate", ["--seed=5", "--jobs=2", "--sample=9"].map(str::to_owned)).unwrap();
        assert_eq!((mutate.seed, mutate.jobs, mutate.sample), (5, 2, Some(9)));
    }

    #[test]
    fn nothing_behind_a_double_dash_is_ours() {
        let options = parse("--host-cpus 2 -- vtick test --kernel x").unwrap();
        assert_eq!(options.forwarded, ["vtick", "test", "--kernel", "x"]);
        assert_eq!((options.machine.cpus, options.kernels.len()), (2, 0));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_possible() {
        for (line, expected) in [
            ("--host here", "--host here: one of auto, native, emulated is possible"),
            ("--host-gic 4", "--host-gic 4: one of 2, 3, none is possible"),
            ("--clock sun", "--clock sun: one of instructions, real is possible"),
            ("--host-cpus 0", "--host-cpus 0: a number from 1 to 64 is needed"),
            ("--kernel", "--kernel needs a value"),
            ("--output=", "--output needs a value"),
            ("--refresh=now", "--refresh takes no value"),
            ("--mode vhe --mode=nvhe", "--mode is given more than once: which is meant?"),
            ("--host-gic 2 --host-cpus 16", "--host-cpus 16: a GICv2 (--host-gic 2) has 8 CPUs at most"),
            ("--memory 3T", "--memory 3T: a size from 128M to 1024G is needed, such as 2048 (megabytes) or 3G"),
        ] {
            assert_eq!(parse(line).unwrap_err(), expected);
        }
    }

    #[test]
    fn an_option_that_means_nothing_to_a_command_is_not_taken_for_nothing() {
        let error = Options::parse("lint", ["--mode".to_owned(), "vhe".to_owned()]).unwrap_err();
        assert_eq!(error, "`cargo xtask lint` has no option --mode: the command runs nothing in a host");
        let error = Options::parse("report", ["a.json", "--output", "x"].map(str::to_owned)).unwrap_err();
        assert_eq!(error, "`cargo xtask report` has no option --output; redirect its output with > FILE");
        Options::parse("boot", ["--memory", "512M", "--host-memory", "2G"].map(str::to_owned)).unwrap();
        let coverage = |command| Options::parse(command, ["--coverage".to_owned()]).unwrap();
        assert!(coverage("explore").coverage);
        assert_eq!((coverage("matrix").coverage, coverage("matrix").forwarded.len()), (false, 1));
    }
}
