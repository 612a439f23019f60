//! What is given away: the runner as one static file, with its manual, completions for shells, an SBOM and the licences
//! of all that is in it. The same commit and compiler give the same bytes, wherever they are built and by whom.

mod inventory;
mod licences;
mod pack;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::inventory::Inventory;
use crate::artifacts;
use crate::cache::Cache;
use crate::digest::sha256_of_file;
use crate::process::run;
use crate::say::say;
use crate::toolchain::{Toolchain, cargo};

/// What stands for "there is no commit": the first second of 2026, UTC. Archivers warn of files older than themselves.
const NO_COMMIT: u64 = 1_767_225_600;

/// Files of the workspace that go with it.
const PAPERS: [&str; 5] = ["README.md", "CHANGELOG.md", "docs/record.schema.json", "LICENSE-APACHE", "LICENSE-MIT"];

/// Makes everything, in the folder `output` or in target/dist.
pub(crate) fn dist(cache: &Cache, toolchain: &Toolchain, output: Option<&Path>) -> Result<()> {
    let output = output.map_or_else(|| artifacts::target().join("dist"), Path::to_owned);
    let output = std::path::absolute(&output)?;
    empty(&output)?;
    let source = Source::look()?;
    let inventory = Inventory::take(toolchain)?;
    let places = inventory.places(cache.path("toolchain"))?;
    let runner = artifacts::release(toolchain, &artifacts::target().join("release"), &places)?;

    let version = env!("CARGO_PKG_VERSION");
    let name = format!("vtick-{version}-aarch64-linux");
    let folder = output.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {}", folder.join(name).display()))
    };
    fs::copy(&runner, folder.join("vtick")).with_context(|| format!("cannot copy {}", runner.display()))?;
    manual(&folder)?;
    for paper in PAPERS {
        let paper = Path::new(paper);
        fs::copy(artifacts::workspace().join(paper), folder.join(paper.file_name().unwrap_or_default()))
            .with_context(|| format!("cannot copy {}", paper.display()))?;
    }
    write("LICENSES-OF-PARTS.txt", &licences::text(&inventory)?)?;
    write("vtick.cdx.json", &sbom::cyclonedx(&inventory, &sha256_of_file(&runner)?))?;
    write("BUILD.txt", &source.how_to_build(version, &inventory.compiler))?;

    let files = pack::files(&folder)?;
    no_place_of_this_machine(&folder, &files, &places)?;
    let archive = output.join(format!("{name}.tar.gz"));
    pack::archive(&folder, &name, &files, source.time, &archive)?;
    let listed = files.iter().map(|file| Path::new(&name).join(file)).chain([PathBuf::from(format!("{name}.tar.gz"))]);
    let sums = pack::sums(&output, listed)?;
    fs::write(output.join("SHA256SUMS"), &sums).with_context(|| format!("cannot write to {}", output.display()))?;
    say(format!("{sums}in {}\n", output.display()))
}

/// Makes the folder, or empties one that an earlier `dist` filled. Anything else in it is somebody's.
fn empty(output: &Path) -> Result<()> {
    let is_ours = |name: &str| name == "SHA256SUMS" || name.starts_with("vtick-");
    if output.exists() {
        let entries = fs::read_dir(output).with_context(|| format!("--output {}", output.display()))?;
        for entry in entries {
            let entry = entry?;
            if !is_ours(&entry.file_name().to_string_lossy()) {
                bail!("--output {}: {} is in the way; give an empty folder", output.display(), entry.path().display());
            }
        }
        fs::remove_dir_all(output).with_context(|| format!("--output {}", output.display()))?;
    }
    fs::create_dir_all(output).with_context(|| format!("--output {}", output.display()))
}

/// Manual and completions, which the command line writes itself.
fn manual(folder: &Path) -> Result<()> {
    let step = crate::progress::Step::new("Writing the manual");
    let mut cargo = cargo();
    cargo.args(["run", "--quiet", "--locked", "--package", "vtick", "--example", "manual", "--target-dir"]);
    cargo.arg(artifacts::target()).arg("--").arg(folder).current_dir(artifacts::workspace());
    run(&mut cargo, Some(&step)).map(|_| ())
}

/// The commit from which all is made.
struct Source {
    commit: Option<String>,
    /// Seconds since 1970: what files in the archive are dated.
    time: u64,
}

impl Source {
    fn look() -> Result<Self> {
        let git = |arguments: &[&str]| {
            let output = Command::new("git").args(arguments).current_dir(artifacts::workspace()).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let commit = git(&["rev-parse", "HEAD"]);
        if git(&["status", "--porcelain"]).is_some_and(|changed| !changed.is_empty()) {
            eprintln!("warning: there are changes here that no commit holds: nobody else can make these bytes");
        }
        let time = git(&["log", "-1", "--format=%ct"]).and_then(|time| time.parse().ok());
        Ok(Self { commit, time: time.unwrap_or(NO_COMMIT) })
    }

    fn how_to_build(&self, version: &str, compiler: &str) -> String {
        let commit = self.commit.as_deref().unwrap_or("unknown: not built in a git repository");
        format!(
            "vtick {version}\ncommit   {commit}\ncompiler {compiler}\n\n\
             `cargo xtask dist` in a clone of this commit, with this compiler, gives the same bytes.\n"
        )
    }
}

/// Refuses what would differ on another machine: a path of this one in any of the files.
fn no_place_of_this_machine(folder: &Path, files: &[PathBuf], places: &[(PathBuf, String)]) -> Result<()> {
    for file in files {
        let bytes = fs::read(folder.join(file)).with_context(|| format!("cannot read {}", file.display()))?;
        for (place, _) in places {
            let place = place.as_os_str().as_encoded_bytes();
            if bytes.windows(place.len()).any(|window| window == place) {
                bail!(
                    "{} holds the path {} of this machine: it could not be made elsewhere",
                    file.display(),
                    String::from_utf8_lossy(place)
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_machine_in_what_is_given_away_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("vtick"), b"\x7fELF /cargo/clap/lib.rs\0/home/me/registry/clap.rs\0").unwrap();
        let files = [PathBuf::from("vtick")];
        let place = |place: &str| [(PathBuf::from(place), "/cargo".to_owned())];
        let error = no_place_of_this_machine(folder.path(), &files, &place("/home/me/registry")).unwrap_err();
        assert!(error.to_string().starts_with("vtick holds the path /home/me/registry of this machine"), "{error}");
        no_place_of_this_machine(folder.path(), &files, &place("/home/you/registry")).unwrap();
    }

    #[test]
    fn a_folder_with_somebodys_files_is_not_emptied() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("SHA256SUMS"), "").unwrap();
        fs::create_dir(folder.path().join("vtick-0.1.0-aarch64-linux")).unwrap();
        empty(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let error = empty(folder.path()).unwrap_err().to_string();
        assert!(error.contains("thesis.tex is in the way"), "{error}");
        assert!(folder.path().join("thesis.tex").exists());
    }
}
