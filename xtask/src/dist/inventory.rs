//! What is in the runner, as cargo tells: the packages that are compiled into it and into the guest inside, and the
//! libraries that compiler and linker add.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::artifacts;
use crate::process::run;
use crate::progress::Step;
use crate::toolchain::{GUEST, Toolchain};

/// Everything that the runner is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    /// The packages, by name and version.
    pub(super) packages: Vec<Package>,
    /// Libraries that no package is.
    pub(super) libraries: Vec<Library>,
    /// The compiler, in its own words: one line.
    pub(super) compiler: String,
    /// Folders that hold packages' sources.
    sources: BTreeSet<PathBuf>,
    /// Where the compiler is.
    sysroot: PathBuf,
}

/// A package of cargo's.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) license: Option<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) repository: Option<String>,
    /// Where it is from; none: it is of this workspace.
    #[serde(default)]
    pub(super) source: Option<String>,
    manifest_path: PathBuf,
    /// The SHA-256 of the package as the registry has it.
    #[serde(skip)]
    pub(super) checksum: Option<String>,
    /// The ids of the packages that it uses, of those that are in the runner.
    #[serde(skip)]
    pub(super) uses: Vec<String>,
}

impl Package {
    /// Where it lies unpacked.
    pub(super) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("/"))
    }

    /// What everybody calls it (package URL).
    pub(super) fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }
}

/// A library that is linked without being a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) name: &'static str,
    pub(super) version: String,
    pub(super) license: &'static str,
    /// A file with the words of that licence, where no package has them.
    pub(super) words: Option<&'static str>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

impl Inventory {
    /// Asks cargo and the compiler.
    pub(super) fn take(toolchain: &Toolchain) -> Result<Self> {
        let step = Step::new("Asking cargo what the runner is made of");
        let cargo = |arguments: &[&str]| {
            run(toolchain.cargo().args(arguments).arg("--locked").current_dir(artifacts::workspace()), Some(&step))
        };
        let mut linked = BTreeSet::new();
        for (package, target) in [("vtick", toolchain.runner()), ("vtick-guest", GUEST)] {
            let edges = "normal,no-proc-macro";
            let tree =
                cargo(&["tree", "--package", package, "--target", target, "--edges", edges, "--prefix", "none"])?;
            linked.extend(tree.lines().filter_map(name_and_version));
        }
        let told = cargo(&["metadata", "--format-version", "1", "--filter-platform", toolchain.runner()])?;
        let metadata: Metadata = serde_json::from_str(&told).context("cargo metadata")?;
        let lock = fs::read_to_string(artifacts::workspace().join("Cargo.lock")).context("cannot read Cargo.lock")?;

        let compiler = run(Command::new(toolchain.rustc()).arg("--version"), None)?.trim().to_owned();
        let sysroot = run(Command::new(toolchain.rustc()).args(["--print", "sysroot"]), None)?.trim().into();
        let mut inventory = Self { compiler, sysroot, ..Self::choose(metadata, &linked, &checksums(&lock)) };
        inventory.libraries = libraries(toolchain, &inventory.compiler)?;
        Ok(inventory)
    }

    fn choose(
        metadata: Metadata,
        linked: &BTreeSet<(String, String)>,
        sums: &BTreeMap<(String, String), String>,
    ) -> Self {
        let of = |package: &Package| (package.name.clone(), package.version.clone());
        let sources = metadata.packages.iter().filter(|package| package.source.is_some());
        let sources = sources.filter_map(|package| Some(package.folder().parent()?.to_owned())).collect();
        let mut packages = metadata.packages;
        packages.retain(|package| linked.contains(&of(package)));
        let ids: BTreeSet<_> = packages.iter().map(|package| package.id.clone()).collect();
        let mut uses: BTreeMap<_, _> = metadata.resolve.nodes.into_iter().map(|n| (n.id, n.dependencies)).collect();
        for package in &mut packages {
            package.checksum = sums.get(&of(package)).cloned();
            package.uses = uses.remove(&package.id).unwrap_or_default();
            package.uses.retain(|id| ids.contains(id));
        }
        packages.sort_by_key(of);
        Self { packages, sources, ..Self::default() }
    }

