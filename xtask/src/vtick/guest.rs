//! The arguments of a guest that is booted: which of them name files here, and what they say where there are none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail};
use vtick_shell::{MOST, MOST_OF_KERNEL, check_writable, open_regular, open_writable, read_regular};

use crate::armhf;
use crate::emulated::Files;

/// Options whose file the guest reads, whose it leaves behind, and whose it does both with.
const READ: [&str; 4] = ["--kernel", "--initrd", "--firmware", "--disk"];
const WRITTEN: [&str; 1] = ["--trace"];
const CHANGED: [&str; 1] = ["--vars"];
/// What may follow the file of a disk that the guest cannot write.
const READ_ONLY: &str = ",ro";
/// Options whose value may look like an option.
const FREE_TEXT: [&str; 4] = ["--append", "--mark", "--exit-on", "--fail-on"];
/// A kernel of Debian's archive, and the name that stands for what is brought along.
const DEBIAN: &str = "debian:";
const DEMONSTRATION: &str = "demo";
/// What the demonstration says when it has failed.
const FAILED: &str = "demo: failed";
/// A kernel's command line with which little stands between it and the demonstration.
const QUIET: &str = "console=ttyAMA0 quiet nokaslr";

/// One argument; an option with a file counts as one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Argument {
    Plain(String),
    /// With what follows the file.
    Reads(String, PathBuf, &'static str),
    Writes(String, PathBuf),
    Changes(String, PathBuf),
}

/// The arguments of a guest, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guest(Vec<Argument>);

/// The same for the emulated host.
#[derive(Debug)]
pub(super) struct Shipped {
    /// With the names that the files have there.
    pub(super) arguments: Vec<String>,
    /// What to put there.
    pub(super) files: Files,
    /// What to bring back, and to where.
    pub(super) written: Vec<(String, PathBuf)>,
}

/// What was not said, said: a guest without kernel and firmware gets `kernel`, one with a kernel of Debian's our first
/// process, and what that is to demonstrate two CPUs and a quiet kernel.
pub(super) fn with_defaults(arguments: &[String], kernel: &str) -> Vec<String> {
    let is_absent = |option: &str| value(arguments, option).is_none();
    let mut all = arguments.to_vec();
    let mut add = |option: &str, value: &str| all.extend([option.to_owned(), value.to_owned()]);
    let ours = is_absent("--kernel") && is_absent("--firmware");
    if ours {
        add("--kernel", kernel);
    }
    // Our first process is an arm64 program.
    let debians =
        value(arguments, "--kernel").is_some_and(|kernel| kernel.starts_with(DEBIAN) && kernel != armhf::NAME);
    if is_absent("--initrd") && is_absent("--disk") && (ours || debians) {
        add("--initrd", DEMONSTRATION);
        add("--fail-on", FAILED);
        for (option, value) in [("--cpus", "2"), ("--append", QUIET)] {
            if is_absent(option) {
                add(option, value);
            }
        }
    }
    all
}

/// The value of an option, if it was given.
pub(super) fn value<'a>(arguments: &'a [String], option: &str) -> Option<&'a str> {
    options(arguments).find_map(|(name, value)| if name == option { value } else { None })
}

/// Each argument as an option with its value, as far as that can be known; what is none has no value.
fn options(arguments: &[String]) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = arguments.iter();
    std::iter::from_fn(move || {
        let argument = rest.next()?;
        Some(match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ if known(argument) => (argument.as_str(), rest.next().map(String::as_str)),
            _ => (argument.as_str(), None),
        })
    })
}

/// The size beyond which a file cannot be meant.
fn most(option: &str) -> u64 {
    if option == "--kernel" { MOST_OF_KERNEL } else { MOST }
}

fn known(option: &str) -> bool {
    let takes_value = ["--cpus", "--memory", "--timeout", "--console", "--pmu"];
    [&READ[..], &WRITTEN, &CHANGED, &FREE_TEXT, &takes_value].concat().contains(&option)
}

