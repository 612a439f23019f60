//! Kernels of Debian's archive, by version or suite.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Kernel, needs};
use crate::apt::{Apt, Available, Described, NotIndexed};
use crate::cache::{Cache, State};
use crate::process::check_interrupted;
use crate::progress::Step;
use crate::say::say;
use crate::{deb, version};

/// A kernel package, with what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// The kernel's own version with the part that changes with its ABI, such as `6.1.0-47` or `6.12.117+deb13`.
    pub(crate) abi: String,
    /// `cloud-arm64`, `arm64`, ...
    pub(crate) flavour: String,
    /// The package's version.
    pub(crate) version: String,
    /// The suites that have it.
    pub(crate) suites: Vec<String>,
    /// The package that has the Image in it, and the one that has the configuration, where the archive has them.
    parts: Parts,
}

/// Where a kernel's files are. From 6.19 on, `linux-image-RELEASE` is nearly empty: the Image is in `linux-binary-RELEASE`
/// and the configuration in `linux-base-RELEASE`. When a version is superseded the archive drops the latter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    image: Option<String>,
    config: Option<String>,
}

impl Package {
    /// What `uname -r` says in it.
    pub(crate) fn release(&self) -> String {
        format!("{}-{}", self.abi, self.flavour)
    }

    fn parse(available: &Available) -> Option<Self> {
        let release = available.package.strip_prefix("linux-image-")?;
        // `arm64` is the last word of every flavour; signed and debug variants have one more.
        let stem = release.strip_suffix("-arm64")?;
        let (abi, flavour) = match stem.rsplit_once('-') {
            Some((abi, flavour)) if flavour.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                (abi, format!("{flavour}-arm64"))
            }
            _ => (stem, "arm64".to_owned()),
        };
        // Three numbers: packages with fewer are names for the newest of a series.
        let numbers =
            abi.split(['.', '-', '+', '~']).take_while(|part| part.bytes().all(|b| b.is_ascii_digit())).count();
        (numbers >= 3 && !flavour.starts_with("rt-")).then(|| Self {
            abi: abi.to_owned(),
            flavour,
            version: available.version.clone(),
            suites: vec![available.suite.clone()],
            parts: Parts::default(),
        })
    }

    /// The parts of a package with these dependencies, of which the archive has those in `there`: names and versions.
    fn find_parts(&mut self, dependencies: &str, there: &BTreeSet<(String, String)>) {
        let release = self.release();
        let needs =
            |name: &String| dependencies.split([',', '|']).any(|one| one.split_whitespace().next() == Some(name));
        let has = |name: &String| there.contains(&(name.clone(), self.version.clone()));
        let [binary, base] = ["binary", "base"].map(|part| format!("linux-{part}-{release}"));
        self.parts = Parts {
            image: match needs(&binary) {
                true => Some(binary).filter(has),
                false => Some(format!("linux-image-{release}")),
            },
            config: Some(base).filter(|base| needs(base) && has(base)),
        };
    }

    /// Whether a person who writes `wanted` may mean this one.
    fn matches(&self, wanted: &str) -> bool {
        let starts = |text: &str| {
            text.strip_prefix(wanted).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        };
        let of_suite = |suite: &String| {
            suite == wanted || suite.strip_prefix(wanted).is_some_and(|rest| matches!(rest, "-updates" | "-security"))
        };
        starts(&self.abi) || starts(&self.release()) || starts(&self.version) || self.suites.iter().any(of_suite)
    }
}

/// Finds the kernel that `wanted` names behind `debian:`, and fetches it if need be.
pub(super) fn obtain(cache: &Cache, wanted: &str, refresh: bool) -> Result<Kernel> {
    if !refresh && let Some(kernel) = there(cache, wanted)? {
        return Ok(kernel);
    }
    let apt = Apt::of_all_kernels(cache)?;
    if refresh {
        apt.refresh()?;
    }
    let release = apt.with_indexes(|apt| {
        let packages = available(apt)?;
        let package = choose(&packages, wanted).ok_or_else(|| unknown(&packages, wanted))?;
        let release = package.release();
        cache.entry(&format!("kernels/{release}"), |folder| fetch(apt, &package, folder))?;
        Ok(release)
    })?;
    cache.write(&memory(wanted), &release)?;
    Ok(cached(cache, &release))
}