    /// The folders of this machine whose names could get into a program, and what they are called instead. Of two that
    /// match, the compiler takes the last.
    pub(super) fn places(&self, toolchains: PathBuf) -> Result<Vec<(PathBuf, String)>> {
        let workspace = fs::canonicalize(artifacts::workspace()).context("cannot find the workspace")?;
        let mut places = vec![(toolchains, "/toolchain".to_owned()), (self.sysroot.clone(), "/toolchain".to_owned())];
        places.extend(self.sources.iter().map(|folder| (folder.clone(), "/crates".to_owned())));
        places.push((workspace, "/vtick".to_owned()));
        places.retain(|(place, _)| place.components().count() > 2);
        Ok(places)
    }

    /// The package of this name in the workspace.
    pub(super) fn own(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.source.is_none() && package.name == name)
    }
}

/// Of a line of `cargo tree`: `clap v4.6.9`, `vtick v0.2.0 (/path) (*)`.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    Some((name.to_owned(), version.strip_prefix('v')?.to_owned()))
}

/// The packages' checksums in a Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]");
    let sum =
        |package: &str| Some(((value(package, "name")?, value(package, "version")?), value(package, "checksum")?));
    packages.filter_map(sum).collect()
}

/// What compiler and linker add.
fn libraries(toolchain: &Toolchain, compiler: &str) -> Result<Vec<Library>> {
    let version = compiler.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let rust = Library { name: "rust-std", version, license: "MIT OR Apache-2.0", words: None };
    let c = match toolchain.c_library() {
        None => {
            Library { name: "musl", version: "as it comes with the compiler".to_owned(), license: "MIT", words: None }
        }
        Some(library) => {
            let bytes = fs::read(&library).with_context(|| format!("cannot read {}", library.display()))?;
            Library {
                name: "glibc",
                version: version_of_glibc(&bytes).with_context(|| format!("{} names no version", library.display()))?,
                license: "LGPL-2.1-or-later",
                words: Some("/usr/share/common-licenses/LGPL-2.1"),
            }
        }
    };
    Ok(vec![rust, c])
}

/// What the library says when it is run: `GNU C Library (Debian GLIBC 2.36-9+deb12u13) stable release version 2.36.`
fn version_of_glibc(bytes: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"GNU C Library (";
    let at = bytes.windows(BANNER.len()).position(|window| window == BANNER)? + BANNER.len();
    let words = bytes[at..].split(|&byte| byte == b')').next()?;
    Some(String::from_utf8_lossy(words).rsplit(' ').next()?.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A runner of two packages and a library.
    pub(in crate::dist) fn example() -> Inventory {
        let metadata = r#"{"packages": [
            {"id": "z", "name": "vtick", "version": "0.2.0", "license": "MIT", "manifest_path": "/w/host/Cargo.toml"},
            {"id": "c", "name": "clap", "version": "4.6.9", "license": "MIT OR Apache-2.0", "source": "registry",
             "manifest_path": "/registry/clap-4.6.9/Cargo.toml"},
            {"id": "p", "name": "proptest", "version": "1.0.0", "source": "registry",
             "manifest_path": "/registry/proptest-1.0.0/Cargo.toml"}],
            "resolve": {"nodes": [{"id": "z", "dependencies": ["c", "p"]}, {"id": "c", "dependencies": []}]}}"#;
        let tree = "vtick v0.2.0 (/w/host)\nclap v4.6.9\nclap v4.6.9 (*)\n";
        let lock = "version = 4\n\n[[package]]\nname = \"clap\"\nversion = \"4.6.9\"\nchecksum = \"abc\"\n";
        let linked = tree.lines().filter_map(name_and_version).collect();
        let mut inventory = Inventory::choose(serde_json::from_str(metadata).unwrap(), &linked, &checksums(lock));
        inventory.libraries = vec![Library { name: "musl", version: "1".to_owned(), license: "MIT", words: None }];
        inventory
    }

    #[test]
    fn only_what_is_compiled_into_the_runner_is_in_it() {
        let inventory = example();
        let names: Vec<_> = inventory.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["clap", "vtick"]);
        assert_eq!(inventory.packages[0].checksum.as_deref(), Some("abc"));
        assert_eq!(inventory.packages[1].uses, ["c"]);
        assert_eq!(inventory.own("vtick").unwrap().purl(), "pkg:cargo/vtick@0.2.0");
    }

    #[test]
    fn the_c_library_says_which_it_is() {
        let bytes = b"\0\x01GNU C Library (Debian GLIBC 2.36-9+deb12u13) stable release version 2.36.\n";
        assert_eq!(version_of_glibc(bytes).as_deref(), Some("2.36-9+deb12u13"));
        assert_eq!(version_of_glibc(b"nothing"), None);
    }
}
