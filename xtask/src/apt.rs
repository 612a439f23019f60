//! A private apt: its own sources, indexes and architectures in the cache folder, with the machine's own mirror, proxy
//! settings and trusted keys. It needs no root and changes nothing of the machine; apt checks every signature and
//! digest. It is only called when something is missing from the cache.

mod said;
mod sources;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};

pub(crate) use self::said::{Available, Described};
use self::said::{parse_descriptions, parse_madison, reached_nothing, unreachable};
use self::sources::{Source, kernel_sources, parse_targets, sources_file};
use crate::cache::{Cache, Lock};
use crate::process::{Interrupted, capture, failure, run};
use crate::progress::Step;

/// The error of what the package indexes do not have: newer ones may.
#[derive(Debug)]
pub(crate) struct NotIndexed(pub(crate) String);

impl fmt::Display for NotIndexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotIndexed {}

/// The error of an archive that cannot be reached, for this reason.
#[derive(Debug)]
pub(crate) struct NotReached(String);

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot reach Debian's archive: {}", self.0)
    }
}

impl std::error::Error for NotReached {}

/// One private apt.
#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
    fresh: Cell<bool>,
    _lock: Lock,
}

impl Apt {
    /// An apt with the suites that the machine is configured for, for its own architecture and arm64.
    pub(crate) fn of_this_machine(cache: &Cache) -> Result<Self> {
        let native = native_architecture()?;
        let architectures: BTreeSet<&str> = [native.as_str(), "arm64"].into();
        let sources = configured_sources(cache)?;
        Self::open(cache, "machine", &sources, &architectures.into_iter().collect::<Vec<_>>())
    }

    /// An apt with every suite that may hold arm64 kernels.
    pub(crate) fn of_all_kernels(cache: &Cache) -> Result<Self> {
        let sources = kernel_sources(&configured_sources(cache)?);
        Self::open(cache, "kernels", &sources, &["arm64"])
    }

    /// An apt with the suites that the machine is configured for, for armhf.
    pub(crate) fn of_armhf(cache: &Cache) -> Result<Self> {
        Self::open(cache, "armhf", &configured_sources(cache)?, &["armhf"])
    }

    fn open(cache: &Cache, name: &str, sources: &[Source], architectures: &[&str]) -> Result<Self> {
        let lock = cache.lock(&format!("apt/{name}"))?;
        let folder = cache.path(&format!("apt/{name}"));
        for part in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        for (name, text) in [
            ("debian.sources", sources_file(sources, architectures)),
            ("apt.conf", config_file(&folder, architectures)),
        ] {
            write_if_different(&folder.join(name), &text)?;
        }
        Ok(Self { folder, fresh: Cell::new(false), _lock: lock })
    }