/// The kernel that the cache holds for this name. What a name meant is remembered, so that a second run of the same
/// command neither asks the network nor suddenly tests another kernel.
pub(super) fn there(cache: &Cache, wanted: &str) -> Result<Option<Kernel>> {
    let Ok(release) = fs::read_to_string(cache.path(&memory(wanted))) else { return Ok(None) };
    let intact = cache.state(&format!("kernels/{release}"))? == State::Intact;
    Ok(intact.then(|| cached(cache, &release)))
}

/// Where it is kept what a name meant.
fn memory(wanted: &str) -> String {
    format!("kernels/meaning/{}", wanted.replace('/', "-"))
}

/// A kernel of Debian's that is in the cache, intact.
fn cached(cache: &Cache, release: &str) -> Kernel {
    Kernel { name: format!("debian:{release}"), image: cache.path(&format!("kernels/{release}/Image")) }
}

/// All kernels of the archive, the newest first.
pub(crate) fn available(apt: &Apt) -> Result<Vec<Package>> {
    let wanted = |name: &String| name.ends_with("-arm64") && !name.contains("-dbg");
    let names: Vec<_> = apt.names("linux-image-")?.into_iter().filter(wanted).collect();
    let mut packages: BTreeMap<(String, String), Package> = BTreeMap::new();
    for package in apt.versions(&names)?.iter().filter_map(Package::parse) {
        let key = (package.release(), package.version.clone());
        match packages.get_mut(&key) {
            Some(known) => known.suites.extend(package.suites),
            None => drop(packages.insert(key, package)),
        }
    }
    let mut packages: Vec<_> = packages.into_values().collect();
    let mut parts = BTreeSet::new();
    for prefix in ["linux-binary-", "linux-base-"] {
        let names: Vec<_> = apt.names(prefix)?.into_iter().filter(wanted).collect();
        parts.extend(apt.versions(&names)?.into_iter().map(|part| (part.package, part.version)));
    }
    let described: BTreeMap<_, _> = apt
        .describe(&names)?
        .into_iter()
        .map(|Described { package, version, depends }| ((package, version), depends))
        .collect();
    for package in &mut packages {
        let key = (format!("linux-image-{}", package.release()), package.version.clone());
        package.find_parts(described.get(&key).map_or("", String::as_str), &parts);
    }
    packages.sort_by(|a, b| version::compare(&b.version, &a.version).then_with(|| a.flavour.cmp(&b.flavour)));
    Ok(packages)
}

/// The newest of those that match; the cloud flavour, which is small and has all that is needed built in, if there is
/// one and no other was named.
fn choose(packages: &[Package], wanted: &str) -> Option<Package> {
    let mut candidates: Vec<_> = packages.iter().filter(|package| package.matches(wanted)).collect();
    if candidates.iter().any(|package| package.parts.image.is_some()) {
        candidates.retain(|package| package.parts.image.is_some());
    }
    let cloud = candidates.iter().find(|package| package.flavour == "cloud-arm64");
    let plain = candidates.iter().find(|package| package.flavour == "arm64");
    let exact = candidates.iter().find(|package| package.release() == wanted);
    exact.or(cloud).or(plain).or(candidates.first()).map(|package| (*package).clone())
}

/// What is said of indexes with no kernel in them.
const EMPTY: &str = "the package indexes in the cache know no arm64 kernel; `cargo xtask kernels --refresh` fetches them from Debian's archive";

/// An answer that helps: the kernels of the same series, or else the series and suites that there are.
fn unknown(packages: &[Package], wanted: &str) -> NotIndexed {
    if packages.is_empty() {
        return NotIndexed(format!("--kernel debian:{wanted}: {EMPTY}"));
    }
    let series = |abi: &str| abi.split('.').take(2).collect::<Vec<_>>().join(".");
    let cloud = packages.iter().filter(|package| package.flavour == "cloud-arm64");
    let mut alike: Vec<_> = cloud.clone().filter(|p| series(&p.abi) == series(wanted)).map(|p| p.abi.clone()).collect();
    alike.dedup();
    if alike.is_empty() {
        alike = cloud.map(|package| series(&package.abi)).collect();
        alike.dedup();
        let mut suites: Vec<_> = packages.iter().flat_map(|package| package.suites.clone()).collect();
        suites.sort_unstable();
        suites.dedup();
        alike.extend(suites);
    }
    let alike = alike.join(", ");
    NotIndexed(format!(
        "--kernel debian:{wanted}: there is no such kernel; there are {alike} (`cargo xtask kernels` lists all)"
    ))
}

