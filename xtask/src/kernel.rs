//! The kernel under test: a file, or a package of Debian's archive by version or suite.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::apt::{Apt, Available};
use crate::cache::Cache;
use crate::process::{Interrupted, check_interrupted};
use crate::progress::Step;
use crate::{deb, version};

/// What is tested when nothing else is asked for.
pub(crate) const DEFAULT: &str = "debian:6.12";

/// What the emulated host needs of its kernel, with the reason. Only looked at where the package has its
/// configuration.
const NEEDED: [(&str, &str); 5] = [
    ("CONFIG_KVM", "it can't run virtual machines"),
    ("CONFIG_SERIAL_AMBA_PL011_CONSOLE", "its console can't be seen"),
    ("CONFIG_BLK_DEV_INITRD", "it can't be given a program to run"),
    ("CONFIG_DEVTMPFS", "programs find no devices"),
    ("CONFIG_BINFMT_ELF", "it runs no programs"),
];

/// A kernel ready to be booted.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// What to call it: a package's version, or the path that was given.
    pub(crate) name: String,
    /// A plain arm64 Image.
    pub(crate) image: PathBuf,
}

/// Finds the kernel that `wanted` names, and fetches it if need be.
pub(crate) fn obtain(cache: &Cache, wanted: &str, refresh: bool) -> Result<Kernel> {
    match wanted.strip_prefix("debian:") {
        Some(wanted) => from_debian(cache, wanted, refresh),
        None => from_file(cache, Path::new(wanted)),
    }
}

fn from_file(cache: &Cache, path: &Path) -> Result<Kernel> {
    let name = path.display().to_string();
    let file = fs::read(path).map_err(|error| {
        let hint = if name.contains('/') { "" } else { "; a kernel of Debian's archive is named debian:VERSION" };
        anyhow::anyhow!("--kernel {name}: {error}{hint}")
    })?;
    let length = file.len();
    let image = vtick_kernel_image::plain(file).map_err(|what| anyhow::anyhow!("--kernel {name} {what}"))?;
    if image.len() == length {
        return Ok(Kernel { name, image: path.to_owned() });
    }
    let place = format!("unpacked/{:x}-{:08x}", image.len(), crc32(&image));
    let folder = cache.entry(&place, |folder| Ok(fs::write(folder.join("Image"), &image)?))?;
    Ok(Kernel { name, image: folder.join("Image") })
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

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
        })
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

fn from_debian(cache: &Cache, wanted: &str, refresh: bool) -> Result<Kernel> {
    // What a name meant is remembered, so that a second run of the same command neither asks the network nor suddenly
    // tests another kernel.
    let memory = format!("kernels/meaning/{}", wanted.replace('/', "-"));
    if !refresh && let Ok(release) = fs::read_to_string(cache.path(&memory)) {
        let image = cache.path(&format!("kernels/{release}/Image"));
        if image.exists() {
            return Ok(Kernel { name: format!("debian:{release}"), image });
        }
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
    cache.write(&memory, &release)?;
    let image = cache.path(&format!("kernels/{release}/Image"));
    Ok(Kernel { name: format!("debian:{release}"), image })
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
    packages.sort_by(|a, b| version::compare(&b.version, &a.version).then_with(|| a.flavour.cmp(&b.flavour)));
    Ok(packages)
}

/// The newest of those that match; the cloud flavour, which is small and has all that is needed built in, if there is
/// one and no other was named.
fn choose(packages: &[Package], wanted: &str) -> Option<Package> {
    let candidates: Vec<_> = packages.iter().filter(|package| package.matches(wanted)).collect();
    let cloud = candidates.iter().find(|package| package.flavour == "cloud-arm64");
    let plain = candidates.iter().find(|package| package.flavour == "arm64");
    let exact = candidates.iter().find(|package| package.release() == wanted);
    exact.or(cloud).or(plain).or(candidates.first()).map(|package| (*package).clone())
}

/// An answer that helps: the kernels of the same series, or else the series and suites that there are.
fn unknown(packages: &[Package], wanted: &str) -> anyhow::Error {
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
    anyhow::anyhow!(
        "--kernel debian:{wanted}: there is no such kernel; there are {alike} (`cargo xtask kernels` lists all)"
    )
}

/// Downloads a kernel and leaves its Image and configuration in `folder`.
fn fetch(apt: &Apt, package: &Package, folder: &Path) -> Result<()> {
    let release = package.release();
    let step = Step::essential(format!("Fetching kernel {release}"));
    let image = format!("linux-image-{release}:arm64={}", package.version);
    let mut parts = vec![image.clone()];
    // From 7.x on the package of that name is nearly empty: the Image and the configuration are in two that it needs.
    let elsewhere = [format!("linux-binary-{release}"), format!("linux-base-{release}")];
    let dependencies = apt.dependencies(&image)?;
    parts.extend(
        elsewhere
            .iter()
            .filter(|name| dependencies.contains(name))
            .map(|name| format!("{name}:arm64={}", package.version)),
    );

    let downloads = folder.join("download");
    let unpacked = folder.join("unpacked");
    for deb in apt.download(&parts, &downloads, &step)? {
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
        check_config(&config).with_context(|| format!("Debian's kernel {release} can't be the host"))?;
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

fn check_config(config: &str) -> Result<()> {
    for (option, reason) in NEEDED {
        let built_in = format!("{option}=y");
        ensure!(config.lines().any(|line| line == built_in), "without {built_in} {reason}");
    }
    Ok(())
}

/// The small kernels of the archive, which have all that is needed built in; the newest first.
fn cloud(cache: &Cache, refresh: bool) -> Result<Vec<Package>> {
    let apt = Apt::of_all_kernels(cache)?;
    if refresh {
        apt.refresh()?;
    }
    let mut packages = apt.with_indexes(|apt| {
        let packages = available(apt)?;
        if packages.is_empty() { bail!("Debian's archive has no arm64 kernels") } else { Ok(packages) }
    })?;
    packages.retain(|package| package.flavour == "cloud-arm64");
    Ok(packages)
}

/// Their names, as `--kernel` takes them; the newest first.
pub(crate) fn cloud_releases(cache: &Cache, refresh: bool) -> Result<Vec<String>> {
    Ok(cloud(cache, refresh)?.into_iter().map(|package| format!("debian:{}", package.abi)).collect())
}

/// Prints what can be named.
pub(crate) fn list(cache: &Cache, refresh: bool) -> Result<()> {
    for package in cloud(cache, refresh)? {
        check_interrupted().map_err(|_| Interrupted)?;
        println!("debian:{:24} {:24} {}", package.abi, package.version, package.suites.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, suite: &str) -> Option<Package> {
        Package::parse(&Available { package: name.into(), version: version.into(), suite: suite.into() })
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
    }

    #[test]
    fn a_kernel_without_kvm_is_refused_with_the_reason() {
        let all: String = NEEDED.iter().map(|(option, _)| format!("{option}=y\n")).collect();
        assert!(check_config(&all).is_ok());
        let error = check_config(&all.replace("CONFIG_KVM=y", "# CONFIG_KVM is not set")).unwrap_err().to_string();
        assert_eq!(error, "without CONFIG_KVM=y it can't run virtual machines");
    }
}