impl Guest {
    /// Finds the files. `fetch` gives the place of one that an option names by a word of ours.
    pub(super) fn new(arguments: &[String], fetch: impl Fn(&str, &str) -> Result<Option<PathBuf>>) -> Result<Self> {
        let mut all = Vec::new();
        for (name, value) in options(arguments) {
            let option = name.to_owned();
            all.push(match value {
                None if known(name) => bail!("{name} needs a value"),
                None => Argument::Plain(option),
                Some(value) if READ.contains(&name) => {
                    let disk = if name == "--disk" { value.strip_suffix(READ_ONLY) } else { None };
                    let place = fetch(name, value)?;
                    let place = place.unwrap_or_else(|| disk.unwrap_or(value).into());
                    open_regular(name, &place, most(name)).map_err(Error::msg)?;
                    Argument::Reads(option, place, if disk.is_some() { READ_ONLY } else { "" })
                }
                Some(value) if CHANGED.contains(&name) => {
                    open_writable(name, Path::new(value), MOST).map_err(Error::msg)?;
                    Argument::Changes(option, value.into())
                }
                Some(value) if WRITTEN.contains(&name) => {
                    check_writable(name, Path::new(value)).map_err(Error::msg)?;
                    Argument::Writes(option, value.into())
                }
                Some(value) => Argument::Plain(format!("{name}={value}")),
            });
        }
        Ok(Self(all))
    }

    /// For a runner on this machine.
    pub(super) fn here(&self) -> Vec<String> {
        let argument = |argument: &Argument| match argument {
            Argument::Plain(argument) => argument.clone(),
            Argument::Reads(option, place, suffix) => format!("{option}={}{suffix}", place.display()),
            Argument::Writes(option, place) | Argument::Changes(option, place) => {
                format!("{option}={}", place.display())
            }
        };
        self.0.iter().map(argument).collect()
    }

    /// For one in the emulated host. Reads the files.
    pub(super) fn ship(&self) -> Result<Shipped> {
        let (mut arguments, mut files, mut written) = (Vec::new(), Vec::new(), Vec::new());
        for (index, argument) in self.0.iter().enumerate() {
            // Whatever it was called here: a name of our own has nothing in it that could be misunderstood. What is in
            // the archive would be hidden where something is mounted.
            let (shipped, left) = (format!("/guest-{index}"), format!("/run/guest-{index}"));
            let mut ship = |option: &str, place: &Path| {
                let contents = read_regular(option, place, most(option)).map_err(Error::msg)?;
                files.push((shipped.clone(), contents));
                anyhow::Ok(())
            };
            match argument {
                Argument::Plain(argument) => arguments.push(argument.clone()),
                Argument::Reads(option, place, suffix) => {
                    ship(option, place)?;
                    arguments.push(format!("{option}={shipped}{suffix}"));
                }
                Argument::Writes(option, place) => {
                    arguments.push(format!("{option}={left}"));
                    written.push((left, place.clone()));
                }
                Argument::Changes(option, place) => {
                    ship(option, place)?;
                    arguments.push(format!("{option}={shipped}"));
                    written.push((shipped, place.clone()));
                }
            }
        }
        Ok(Shipped { arguments, files, written })
    }
}

impl Shipped {
    /// Megabytes of memory that a host needs for this guest of `memory` megabytes: for itself, for the files packed and
    /// unpacked, and for the guest with what is kept about it.
    pub(super) fn host_memory(&self, memory: u32) -> u32 {
        let files: usize = self.files.iter().map(|(_, contents)| contents.len()).sum();
        let files = u32::try_from(files >> 20).unwrap_or(u32::MAX);
        memory.saturating_add(files.saturating_mul(3)).saturating_add(384)
    }

    /// Writes what came back. What was not left, by a runner that failed, is not missed.
    pub(super) fn keep(&self, files: &Files) -> Result<()> {
        for (there, here) in &self.written {
            if let Some((_, contents)) = files.iter().find(|(path, _)| path == there) {
                write(here, contents)?;
            }
        }
        Ok(())
    }
}