    /// Does `work` with the indexes that are there; where these lack something ([`NotIndexed`]), with new ones. What
    /// else goes wrong would go wrong with those, too.
    pub(crate) fn with_indexes<T>(&self, work: impl Fn(&Self) -> Result<T>) -> Result<T> {
        let mut lacking = None;
        if !self.fresh.get() && self.has_indexes()? {
            match work(self) {
                Err(error) if error.is::<NotIndexed>() => lacking = Some(error),
                done => return done,
            }
        }
        match (self.refresh(), lacking) {
            (Ok(()), _) => work(self),
            (Err(error), Some(lacking)) if !error.is::<Interrupted>() => {
                Err(anyhow!("{lacking:#}; newer package indexes cannot be fetched: {error:#}"))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn has_indexes(&self) -> Result<bool> {
        let lists = fs::read_dir(self.folder.join("lists"))?;
        Ok(lists.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().contains("_Packages")))
    }

    /// Fetches the indexes.
    pub(crate) fn refresh(&self) -> Result<()> {
        if self.fresh.get() {
            return Ok(());
        }
        let step = Step::essential("Fetching Debian's package indexes");
        let mut command = self.apt_get();
        command.arg("update");
        let captured = capture(&mut command, Some(&step))?;
        // A suite that does not exist (any more) makes the command fail, and the others are there all the same. What
        // was really needed will be missed when it is looked for. An archive that is not reached at all does not make it
        // fail, where there are old indexes.
        if let Some(why) = reached_nothing(&captured.said) {
            return Err(NotReached(why).into());
        }
        ensure!(captured.status.success() || self.has_indexes()?, failure(&command, &captured));
        self.fresh.set(true);
        Ok(())
    }

    /// Names of all packages that start with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = run(self.apt_cache().args(["pkgnames", prefix]), None).map_err(not_indexed)?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// All versions of the arm64 packages `names`, with the suites that have them.
    pub(crate) fn versions(&self, names: &[String]) -> Result<Vec<Available>> {
        let names = names.iter().map(|name| format!("{name}:arm64"));
        Ok(parse_madison(&run(self.apt_cache().arg("madison").args(names), None).map_err(not_indexed)?))
    }

    /// The descriptions of all versions of the arm64 packages `names`.
    pub(crate) fn describe(&self, names: &[String]) -> Result<Vec<Described>> {
        let names = names.iter().map(|name| format!("{name}:arm64"));
        Ok(parse_descriptions(&run(self.apt_cache().arg("show").args(names), None).map_err(not_indexed)?))
    }

    /// A field of a package's description; the package as `name[:architecture][=version]`.
    pub(crate) fn field(&self, package: &str, field: &str) -> Result<String> {
        let shown = run(self.apt_cache().args(["show", "--no-all-versions", package]), None).map_err(not_indexed)?;
        let prefix = format!("{field}: ");
        let value = shown.lines().find_map(|line| line.strip_prefix(&prefix));
        let value = value.ok_or_else(|| NotIndexed(format!("Debian's package {package} has no field {field}")))?;
        Ok(value.to_owned())
    }

    /// The names of the packages that a package depends on.
    pub(crate) fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let depends = self.field(package, "Depends")?;
        Ok(depends.split([',', '|']).filter_map(|one| one.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// `packages` and those of their dependencies that the machine does not have, each as `name=version`.
    pub(crate) fn with_missing_dependencies(&self, packages: &[String]) -> Result<Vec<String>> {
        let plan = run(self.apt_get().args(["--simulate", "--no-install-recommends", "install"]).args(packages), None)?;
        let install = plan.lines().filter_map(|line| {
            let mut words = line.strip_prefix("Inst ")?.split_whitespace();
            let name = words.next()?;
            let version = words.find_map(|word| word.strip_prefix('('))?;
            Some(format!("{name}={version}"))
        });
        Ok(install.collect())
    }

    /// Downloads packages, each as `name[:architecture][=version]`, and gives the files.
    pub(crate) fn download(&self, packages: &[String], into: &Path, step: &Step) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(into)?;
        // A version that the archive has replaced since the index was fetched is not there any more.
        let mut command = self.apt_get();
        let captured = capture(command.arg("download").args(packages).current_dir(into), Some(step))?;
        if !captured.status.success() {
            return Err(match unreachable(&captured.said) {
                Some(why) => NotReached(why).into(),
                None => NotIndexed(failure(&command, &captured)).into(),
            });
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(into)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                files.push(path);
            }
        }
        ensure!(files.len() == packages.len(), "apt-get downloaded {} of {} packages", files.len(), packages.len());
        files.sort();
        Ok(files)
    }

    fn apt_get(&self) -> Command {
        self.tool("apt-get")
    }

    fn apt_cache(&self) -> Command {
        self.tool("apt-cache")
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.arg("-c").arg(self.folder.join("apt.conf")).env("LC_ALL", "C");
        command
    }
}

/// apt reads all indexes again, which takes seconds, when a list of sources is younger than what apt keeps of them.
fn write_if_different(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The machine's architecture in Debian's words.
pub(crate) fn native_architecture() -> Result<String> {
    let name = run(Command::new("dpkg").arg("--print-architecture"), None)?;
    Ok(name.trim().to_owned())
}

/// What the machine has configured of Debian's archive. Other archives are left out.
fn configured_sources(cache: &Cache) -> Result<Vec<Source>> {
    let known = parse_targets(&run(&mut targets(), None).context("Debian's archive is reached through apt")?);
    if !known.is_empty() {
        return Ok(known);
    }
    // Where `apt-get update` has never run, apt does not say. Then it has to, aside, so that nothing is changed here.
    let step = Step::essential("Asking apt for the machine's package sources");
    let folder = cache.path("apt/ask");
    fs::create_dir_all(folder.join("lists/partial"))?;
    let config = folder.join("apt.conf");
    fs::write(
        &config,
        config_file(&folder, &[]).replace("Dir::Etc::sourcelist", "// ").replace("Dir::Etc::sourceparts", "// "),
    )?;
    let mut update = Command::new("apt-get");
    let asked = capture(update.arg("-c").arg(&config).arg("update").env("LC_ALL", "C"), Some(&step))?;
    let known = parse_targets(&run(targets().arg("-c").arg(&config), None)?);
    if known.is_empty() {
        if let Some(why) = reached_nothing(&asked.said) {
            return Err(NotReached(why).into());
        }
        bail!("apt on this machine has no Debian archive configured");
    }
    Ok(known)
}

/// An error of one of apt's tools, most of which come of indexes that are old, or damaged.
fn not_indexed(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Interrupted>() || error.is::<std::io::Error>() {
        error
    } else {
        NotIndexed(format!("{error:#}")).into()
    }
}

/// The command that lists the configured sources of packages.
pub(crate) fn targets() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"]);
    command.env("LC_ALL", "C");
    command
}

/// The settings in which the private apt differs from the machine's.
fn config_file(folder: &Path, architectures: &[&str]) -> String {
    let folder = folder.display();
    let mut text = format!(
        r#"#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{folder}";
Dir::State::lists "lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{folder}";
Dir::Cache::archives "archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "{folder}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowReleaseInfoChange "true";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "3";
APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "root";
"#
    );
    if !architectures.is_empty() {
        text.push_str("#clear APT::Architectures;\n");
        for architecture in architectures {
            writeln!(text, "APT::Architectures:: \"{architecture}\";").expect("a string takes everything");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_sources_that_stays_the_same_stays_as_old_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("debian.sources");
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let age_after = |text: &str| {
            fs::File::options().append(true).create(true).open(&file).unwrap().set_modified(long_ago).unwrap();
            write_if_different(&file, text).unwrap();
            fs::metadata(&file).unwrap().modified().unwrap()
        };
        assert!(age_after("a") > long_ago);
        assert_eq!(age_after("a"), long_ago);
        assert!(age_after("b") > long_ago);
        assert_eq!(fs::read_to_string(&file).unwrap(), "b");
    }
}
