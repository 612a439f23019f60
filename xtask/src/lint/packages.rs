//! Other people's packages: all from crates.io, under licences that let vtick's own stand, and for the compiler that
//! vtick says it needs.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::artifacts;
use crate::process::run;
use crate::toolchain::{Toolchain, cargo};

/// Licences that ask for no more than vtick's own do, and what is said with a text that goes with it (`cargo xtask dist`).
const LICENCES: [&str; 9] =
    ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib"];

/// As a Cargo.lock names crates.io, whatever a machine has in its place.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    license: Option<String>,
    rust_version: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    req: String,
    path: Option<String>,
}

/// Says what is wrong; whether nothing is.
pub(super) fn lint(toolchain: &Toolchain) -> Result<bool> {
    let lock = fs::read_to_string(artifacts::workspace().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let mut wrong = sources(&lock);
    // Of this machine and of the runner: packages for other systems are in no program of ours.
    let target = run(std::process::Command::new(crate::toolchain::rustc()).args(["--print", "host-tuple"]), None)?;
    for target in [target.trim(), toolchain.runner()] {
        let mut cargo = cargo();
        cargo.args(["metadata", "--format-version", "1", "--filter-platform", target]);
        let told = run(cargo.current_dir(artifacts::workspace()), None)?;
        let metadata: Metadata = serde_json::from_str(&told).context("cargo metadata")?;
        wrong.extend(metadata.packages.iter().flat_map(|package| judge(package, env!("CARGO_PKG_RUST_VERSION"))));
    }
    wrong.sort();
    wrong.dedup();
    wrong.iter().for_each(|line| eprintln!("error: {line}"));
    Ok(wrong.is_empty())
}

/// Packages that a lock file has from elsewhere.
fn sources(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = ")).map(|source| source.trim_matches('"'));
    sources
        .filter(|source| *source != CRATES_IO)
        .map(|source| format!("Cargo.lock: {source} is not crates.io"))
        .collect()
}

/// What is wrong with a package, for a workspace that promises to build with Rust `ours`.
fn judge(package: &Package, ours: &str) -> Vec<String> {
    let Package { name, version, source, license, rust_version, dependencies } = package;
    let mut wrong = Vec::new();
    if source.is_none() {
        let any = dependencies.iter().filter(|dependency| dependency.req == "*" && dependency.path.is_none());
        wrong.extend(any.map(|dependency| format!("{name} takes any version of {}", dependency.name)));
    }
    match license {
        None => wrong.push(format!("{name} {version} names no licence")),
        Some(license) if !is_permitted(license) => {
            wrong.push(format!("{name} {version}: {license} is no licence that may be in vtick"));
        }
        Some(_) => {}
    }
    if let Some(theirs) = rust_version.as_deref().filter(|theirs| numbers(theirs) > numbers(ours)) {
        wrong.push(format!("{name} {version} needs Rust {theirs}; vtick says that {ours} is enough"));
    }
    wrong
}

fn is_permitted(license: &str) -> bool {
    let known = Expression::parse_mode(license, ParseMode::LAX);
    known.is_ok_and(|expression| {
        expression.evaluate(|wanted| wanted.license.id().is_some_and(|id| LICENCES.contains(&id.name)))
    })
}

fn numbers(version: &str) -> Vec<u32> {
    let mut numbers: Vec<_> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    numbers.resize(3, 0);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(license: &str, rust_version: &str) -> Package {
        Package {
            name: "p".to_owned(),
            version: "1.0.0".to_owned(),
            source: Some(CRATES_IO.to_owned()),
            license: Some(license.to_owned()).filter(|license| !license.is_empty()),
            rust_version: Some(rust_version.to_owned()),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn a_licence_is_permitted_when_one_of_those_to_choose_is_and_all_that_hold_at_once_are() {
        for permitted in ["MIT", "MIT/Apache-2.0", "GPL-3.0-only OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(judge(&package(permitted, "1.60"), "1.95").is_empty(), "{permitted}");
        }
        for refused in ["GPL-3.0-only", "MIT AND GPL-2.0-or-later", "Proprietary", "MPL-2.0", ""] {
            assert_eq!(judge(&package(refused, "1.60"), "1.95").len(), 1, "{refused}");
        }
    }

    #[test]
    fn a_package_that_needs_a_newer_compiler_than_is_promised_is_named() {
        let wrong = judge(&package("MIT", "1.96"), "1.95");
        assert_eq!(wrong, ["p 1.0.0 needs Rust 1.96; vtick says that 1.95 is enough"]);
        for enough in ["1.95", "1.95.0", "1.9", "1.60.1"] {
            assert!(judge(&package("MIT", enough), "1.95").is_empty(), "{enough}");
        }
    }

    #[test]
    fn packages_come_from_crates_io_and_in_versions_that_were_chosen() {
        let lock = format!("source = \"{CRATES_IO}\"\nsource = \"git+https://example.org/x\"\n");
        assert_eq!(sources(&lock), ["Cargo.lock: git+https://example.org/x is not crates.io"]);
        let any = |path: Option<&str>| Package {
            source: None,
            dependencies: vec![Dependency { name: "q".to_owned(), req: "*".to_owned(), path: path.map(str::to_owned) }],
            ..package("MIT", "1.95")
        };
        assert_eq!(judge(&any(None), "1.95"), ["p takes any version of q"]);
        assert!(judge(&any(Some("/w/q")), "1.95").is_empty());
    }
}