fn write(path: &Path, contents: &[u8]) -> Result<()> {
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn defaults(line: &str) -> String {
        with_defaults(&words(line), "debian:6.12").join(" ")
    }

    #[test]
    fn what_is_not_said_is_the_demonstration() {
        assert_eq!(
            defaults(""),
            "--kernel debian:6.12 --initrd demo --fail-on demo: failed --cpus 2 --append console=ttyAMA0 quiet nokaslr"
        );
        let quiet = "--append console=ttyAMA0 quiet nokaslr";
        assert_eq!(
            defaults("--cpus 4"),
            format!("--cpus 4 --kernel debian:6.12 --initrd demo --fail-on demo: failed {quiet}")
        );
        assert_eq!(
            defaults("--kernel debian:6.1"),
            format!("--kernel debian:6.1 --initrd demo --fail-on demo: failed --cpus 2 {quiet}")
        );
        assert_eq!(defaults("--kernel=Image"), "--kernel=Image", "a kernel of one's own may want nothing else");
        assert_eq!(defaults("--firmware x"), "--firmware x");
        assert_eq!(defaults("--kernel debian:armmp"), "--kernel debian:armmp", "no arm64 program runs there");
        assert_eq!(defaults("--kernel debian:6.1 --disk d"), "--kernel debian:6.1 --disk d");
        assert_eq!(
            defaults("--append --kernel"),
            "--append --kernel --kernel debian:6.12 --initrd demo --fail-on demo: failed --cpus 2",
            "free text"
        );
    }

    fn guest(folder: &Path, line: &str) -> Result<Guest> {
        let fetch = |option: &str, value: &str| {
            let known = option == "--kernel" && value == "debian:6.1";
            Ok(known.then(|| folder.join("fetched")))
        };
        Guest::new(&words(&line.replace("DIR", &folder.display().to_string())), fetch)
    }

    #[test]
    fn files_go_to_the_host_and_come_back_under_names_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        fs::write(here.join("fetched"), "kernel").unwrap();
        fs::write(here.join("init=rd"), "initrd").unwrap();
        let line = "--kernel debian:6.1 --append --disk=x --initrd=DIR/init=rd --cpus 2 --trace DIR/t.json --stats";
        let guest = guest(here, line).unwrap();
        let shipped = guest.ship().unwrap();
        let there = [
            "--kernel=/guest-0",
            "--append=--disk=x",
            "--initrd=/guest-2",
            "--cpus=2",
            "--trace=/run/guest-4",
            "--stats",
        ];
        assert_eq!(shipped.arguments, there);
        assert_eq!(shipped.files, [("/guest-0".into(), b"kernel".to_vec()), ("/guest-2".into(), b"initrd".to_vec())]);
        shipped.keep(&vec![("/run/guest-4".into(), b"{}".to_vec())]).unwrap();
        assert_eq!(fs::read(here.join("t.json")).unwrap(), b"{}");
        assert_eq!(guest.here()[0], format!("--kernel={}/fetched", here.display()));
        assert_eq!(shipped.host_memory(512), 896);
    }

    #[test]
    fn variables_come_back_and_a_disk_says_whether_it_is_to_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        for file in ["vars", "disk", "disk,rw"] {
            fs::write(here.join(file), file).unwrap();
        }
        let guest = guest(here, "--vars DIR/vars --disk DIR/disk,ro --disk DIR/disk,rw").unwrap();
        let shipped = guest.ship().unwrap();
        assert_eq!(shipped.arguments, ["--vars=/guest-0", "--disk=/guest-1,ro", "--disk=/guest-2"]);
        assert_eq!(
            shipped.files[1..],
            [("/guest-1".into(), b"disk".to_vec()), ("/guest-2".into(), b"disk,rw".to_vec())]
        );
        shipped.keep(&vec![("/guest-0".into(), b"changed".to_vec())]).unwrap();
        assert_eq!(fs::read(here.join("vars")).unwrap(), b"changed");
        assert!(guest.here()[1].ends_with("/disk,ro"), "{:?}", guest.here());
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_option() {
        let folder = tempfile::tempdir().unwrap();
        let error = format!("{:#}", guest(folder.path(), "--initrd DIR/absent").unwrap_err());
        assert!(error.starts_with("--initrd /") && error.contains("absent: No such file"), "{error}");
        assert_eq!(guest(folder.path(), "--disk").unwrap_err().to_string(), "--disk needs a value");
    }
}
