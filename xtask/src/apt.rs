//! A private apt: its own sources, indexes and architectures in the cache folder, with the machine's own mirror, proxy
//! settings and trusted keys. It needs no root and changes nothing of the machine; apt checks every signature and
//! digest. It is only called when something is missing from the cache.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::cache::{Cache, Lock};
use crate::process::{Interrupted, capture, failure, run};
use crate::progress::Step;

/// The keys with which Debian signs its archive, where Debian's own package puts them. Without it, apt's own choice of
/// trusted keys applies.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Suites that are looked through for kernels, where the archive has them. apt says nothing of suites that are not
/// configured, so their names have to be known.
const KERNEL_SUITES: [&str; 7] =
    ["bookworm", "bookworm-updates", "bookworm-backports", "trixie", "trixie-updates", "trixie-backports", "sid"];
/// The same in the security archive, which stands elsewhere.
const KERNEL_SECURITY_SUITES: [&str; 2] = ["bookworm-security", "trixie-security"];

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

/// A package in one version and suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Available {
    /// Its name, without architecture.
    pub(crate) package: String,
    /// Its version.
    pub(crate) version: String,
    /// The suite that has it, such as `trixie-security`.
    pub(crate) suite: String,
}

/// What a package needs, as its description says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// Its name, without architecture.
    pub(crate) package: String,
    /// Its version.
    pub(crate) version: String,
    /// The field Depends, empty if there is none.
    pub(crate) depends: String,
}

/// Where the machine gets Debian's packages from: one configured suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    uri: String,
    suite: String,
    component: String,
}

impl Source {
    fn is_security(&self) -> bool {
        self.suite.ends_with("-security")
    }
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

/// Why `apt-get update` fetched nothing and found nothing unchanged, if that is what it says.
fn reached_nothing(said: &[String]) -> Option<String> {
    let is = |line: &&String, words: &[&str]| words.iter().any(|word| line.starts_with(word));
    if said.iter().any(|line| is(&line, &["Get:", "Hit:"])) {
        return None;
    }
    let why = said.iter().find(|line| is(line, &["W: Failed to fetch", "E: Failed to fetch", "E:", "W:"]));
    Some(why.map_or_else(|| "apt-get update fetched nothing".to_owned(), |line| reason(&line[2..])))
}

/// Why nothing at all came from the archive, if `apt-get download` says so. An archive that answers has a number for an
/// error, such as 404.
fn unreachable(said: &[String]) -> Option<String> {
    let mut failed = said.iter().filter_map(|line| line.strip_prefix("E: Failed to fetch ")).map(reason).peekable();
    let first = failed.peek().cloned()?;
    failed.all(|why| !why.starts_with(|c: char| c.is_ascii_digit())).then_some(first)
}

/// What apt says behind an address.
fn reason(failed: &str) -> String {
    failed.split_once("  ").map_or(failed, |(_, reason)| reason).trim().to_owned()
}

/// The command that lists the configured sources of packages.
pub(crate) fn targets() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"]);
    command.env("LC_ALL", "C");
    command
}

fn parse_targets(text: &str) -> Vec<Source> {
    let sources: BTreeSet<_> = text
        .lines()
        .filter_map(|line| match line.split('|').collect::<Vec<_>>()[..] {
            ["Packages", "Debian", uri, suite, component] => {
                Some(Source { uri: uri.into(), suite: suite.into(), component: component.into() })
            }
            _ => None,
        })
        .collect();
    sources.into_iter().collect()
}

/// Every suite that may hold kernels, at the places where the configured ones are.
fn kernel_sources(configured: &[Source]) -> Vec<Source> {
    let mut sources = BTreeSet::new();
    for source in configured {
        let suites: &[&str] = if source.is_security() { &KERNEL_SECURITY_SUITES } else { &KERNEL_SUITES };
        sources.extend(suites.iter().map(|suite| Source {
            uri: source.uri.clone(),
            suite: (*suite).to_owned(),
            component: "main".to_owned(),
        }));
    }
    sources.into_iter().collect()
}

