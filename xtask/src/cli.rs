//! The command line. Options of this program are recognised wherever they stand; every other argument is handed on, in
//! its order, to `vtick`, which knows what it means.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::coverage::SourceOptions;
use crate::qemu::{Clock, Gic, Machine, Mode};
use crate::target::Target;

pub(crate) const USAGE: &str = "\
Usage: cargo xtask COMMAND [OPTIONS] [ARGUMENTS FOR VTICK]

Commands:
  test     run the project's own tests, then the contract checks on the default kernel; with --kernel or any other
           selection, the contract checks alone
  bench    measure timer-interrupt latency
  explore  try programs that nobody thought of: all short ones, random ones (--seed S), sweeps (--sweep)
  compare  compare two records: cargo xtask compare A B, each a file or a name given to --save
  report   show records again, side by side or as other tools want them: cargo xtask report A... [--html FILE]
  export   write a check as a program of its own: cargo xtask export --litmus CHECK [--output FILE]
  boot     boot a guest in this mode; with nothing said, a demonstration
  matrix   run checks and measurements on every combination of kernels and hosts: a table, and a page (an atlas)
  merge    put the shards of a matrix together: cargo xtask merge FOLDER... --output FOLDER
  bisect   find the two neighbouring kernels of the archive between which a check's verdict changed:
           cargo xtask bisect --good debian:A --bad debian:B CHECK, whichever of the two is older
  run      run any command in the emulated host: cargo xtask run [OPTIONS] -- vtick test
  coverage which code of the kernel the checks run, on all kinds of hosts; or that of earlier runs: coverage FILE...
  mutate   change the running kernel, one instruction at a time, and see whether the checks notice
  build    build the static runner and print where it is (--output FILE copies it there), to be taken to a board
  guest    show the guest: cargo xtask guest objdump|size|nm [ARGUMENTS FOR THE TOOL]
  browser  print where a Chromium is that can render a report, for the tests (as root: install it)
  kernels  list the kernels that can be named
  kconfig  print the configuration that a kernel of your own needs, as a fragment
  lint     check formatting and lints, those of the arm64 code and of the guest included

Options of test, bench, explore and run:
  --kernel KERNEL    debian:VERSION, debian:SUITE, the path of an arm64 Image, or the folder in which a kernel was built;
                     may be repeated [debian:6.12]. For `git bisect run cargo xtask test --kernel FOLDER CHECK`, the exit
                     status of a folder is 0, 1, or 125 where there is no verdict
  --host HOST        auto, native or emulated [auto: native on arm64 with /dev/kvm]
  --target ssh://[USER@]HOST[:PORT]
                     run there, natively: the static runner is copied, run, and removed; its record comes back
  --output FILE      write the record of the run there (JSON); with several kernels, one file each
  --save NAME        (bench) keep the record under this name, for compare and report
  --mode MODE        vhe, nvhe or protected: how the emulated host uses virtualisation [the kernel's choice]
  --host-gic GIC     2, 3 or none: the emulated host's interrupt controller; none can't be virtualised [3]
  --host-cpus N      CPUs of the emulated host; with a GICv2, 8 at most [1]
  --host-append P    parameters for the command line of the emulated host's kernel (isolcpus=1 nohz_full=1 ...)
  --clock CLOCK      instructions or real: what the emulated host's clock counts. Real is what other emulated arm64
                     machines have: figures are times then, and no run is like another [instructions]
  --cpu MODEL        CPU model of the emulated host [neoverse-n1]
  --memory SIZE      memory of the emulated host: megabytes, or 3G [1024]
  --timeout SECONDS  the longest a run may take [600]
  --silence SECONDS  the longest an emulated host may be silent; a guest may be as long as it likes [60]
  --coverage[=FILE]  say which code of the kernel ran, function by function (with -v: and where not); keep it in FILE
  --functions FILE|NAME,...
                     of the functions that this file lists, or of these [tests/kernel/functions.txt, which says how]
  --with FILE        (run) put this file into the emulated host's /bin; may be repeated
  --fetch PATH       (run) bring this file of the emulated host back into the current folder; may be repeated
  --programs FOLDER  use the programs `vtick` and `vtick-agent` in this folder, and build none
  --time TIME        (explore) stop after so long: seconds, or a number with s, m or h [no limit but --timeout]
  --resume FILE      (explore) go on where the run ended whose journal this is
Options of matrix:
  --kernels LIST     kernels with commas between them; `all`: every cloud kernel of the archive; `series:N`: the N newest
                     of each series [series:1]
  --modes LIST, --host-gic LIST, --host-cpus LIST
                     the hosts: every combination [vhe; 3; 1]
  --jobs N           hosts at once [as many as there are CPUs]
  --shard I/N        only each Nth cell, from the Ith on
  --output FOLDER    where table, page and records go [target/matrix]
  --no-bench         no measurements
  --fresh            run again what is known
Options of coverage by lines of source, with --coverage or `cargo xtask coverage`:
  --debug-info FILE  the kernel's vmlinux with debugging information, or `debian`: fetch that of Debian's kernel
  --lcov FILE        write it there as lcov's tools want it (genhtml)
  --source DIR       the kernel's source
  --patch FILE       say which lines of this change ran; --since COMMIT: of what has changed in the source's tree since
Options of mutate; with --functions, --output (JSON) and options of test that select checks:
  --sample N         try so many mutants, drawn at random [all]
  --seed N           what the sample is drawn with [1]
  --replay NAME      try the mutant of this name (FUNCTION+OFFSET:KIND) again; may be repeated
  --jobs N           hosts at the same time [1]
Options of boot, which are the guest's; all others of `vtick boot` are handed on:
  --kernel KERNEL    debian:VERSION, debian:SUITE or a file: Image, ELF or flat [the host's, if there is no firmware]
  --initrd FILE      its initramfs, or `demo` [demo with a kernel of Debian's, unless there is a disk]
  --firmware FILE    what it starts with, or `debian` for QEMU_EFI.fd of Debian's package qemu-efi-aarch64
  --vars FILE        the firmware's variables: flash, which keeps what is written to it
  --disk FILE[,ro]   a virtio disk; what the guest of an emulated host writes there is lost with it
  --trace FILE       write what happens at the boundary there, for ui.perfetto.dev
  --host-kernel KERNEL, --host-memory SIZE, --host-timeout SECONDS
                     what --kernel, --memory and --timeout are elsewhere: the emulated host's
                     (none of which ends the session of a person at the terminal: Ctrl-A x leaves it)
Options of all commands:
  --refresh          look for newer packages in Debian's archive
  -v, --verbose      show external commands
  -h, --help         this text
";

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
    pub(crate) refresh: bool,
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
            refresh: false,
            verbose: false,
            help: false,
            forwarded: Vec::new(),
        }
    }
}

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
                return Err(format!("`cargo xtask {command}` knows no {name}: it runs nothing in a host"));
            }
            if SINGLE.contains(&own) && !given.insert(own.to_owned()) {
                return Err(format!("{name} is given more than once: which is meant?"));
            }
            match own {
                "--coverage" => {
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
                "--refresh" => options.refresh = true,
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

/// The option that `name` stands for. A guest that is booted has some of the same names, and there they are not ours.
fn own<'a>(command: &str, name: &'a str) -> &'a str {
    match name {
        "--host-gic" | "--host-cpus" | "--output" if command == "matrix" => "",
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

/// Commands that run nothing in a host, and options that say something of one: there they would be taken for nothing.
const WITHOUT_HOST: [&str; 7] = ["build", "browser", "compare", "guest", "kernels", "lint", "report"];
const OF_HOST: [&str; 12] = [
    "--kernel",
    "--host",
    "--mode",
    "--host-gic",
    "--host-cpus",
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

/// Parameters that can stand on a kernel's command line (arm64: COMMAND_LINE_SIZE is 2048, and it has ours, too).
fn parameters(name: &str, value: String) -> Result<String, String> {
    const LONGEST: usize = 1500;
    match value {
        long if long.len() > LONGEST => Err(format!("{name}: {} bytes; a kernel takes {LONGEST}", long.len())),
        odd if odd.chars().any(char::is_control) => Err(format!("{name}: a kernel's command line is one line of text")),
        value => Ok(value),
    }
}

/// A name that can be a file's.
fn saved_name(name: String) -> Result<String, String> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c)) && !name.starts_with('.');
    if plain { Ok(name) } else { Err(format!("--save {name}: a name is letters, digits, and . _ - +")) }
}

