//! The licences of what is in the runner: a list, and the words of each as its package brings them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::inventory::{Inventory, Package};

/// How files begin that hold licences and what their authors want to be said.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

const RULE: &str = "================================================================================";

/// One text of all.
pub(super) fn text(inventory: &Inventory) -> Result<String> {
    let mut text = "The runner `vtick` is one static file. Besides vtick's own code there is in it:\n\n".to_owned();
    let parts = inventory.packages.iter().filter(|package| package.source.is_some());
    for package in parts.clone() {
        let Some(license) = &package.license else {
            bail!("the package {} {} names no licence: it cannot be given away", package.name, package.version);
        };
        let _ = writeln!(text, "{:<24} {:<16} {license}", package.name, package.version);
    }
    for library in &inventory.libraries {
        let _ = writeln!(text, "{:<24} {:<16} {}", library.name, library.version, library.license);
    }
    text +=
        "\nWhere one of several licences can be chosen, vtick takes MIT or, if that is not among them, Apache-2.0.\n";
    // Equal texts once, with all whose they are.
    let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in parts {
        for (file, text) in texts(package)? {
            words.entry(text).or_default().push(format!("{} {}: {file}", package.name, package.version));
        }
    }
    for library in inventory.libraries.iter().filter(|library| library.words.is_some()) {
        let file = library.words.unwrap_or_default();
        let of_library = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        words.entry(of_library).or_default().push(format!("{} {}", library.name, library.version));
    }
    let mut sections: Vec<_> = words.into_iter().map(|(text, whose)| (whose, text)).collect();
    sections.sort();
    for (whose, words) in sections {
        let _ = write!(text, "\n{RULE}\n{}\n{RULE}\n\n{}\n", whose.join("\n"), words.trim_end());
    }
    Ok(text)
}

/// The files of a package that hold licences, by name, and what they say.
fn texts(package: &Package) -> Result<Vec<(String, String)>> {
    let folder = package.folder();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_licence(&path, &name) {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.push((name, String::from_utf8_lossy(&bytes).replace("\r\n", "\n")));
        }
    }
    found.sort();
    Ok(found)
}

fn is_licence(path: &Path, name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    path.is_file() && NAMES.iter().any(|start| upper.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::super::inventory::tests::example;
    use super::*;

    #[test]
    fn a_part_without_a_licence_is_not_given_away() {
        let mut inventory = example();
        inventory.packages[0].license = None;
        let error = text(&inventory).unwrap_err().to_string();
        assert_eq!(error, "the package clap 4.6.9 names no licence: it cannot be given away");
    }

    #[test]
    fn licences_are_known_by_how_their_files_begin() {
        let folder = tempfile::tempdir().unwrap();
        for (name, due) in [("LICENSE-MIT", true), ("license.txt", true), ("COPYING", true), ("lib.rs", false)] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            assert_eq!(is_licence(&path, name), due, "{name}");
        }
        assert!(!is_licence(&folder.path().join("LICENSES"), "LICENSES"), "not there, or a folder");
    }
}