/// Downloads a kernel and leaves its Image and configuration in `folder`.
fn fetch(apt: &Apt, package: &Package, folder: &Path) -> Result<()> {
    let release = package.release();
    let step = Step::essential(format!("Fetching kernel {release}"));
    let Some(image) = &package.parts.image else {
        bail!("--kernel debian:{}: the archive still names this kernel, but has no Image of it any more", package.abi);
    };
    let parts = [Some(image), package.parts.config.as_ref()].into_iter().flatten();
    let parts: Vec<_> = parts.map(|name| format!("{name}:arm64={}", package.version)).collect();

    let downloads = folder.join("download");
    let unpacked = folder.join("unpacked");
    let debs = apt.download(&parts, &downloads, &step);
    for deb in debs.with_context(|| format!("--kernel debian:{}", package.abi))? {
        deb::unpack(&deb, &unpacked, |path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            name == "vmlinuz" || name == "config" || name.starts_with("vmlinuz-") || name.starts_with("config-")
        })?;
    }
    let image =
        find(&unpacked, "vmlinuz")?.with_context(|| format!("Debian's package of {release} has no kernel in it"))?;
    let image = vtick_kernel_image::plain(fs::read(image)?)
        .map_err(|what| anyhow::anyhow!("Debian's kernel {release} {what}"))?;
    fs::write(folder.join("Image"), image)?;
    if let Some(config) = find(&unpacked, "config")? {
        let config = fs::read_to_string(config)?;
        needs::check(&config).with_context(|| format!("Debian's kernel {release} cannot be the host"))?;
        fs::write(folder.join("config"), config)?;
    }
    fs::remove_dir_all(downloads)?;
    fs::remove_dir_all(unpacked)?;
    Ok(())
}

/// The file called `name` or `name-VERSION`, wherever it is.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if let Some(found) = find(&path, name)? {
                return Ok(Some(found));
            }
        } else if file_name == name || file_name.starts_with(&format!("{name}-")) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The names of all kernels of the archive from one to another, both named as `--kernel` has it and of the same flavour,
/// in the order of their versions from the first to the second.
pub(crate) fn between(cache: &Cache, first: &str, last: &str, refresh: bool) -> Result<Vec<String>> {
    let apt = Apt::of_all_kernels(cache)?;
    if refresh {
        apt.refresh()?;
    }
    apt.with_indexes(|apt| {
        let packages = available(apt)?;
        let find = |wanted: &str| {
            let Some(name) = wanted.strip_prefix("debian:") else {
                bail!("{wanted}: only kernels of the archive, debian:VERSION, have kernels between them");
            };
            Ok(choose(&packages, name).ok_or_else(|| unknown(&packages, name))?)
        };
        range(&packages, &find(first)?, &find(last)?)
    })
}

fn range(packages: &[Package], first: &Package, last: &Package) -> Result<Vec<String>> {
    let (newest, oldest) = if is_newer(first, last) { (first, last) } else { (last, first) };
    let alike = packages.iter().filter(|package| package.flavour == first.flavour && package.parts.image.is_some());
    let inside = alike.filter(|package| !is_newer(package, newest) && !is_newer(oldest, package));
    let mut names: Vec<_> = inside.map(|package| format!("debian:{}", package.release())).collect();
    if newest == last {
        names.reverse();
    }
    let ends = [first, last].map(|package| format!("debian:{}", package.release()));
    match (names.first(), names.last()) {
        (Some(a), Some(b)) if a != b && [a, b] == [&ends[0], &ends[1]] => Ok(names),
        _ => bail!("{} and {}: two different kernels of one flavour are needed", ends[0], ends[1]),
    }
}

fn is_newer(one: &Package, other: &Package) -> bool {
    version::compare(&one.version, &other.version).is_gt()
}

