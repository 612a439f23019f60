//! Where packages come from, and the file that says so.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// The keys with which Debian signs its archive, where Debian's own package puts them. Without it, apt's own choice of
/// trusted keys applies.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Suites that are looked through for kernels, where the archive has them. apt says nothing of suites that are not
/// configured, so their names have to be known.
const KERNEL_SUITES: [&str; 7] =
    ["bookworm", "bookworm-updates", "bookworm-backports", "trixie", "trixie-updates", "trixie-backports", "sid"];
/// The same in the security archive, which stands elsewhere.
const KERNEL_SECURITY_SUITES: [&str; 2] = ["bookworm-security", "trixie-security"];

/// Where the machine gets Debian's packages from: one configured suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    uri: String,
    suite: String,
    component: String,
}

impl Source {
    fn is_security(&self) -> bool {
        self.suite.ends_with("-security")
    }
}

/// Reads `apt-get indextargets` as `targets` asks for it.
pub(super) fn parse_targets(text: &str) -> Vec<Source> {
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
pub(super) fn kernel_sources(configured: &[Source]) -> Vec<Source> {
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

pub(super) fn sources_file(sources: &[Source], architectures: &[&str]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