fn choice<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        format!("{name} {value}: one of {} is possible", words.join(", "))
    })
}

/// Megabytes of memory: a number of them, or of what its letter says.
fn megabytes(name: &str, value: &str) -> Result<u32, String> {
    let digits = value.trim_end_matches(['B', 'b']).trim_end_matches('i');
    let (digits, unit) = match digits.to_ascii_uppercase().strip_suffix(['M', 'G']) {
        Some(number) => (number.to_owned(), if digits.ends_with(['G', 'g']) { 1024 } else { 1 }),
        None => (digits.to_owned(), 1),
    };
    let size = digits.parse().ok().and_then(|number: u32| number.checked_mul(unit));
    size.filter(|size| (128..=1 << 20).contains(size))
        .ok_or_else(|| format!("{name} {value}: a size from 128M to 1024G is needed, such as 2048 (megabytes) or 3G"))
}

/// A number of this range, or what is needed instead.
pub(crate) fn number(name: &str, value: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{name} {value}: a number from {} to {} is needed", range.start(), range.end()))
}

/// Seconds, or a number with its unit.
fn duration(name: &str, value: &str) -> Result<Duration, String> {
    let (number, unit) = match value.strip_suffix('m') {
        Some(number) => (number, 60),
        None => match value.strip_suffix('h') {
            Some(number) => (number, 3600),
            None => (value.strip_suffix('s').unwrap_or(value), 1),
        },
    };
    let seconds = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)).filter(|&s| s > 0);
    let seconds = seconds.ok_or_else(|| format!("{name} {value}: seconds, or a number with s, m or h, are needed"))?;
    Ok(Duration::from_secs(seconds.into()))
}

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
    fn memory_is_megabytes_or_has_its_unit() {
        for (value, due) in [("2048", 2048), ("512M", 512), ("3G", 3072), ("1GiB", 1024), ("200mb", 200)] {
            assert_eq!(parse(&format!("--memory {value}")).unwrap().machine.memory, due, "{value}");
        }
    }

    #[test]
    fn an_option_that_means_nothing_to_a_command_is_not_taken_for_nothing() {
        let error = Options::parse("lint", ["--mode".to_owned(), "vhe".to_owned()]).unwrap_err();
        assert_eq!(error, "`cargo xtask lint` knows no --mode: it runs nothing in a host");
        Options::parse("boot", ["--memory", "512M", "--host-memory", "2G"].map(str::to_owned)).unwrap();
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