/// The small kernels of the archive, which have all that is needed built in; the newest first.
fn cloud(cache: &Cache, refresh: bool) -> Result<Vec<Package>> {
    let apt = Apt::of_all_kernels(cache)?;
    if refresh {
        apt.refresh()?;
    }
    let mut packages = apt.with_indexes(|apt| {
        let packages = available(apt)?;
        if packages.is_empty() { Err(NotIndexed(EMPTY.to_owned()).into()) } else { Ok(packages) }
    })?;
    packages.retain(|package| package.flavour == "cloud-arm64");
    Ok(packages)
}

/// Their names, as `--kernel` takes them; the newest first.
pub(crate) fn cloud_releases(cache: &Cache, refresh: bool) -> Result<Vec<String>> {
    let there = cloud(cache, refresh)?.into_iter().filter(|package| package.parts.image.is_some());
    Ok(there.map(|package| format!("debian:{}", package.abi)).collect())
}

/// Prints what can be named.
pub(crate) fn list(cache: &Cache, refresh: bool) -> Result<()> {
    for package in cloud(cache, refresh)? {
        check_interrupted()?;
        let lost = if package.parts.image.is_some() { "" } else { " (its Image is no longer in the archive)" };
        say(format!("debian:{:24} {:24} {}{lost}\n", package.abi, package.version, package.suites.join(" ")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, suite: &str) -> Option<Package> {
        let mut package =
            Package::parse(&Available { package: name.into(), version: version.into(), suite: suite.into() })?;
        package.find_parts("", &BTreeSet::new());
        Some(package)
    }

    fn archive() -> Vec<Package> {
        let mut packages: Vec<_> = [
            ("linux-image-6.1.0-4-cloud-arm64", "6.1.9-1", "bookworm"),
            ("linux-image-6.1.0-47-cloud-arm64", "6.1.170-3", "bookworm"),
            ("linux-image-6.1.0-47-arm64", "6.1.170-3", "bookworm"),
            ("linux-image-6.1.0-50-cloud-arm64", "6.1.176-1", "bookworm-security"),
            ("linux-image-6.12.117+deb12-cloud-arm64", "6.12.117-1~deb12u1", "bookworm-security"),
            ("linux-image-6.12.117+deb13-cloud-arm64", "6.12.117-1", "trixie-security"),
            ("linux-image-6.12.117+deb13-arm64-16k", "6.12.117-1", "trixie-security"),
            ("linux-image-6.12.9+deb13-cloud-arm64", "6.12.9-1", "trixie"),
            ("linux-image-7.3.4+deb13-cloud-arm64", "7.3.4-1~bpo13+1", "trixie-backports"),
            ("linux-image-7.2.13+deb14-arm64", "7.2.13-1", "sid"),
        ]
        .into_iter()
        .filter_map(|(name, version, suite)| package(name, version, suite))
        .collect();
        packages.sort_by(|a, b| version::compare(&b.version, &a.version));
        packages
    }

    fn chosen(wanted: &str) -> Option<String> {
        choose(&archive(), wanted).map(|package| package.release())
    }

    #[test]
    fn names_that_are_no_bootable_kernel_are_left_out() {
        for name in ["linux-image-cloud-arm64", "linux-image-6.12-cloud-arm64", "linux-image-6.12.9+deb13-rt-arm64"] {
            assert_eq!(package(name, "1", "sid"), None, "{name}");
        }
    }

    #[test]
    fn a_series_means_its_newest_cloud_kernel() {
        assert_eq!(chosen("6.12").as_deref(), Some("6.12.117+deb13-cloud-arm64"));
        assert_eq!(chosen("6.1").as_deref(), Some("6.1.0-50-cloud-arm64"));
    }

    #[test]
    fn an_abi_name_means_that_kernel_and_not_one_that_starts_alike() {
        assert_eq!(chosen("6.1.0-47").as_deref(), Some("6.1.0-47-cloud-arm64"));
        assert_eq!(chosen("6.1.0-4").as_deref(), Some("6.1.0-4-cloud-arm64"));
        assert_eq!(chosen("6.12.117+deb12").as_deref(), Some("6.12.117+deb12-cloud-arm64"));
        assert_eq!(chosen("6.1.0-47-arm64").as_deref(), Some("6.1.0-47-arm64"));
    }

    #[test]
    fn an_upstream_version_means_the_package_made_of_it() {
        assert_eq!(chosen("6.1.176").as_deref(), Some("6.1.0-50-cloud-arm64"));
        assert_eq!(chosen("6.12.117").as_deref(), Some("6.12.117+deb13-cloud-arm64"));
    }

    #[test]
    fn a_suite_means_its_newest_with_its_updates() {
        assert_eq!(chosen("trixie").as_deref(), Some("6.12.117+deb13-cloud-arm64"));
        assert_eq!(chosen("trixie-backports").as_deref(), Some("7.3.4+deb13-cloud-arm64"));
        assert_eq!(chosen("sid").as_deref(), Some("7.2.13+deb14-arm64"));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_names_there_are() {
        assert_eq!(chosen("5.10"), None);
        assert_eq!(chosen(""), None);
        assert_eq!(
            unknown(&archive(), "5.10").to_string(),
            "--kernel debian:5.10: there is no such kernel; there are 7.3, 6.12, 6.1, bookworm, bookworm-security, sid, \
             trixie, trixie-backports, trixie-security (`cargo xtask kernels` lists all)"
        );
        let error = unknown(&archive(), "6.1.0-48").to_string();
        assert!(error.contains("there are 6.1.0-50, 6.1.0-47, 6.1.0-4 ("), "{error}");
        assert!(
            unknown(&[], "6.12")
                .to_string()
                .ends_with("`cargo xtask kernels --refresh` fetches them from Debian's archive")
        );
    }

    #[test]
    fn the_image_is_in_the_package_that_says_so_and_its_configuration_is_no_condition() {
        let parts = |there: &[&str]| {
            let mut package = package("linux-image-7.0.13-cloud-arm64", "7.0.13-1", "sid").unwrap();
            let there = there.iter().map(|name| ((*name).to_owned(), "7.0.13-1".to_owned())).collect();
            let needs =
                "linux-binary-7.0.13-cloud-arm64 (= 7.0.13-1), linux-base-7.0.13-cloud-arm64 (= 7.0.13-1), kmod";
            package.find_parts(needs, &there);
            (package.parts.image, package.parts.config)
        };
        let (binary, base) = ("linux-binary-7.0.13-cloud-arm64", "linux-base-7.0.13-cloud-arm64");
        assert_eq!(parts(&[binary, base]), (Some(binary.to_owned()), Some(base.to_owned())));
        assert_eq!(parts(&[binary]), (Some(binary.to_owned()), None));
        assert_eq!(parts(&[base]).0, None, "there is no Image");
        let older = package("linux-image-6.1.0-50-cloud-arm64", "6.1.176-1", "bookworm").unwrap();
        assert_eq!(older.parts.image.as_deref(), Some("linux-image-6.1.0-50-cloud-arm64"));
    }

    #[test]
    fn a_kernel_without_an_image_is_not_chosen_where_another_will_do() {
        let mut archive = archive();
        let newest = archive.iter_mut().find(|package| package.release() == "6.12.117+deb13-cloud-arm64").unwrap();
        newest.parts.image = None;
        assert_eq!(choose(&archive, "6.12").unwrap().release(), "6.12.117+deb12-cloud-arm64");
        assert_eq!(choose(&archive, "6.12.117+deb13").unwrap().parts.image, None);
    }

    #[test]
    fn kernels_between_two_are_of_their_flavour_and_in_order_from_the_first() {
        let archive = archive();
        let range = |first: &str, last: &str| {
            let find = |name| choose(&archive, name).unwrap();
            range(&archive, &find(first), &find(last))
        };
        let due = ["6.1.0-50", "6.12.9+deb13", "6.12.117+deb12"].map(|abi| format!("debian:{abi}-cloud-arm64"));
        assert_eq!(range("6.1.0-50", "6.12.117+deb12").unwrap(), due);
        let due: Vec<_> = due.into_iter().rev().collect();
        assert_eq!(range("6.12.117+deb12", "6.1.0-50").unwrap(), due);
        let error = range("6.1.0-50", "6.1.0-47-arm64").unwrap_err().to_string();
        assert!(error.ends_with("two different kernels of one flavour are needed"), "{error}");
        assert!(range("6.1.0-50", "6.1.0-50").is_err());
    }
}
