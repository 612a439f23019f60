//! Reads what apt's tools say.

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

/// Why `apt-get update` fetched nothing and found nothing unchanged, if that is what it says.
pub(super) fn reached_nothing(said: &[String]) -> Option<String> {
    let is = |line: &&String, words: &[&str]| words.iter().any(|word| line.starts_with(word));
    if said.iter().any(|line| is(&line, &["Get:", "Hit:"])) {
        return None;
    }
    let why = said.iter().find(|line| is(line, &["W: Failed to fetch", "E: Failed to fetch", "E:", "W:"]));
    Some(why.map_or_else(|| "apt-get update fetched nothing".to_owned(), |line| reason(&line[2..])))
}

/// Why nothing at all came from the archive, if `apt-get download` says so. An archive that answers has a number for an
/// error, such as 404.
pub(super) fn unreachable(said: &[String]) -> Option<String> {
    let mut failed = said.iter().filter_map(|line| line.strip_prefix("E: Failed to fetch ")).map(reason).peekable();
    let first = failed.peek().cloned()?;
    failed.all(|why| !why.starts_with(|c: char| c.is_ascii_digit())).then_some(first)
}

/// What apt says behind an address.
fn reason(failed: &str) -> String {
    failed.split_once("  ").map_or(failed, |(_, reason)| reason).trim().to_owned()
}

/// Reads `apt-cache show`: paragraphs of fields.
pub(super) fn parse_descriptions(text: &str) -> Vec<Described> {
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
pub(super) fn parse_madison(text: &str) -> Vec<Available> {
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