fn sources_file(sources: &[Source], architectures: &[&str]) -> String {
    let mut text = String::new();
    for Source { uri, suite, component } in sources {
        let architectures = architectures.join(" ");
        let paragraph = format!(
            "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {component}\nArchitectures: {architectures}\n"
        );
        text.push_str(&paragraph);
        if Path::new(KEYRING).exists() {
            writeln!(text, "Signed-By: {KEYRING}").expect("a string takes everything");
        }
        text.push('\n');
    }
    text
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

/// Reads `apt-cache show`: paragraphs of fields.
fn parse_descriptions(text: &str) -> Vec<Described> {
    let described = text.split("\n\n").filter_map(|paragraph| {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Some(Described {
            package: field("Package")?.to_owned(),
            version: field("Version")?.to_owned(),
            depends: field("Depends").unwrap_or_default().to_owned(),
        })
    });
    described.collect()
}

/// Reads `apt-cache madison`: `package[:arch] | version | URI suite/component arch Packages`.
fn parse_madison(text: &str) -> Vec<Available> {
    text.lines()
        .filter_map(|line| {
            let mut columns = line.split('|').map(str::trim);
            let package = columns.next()?.split(':').next()?;
            let version = columns.next()?;
            let suite = columns.next()?.split_whitespace().nth(1)?.split('/').next()?;
            Some(Available { package: package.into(), version: version.into(), suite: suite.into() })
        })
        .collect()
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

    #[test]
    fn only_package_indexes_of_debian_itself_become_sources() {
        let text = "Packages|Debian|http://mirror/debian/|bookworm|main\n\
                    DEP-11|Debian|http://mirror/debian/|bookworm|main\n\
                    Packages|Debian|http://mirror/debian/|bookworm|main\n\
                    Packages|Some Vendor|http://vendor/apt/|stable|main\n\
                    Packages|Debian|http://mirror/debian-security/|bookworm-security|main\n";
        let uris: Vec<_> = parse_targets(text).into_iter().map(|s| (s.uri, s.suite)).collect();
        let expected = [("http://mirror/debian-security/", "bookworm-security"), ("http://mirror/debian/", "bookworm")];
        assert_eq!(uris, expected.map(|(uri, suite)| (uri.to_owned(), suite.to_owned())));
    }

    #[test]
    fn kernels_are_looked_for_in_suites_that_are_not_configured_at_the_configured_places() {
        let source = |uri: &str, suite: &str| Source { uri: uri.into(), suite: suite.into(), component: "main".into() };
        let sources =
            kernel_sources(&[source("a", "bookworm"), source("a", "bookworm-updates"), source("b", "x-security")]);
        assert!(sources.contains(&source("a", "sid")));
        assert!(sources.contains(&source("b", "trixie-security")));
        assert!(!sources.contains(&source("b", "sid")) && !sources.contains(&source("a", "trixie-security")));
        assert_eq!(sources.len(), KERNEL_SUITES.len() + KERNEL_SECURITY_SUITES.len());
    }

    #[test]
    fn descriptions_give_what_each_version_of_a_package_depends_on() {
        let text =
            "Package: a\nVersion: 2\nDepends: b (= 2), c | d\n\nPackage: a\nSource: x\nVersion: 1\nDescription: y\n";
        let of = |version: &str, depends: &str| Described {
            package: "a".into(),
            version: version.into(),
            depends: depends.into(),
        };
        assert_eq!(parse_descriptions(text), [of("2", "b (= 2), c | d"), of("1", "")]);
    }

    #[test]
    fn an_archive_that_is_not_reached_is_told_from_one_of_which_a_suite_is_gone() {
        let said = |text: &str| reached_nothing(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        let offline = "Ign:1 http://mirror/debian bookworm InRelease\nErr:1 http://mirror/debian bookworm InRelease\n\
                       Reading package lists...\nW: Failed to fetch http://mirror/debian/x  Could not resolve 'mirror'\n\
                       W: Some index files failed to download.";
        assert_eq!(said(offline).as_deref(), Some("Could not resolve 'mirror'"));
        assert_eq!(said("Hit:1 http://mirror/debian sid InRelease\nErr:2 http://mirror/debian gone Release"), None);
        assert_eq!(said("Get:1 http://mirror/debian sid InRelease [1 kB]"), None);
        assert_eq!(said("Reading package lists...").as_deref(), Some("apt-get update fetched nothing"));
    }

    #[test]
    fn an_archive_that_cannot_be_reached_is_told_from_one_that_has_a_package_no_longer() {
        let said = |text: &str| unreachable(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        let offline = "Err:1 http://mirror/debian sid/main arm64 a arm64 1\n  Temporary failure resolving 'mirror'\n\
                       E: Failed to fetch http://mirror/pool/a.deb  Temporary failure resolving 'mirror'";
        assert_eq!(said(offline).as_deref(), Some("Temporary failure resolving 'mirror'"));
        assert_eq!(said("E: Failed to fetch http://mirror/pool/a.deb  404  Not Found [IP: 10.0.0.1 80]"), None);
        assert_eq!(said("E: Can't find a source to download version '1' of 'a:arm64'"), None);
    }

    #[test]
    fn madison_gives_package_version_and_suite() {
        let text =
            " linux-image-7.3.4:arm64 | 7.3.4-1~bpo13+1 | http://mirror/debian trixie-backports/main arm64 Packages\n";
        let expected = Available {
            package: "linux-image-7.3.4".into(),
            version: "7.3.4-1~bpo13+1".into(),
            suite: "trixie-backports".into(),
        };
        assert_eq!(parse_madison(text), [expected]);
    }
}
