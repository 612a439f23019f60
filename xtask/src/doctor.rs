//! `cargo xtask doctor`: what `cargo xtask test` needs of this machine. It looks, and changes nothing.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cache::Cache;
use crate::process::run;
use crate::say::say;
use crate::toolchain::{Toolchain, rustc};
use crate::vtick::CANNOT_RUN;
use crate::{apt, artifacts, install, kernel, native, qemu};

/// Room that everything takes which is fetched, and what is built: in mebibytes.
const ROOM_IN_CACHE: u64 = 1500;
const ROOM_IN_TARGET: u64 = 2500;

/// How a thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// As it has to be.
    There(String),
    /// It comes by itself: what will be done, and how many seconds that takes on two CPUs and a fast line.
    Comes(String, u64),
    /// Somebody has to do something first.
    Lacks(String),
    /// Nothing needs it but what is said.
    Extra(String),
}

/// A thing, and how it is.
struct Finding {
    what: &'static str,
    state: State,
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (word, says) = match &self.state {
            State::There(says) => ("there", says.clone()),
            State::Comes(says, seconds) => ("comes", format!("{says}\nabout {}", span(*seconds))),
            State::Lacks(says) => ("LACKS", says.clone()),
            State::Extra(says) => ("absent", says.clone()),
        };
        let mut lines = says.lines();
        writeln!(f, "{word:<7}{:<13}{}", self.what, lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| writeln!(f, "{:20}{line}", ""))
    }
}

