//! What `cargo xtask matrix` was asked for.

use std::path::PathBuf;

use super::cell::{Host, What};
use crate::cli::number;
use crate::version;
use vtick_shell::values::share;

/// The arguments of `cargo xtask matrix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    kernels: Vec<String>,
    modes: Vec<String>,
    gics: Vec<String>,
    cpus: Vec<String>,
    shard: (usize, usize),
    bench: bool,
    /// Names of checks; none: all.
    checks: Vec<String>,
    pub(super) jobs: usize,
    pub(super) fresh: bool,
    pub(super) output: Option<PathBuf>,
}

impl Wanted {
    /// Reads the arguments. The error is one line for a person.
    pub(super) fn parse(arguments: &[String]) -> Result<Wanted, String> {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut wanted = Wanted {
            kernels: list("series"),
            modes: list("vhe"),
            gics: list("3"),
            cpus: list("1"),
            shard: (1, 1),
            bench: true,
            checks: Vec::new(),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            fresh: false,
            output: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value = || {
                let value = attached.clone().or_else(|| arguments.next().cloned());
                value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} needs a value"))
            };
            match name {
                "--kernels" => wanted.kernels = list(&value()?),
                "--modes" => wanted.modes = choices(name, &value()?, &["vhe", "nvhe", "protected"])?,
                "--host-gic" => wanted.gics = choices(name, &value()?, &["2", "3", "none"])?,
                "--host-cpus" => wanted.cpus = numbers(name, &value()?)?,
                "--jobs" => wanted.jobs = number(name, &value()?, 1..=64)? as usize,
                "--shard" => wanted.shard = shard(&value()?)?,
                "--output" => wanted.output = Some(value()?.into()),
                "--no-bench" => wanted.bench = false,
                "--fresh" => wanted.fresh = true,
                _ if name.starts_with('-') => {
                    return Err(format!("`cargo xtask matrix` has no option {name}; `cargo xtask --help` lists them"));
                }
                _ => wanted.checks.push(argument.clone()),
            }
        }
        Ok(wanted)
    }

    /// The kernels by name, those of the archive first, the oldest one first: what is told of neighbours depends on it.
    /// `all` and `series` stand for releases of the archive, which `releases` gives, newest first.
    pub(super) fn kernels(&self, releases: impl Fn() -> anyhow::Result<Vec<String>>) -> anyhow::Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for kernel in &self.kernels {
            let most = match kernel.strip_prefix("series") {
                _ if kernel == "all" => Some(usize::MAX),
                Some("") => Some(1),
                Some(number) if number.starts_with(':') => {
                    Some(self::number("--kernels series:N", &number[1..], 1..=1000).map_err(anyhow::Error::msg)?
                        as usize)
                }
                _ => None,
            };
            match most {
                Some(most) => names.extend(newest_of_each_series(releases()?, most)),
                None => names.push(kernel.clone()),
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names.sort_by(|a, b| match (a.strip_prefix("debian:"), b.strip_prefix("debian:")) {
            (Some(a), Some(b)) => version::compare(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        Ok(names)
    }

    /// Every host, in order.
    pub(super) fn hosts(&self) -> Vec<Host> {
        let mut hosts = Vec::new();
        for gic in &self.gics {
            for cpus in &self.cpus {
                for mode in &self.modes {
                    hosts.push(Host { mode: mode.clone(), gic: gic.clone(), cpus: cpus.clone() });
                }
            }
        }
        hosts
    }

    /// Whether the cell at this place belongs to the shard that was asked for.
    pub(super) fn has(&self, place: usize) -> bool {
        place % self.shard.1 == self.shard.0 - 1
    }

    /// What each cell runs, with the arguments for the runner.
    pub(super) fn steps(&self) -> Vec<(What, Vec<String>)> {
        let mut steps = vec![(What::Checks, self.checks.clone())];
        if self.bench && self.checks.is_empty() {
            steps.push((What::Latency, Vec::new()));
        }
        steps
    }
}

/// The `most` newest of each series (the first two numbers), oldest series and release first.
fn newest_of_each_series(newest_first: Vec<String>, most: usize) -> Vec<String> {
    let series =
        |release: &str| release.trim_start_matches("debian:").splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let mut taken = std::collections::BTreeMap::<String, usize>::new();
    let mut chosen: Vec<String> = newest_first
        .into_iter()
        .filter(|release| {
            let count = taken.entry(series(release)).or_default();
            *count += 1;
            *count <= most
        })
        .collect();
    chosen.reverse();
    chosen
}

fn choices(name: &str, value: &str, possible: &[&str]) -> Result<Vec<String>, String> {
    let list: Vec<String> = value.split(',').map(str::to_owned).collect();
    match list.iter().find(|word| !possible.contains(&word.as_str())) {
        Some(wrong) => {
            Err(format!("{name} {wrong}: one of {} is possible, or several with commas", possible.join(", ")))
        }
        None => Ok(list),
    }
}

fn numbers(name: &str, value: &str) -> Result<Vec<String>, String> {
    value.split(',').map(|word| number(name, word, 1..=64).map(|number| number.to_string())).collect()
}

fn shard(value: &str) -> Result<(usize, usize), String> {
    share(value).ok_or_else(|| format!("--shard {value}: I/N is needed, such as 1/4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Wanted, String> {
        Wanted::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn releases() -> anyhow::Result<Vec<String>> {
        Ok(["7.3.4", "7.2.13", "7.2.9", "6.1.0-50", "6.1.0-47"].map(|release| format!("debian:{release}")).into())
    }

    #[test]
    fn kernels_of_the_archive_are_named_by_series_and_listed_oldest_first() {
        let kernels = |line: &str| parse(line).unwrap().kernels(releases).unwrap().join(" ").replace("debian:", "");
        assert_eq!(kernels(""), "6.1.0-50 7.2.13 7.3.4");
        assert_eq!(kernels("--kernels series:2"), "6.1.0-47 6.1.0-50 7.2.9 7.2.13 7.3.4");
        assert_eq!(kernels("--kernels all"), "6.1.0-47 6.1.0-50 7.2.9 7.2.13 7.3.4");
        assert_eq!(
            kernels("--kernels my/Image,Image,series,debian:6.1.0-47"),
            "6.1.0-47 6.1.0-50 7.2.13 7.3.4 my/Image Image"
        );
    }

    #[test]
    fn shards_have_every_cell_once() {
        let shards: Vec<Wanted> = (1..=3).map(|i| parse(&format!("--shard {i}/3")).unwrap()).collect();
        for place in 0..20 {
            assert_eq!(shards.iter().filter(|shard| shard.has(place)).count(), 1, "{place}");
        }
    }

    #[test]
    fn hosts_are_the_product_of_what_was_asked_for() {
        let wanted = parse("--modes vhe,nvhe --host-gic 3,none --host-cpus 1,2").unwrap();
        assert_eq!(wanted.hosts().len(), 8);
        assert_eq!(wanted.hosts()[1], Host { mode: "nvhe".into(), gic: "3".into(), cpus: "1".into() });
    }

    #[test]
    fn a_wrong_value_is_named_with_those_that_are_possible() {
        for (line, due) in [
            ("--modes vhe,fast", "--modes fast: one of vhe, nvhe, protected is possible, or several with commas"),
            ("--host-cpus 0", "--host-cpus 0: a number from 1 to 64 is needed"),
            ("--shard 3/2", "--shard 3/2: I/N is needed, such as 1/4"),
            ("--jobs", "--jobs needs a value"),
            ("--kernel x", "`cargo xtask matrix` has no option --kernel; `cargo xtask --help` lists them"),
        ] {
            assert_eq!(parse(line).unwrap_err(), due);
        }
    }
}