/// A span of time, for a person.
fn span(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

/// Says it all; the status is 0 where nothing stands in the way.
pub(crate) fn doctor() -> Result<i32> {
    // A cache that cannot be made is a finding, too.
    let cache = Cache::open();
    let mut findings = vec![compiler()];
    match &cache {
        Ok(cache) => {
            findings.push(finding("cache", room(cache.folder(), ROOM_IN_CACHE)));
            findings.push(finding("toolchain", toolchain(cache)?));
        }
        Err(error) => findings.push(finding("cache", State::Lacks(format!("{error:#}")))),
    }
    findings.push(finding("target", room(&artifacts::target(), ROOM_IN_TARGET)));
    findings.push(finding("programs", programs()));
    let native = native::possible() && native::check().is_ok();
    findings.push(finding("this machine", host(native)));
    if !native {
        findings.push(finding("QEMU", emulator()));
        if let Ok(cache) = &cache {
            findings.push(finding("kernel", kernel_of_host(cache)?));
        }
    }
    let fetches =
        findings.iter().any(|finding| matches!(finding.state, State::Comes(..)) && finding.what != "programs");
    if fetches {
        findings.push(finding("apt", archive()));
    }
    findings.push(finding("browser", browser()));
    let text: String = findings.iter().map(ToString::to_string).collect();
    let (last, status) = conclusion(&findings);
    say(format!("{text}\n{last}\n"))?;
    Ok(status)
}

fn finding(what: &'static str, state: State) -> Finding {
    Finding { what, state }
}

fn conclusion(findings: &[Finding]) -> (String, i32) {
    let lacking: Vec<_> = findings
        .iter()
        .filter(|finding| matches!(finding.state, State::Lacks(_)))
        .map(|finding| finding.what)
        .collect();
    if !lacking.is_empty() {
        return (format!("`cargo xtask test` cannot run yet: see {}", lacking.join(", ")), CANNOT_RUN);
    }
    let to_come: u64 =
        findings.iter().filter_map(|f| if let State::Comes(_, s) = f.state { Some(s) } else { None }).sum();
    let ready = "`cargo xtask test` runs in about a minute";
    match to_come {
        0 => (format!("{ready}; nothing is fetched"), 0),
        seconds => (format!("{ready},\nthe first time in {} more", span(seconds)), 0),
    }
}

fn compiler() -> Finding {
    let version = run(Command::new(rustc()).arg("--version"), None);
    finding(
        "Rust",
        match version {
            Ok(version) => State::There(version.trim().to_owned()),
            Err(error) => State::Lacks(format!("{error:#}")),
        },
    )
}

/// Whether a folder, or the one it will be in, has room.
fn room(folder: &Path, needed: u64) -> State {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let free = rustix::fs::statvfs(there).map(|room| room.f_bavail.saturating_mul(room.f_frsize) >> 20);
    let place = folder.display();
    match free {
        Ok(free) if free < needed => State::Lacks(format!("{place}\n{free} MB are free; {needed} MB may be needed")),
        Ok(free) => State::There(format!("{place}\n{free} MB are free")),
        Err(error) => State::Lacks(format!("{place}: {error}")),
    }
}

fn toolchain(cache: &Cache) -> Result<State> {
    Ok(match Toolchain::there(cache)? {
        Some(Toolchain::OfUser) => State::There("rustup's, with both arm64 targets".to_owned()),
        Some(Toolchain::Unpacked(folder)) => {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            State::There(format!("Debian's rustc {}", name.split('-').next().unwrap_or_default()))
        }
        None => State::Comes("fetched of Debian's archive, 250 MB,\nand unpacked in the cache".to_owned(), 120),
    })
}

fn programs() -> State {
    if artifacts::target().join("cross").is_dir() {
        State::There("built before; changes are built anew".to_owned())
    } else {
        State::Comes("built: guest, runner, agent".to_owned(), 180)
    }
}

fn host(native: bool) -> State {
    if native {
        return State::There("arm64 with KVM: runs are native".to_owned());
    }
    let why = if native::possible() {
        native::check().err().map(|error| format!("{error:#}")).unwrap_or_default()
    } else {
        format!("{} without arm64 KVM", std::env::consts::ARCH)
    };
    State::There(format!("{why}:\nruns are in an emulated arm64 host"))
}

fn emulator() -> State {
    if let Some(program) = install::found(&[qemu::QEMU]) {
        let version = run(Command::new(&program).arg("--version"), None).unwrap_or_default();
        // "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)"
        let version = version.split_whitespace().nth(3).unwrap_or("of unknown version");
        return State::There(format!("QEMU {version}"));
    }
    if rustix::process::geteuid().is_root() {
        return State::Comes(format!("apt-get installs {}, 100 MB", qemu::PACKAGE), 60);
    }
    State::Lacks(format!("`sudo apt-get install\n --no-install-recommends {}`", qemu::PACKAGE))
}

fn kernel_of_host(cache: &Cache) -> Result<State> {
    Ok(match kernel::there(cache, kernel::DEFAULT)? {
        Some(kernel) => State::There(kernel.name),
        None => State::Comes(format!("{} is fetched, 150 MB\nwith the archive's indexes", kernel::DEFAULT), 60),
    })
}

/// Whether what comes can come.
fn archive() -> State {
    let targets = apt::targets().output();
    match targets {
        Ok(told) if told.status.success() => State::There("Debian's archive is reached through it".to_owned()),
        Ok(told) => {
            State::Lacks(format!("`apt-get indextargets` fails:\n{}", String::from_utf8_lossy(&told.stderr).trim()))
        }
        Err(error) => State::Lacks(format!("apt-get: {error}; it is needed to fetch")),
    }
}

fn browser() -> State {
    match install::found(&crate::BROWSERS) {
        Some(browser) => State::There(format!("{}", browser.display())),
        None => State::Extra("only tests of pages need one:\n`cargo xtask browser`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(states: impl IntoIterator<Item = State>) -> Vec<Finding> {
        states.into_iter().map(|state| finding("QEMU", state)).collect()
    }

    #[test]
    fn what_comes_by_itself_stands_in_nobodys_way_and_its_times_add_up() {
        let comes = |seconds| State::Comes("fetched".to_owned(), seconds);
        let (text, status) = conclusion(&findings([State::There(String::new()), comes(120), comes(70)]));
        assert_eq!(
            (text.as_str(), status),
            ("`cargo xtask test` runs in about a minute,\nthe first time in 4 min more", 0)
        );
        let (text, status) = conclusion(&findings([State::Extra(String::new())]));
        assert!(text.ends_with("nothing is fetched"), "{text}");
        assert_eq!(status, 0);
    }

    #[test]
    fn what_somebody_has_to_do_is_named_last_and_in_the_status() {
        let (text, status) =
            conclusion(&findings([State::Comes(String::new(), 9), State::Lacks("install".to_owned())]));
        assert_eq!((text.as_str(), status), ("`cargo xtask test` cannot run yet: see QEMU", CANNOT_RUN));
    }

    #[test]
    fn lines_fit_sixty_columns_and_go_on_below_their_beginning() {
        let text = finding("kernel", State::Comes("fetched of Debian's archive, 250 MB,\nand unpacked".to_owned(), 61))
            .to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], format!("{:20}and unpacked", ""));
        assert_eq!(lines[2], format!("{:20}about 2 min", ""));
        assert!(lines.iter().all(|line| line.len() <= 60), "{text}");
    }

    #[test]
    fn a_full_disk_is_something_to_be_done() {
        assert!(matches!(room(Path::new("/nowhere/yet"), u64::MAX), State::Lacks(why) if why.contains("are free")));
        assert!(matches!(room(Path::new("/nowhere/yet"), 0), State::There(_)));
    }
}
