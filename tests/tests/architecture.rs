//! ARCHITECTURE.md draws the dependencies of the crates: the manifests must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// The list of ARCHITECTURE.md: lines such as `vtick-core: abi, gic`.
fn drawn(text: &str) -> Dependencies {
    let lines = text.lines().skip_while(|line| !line.starts_with("vtick-abi, ")).take_while(|line| *line != "```");
    let names = |list: &str, prefix: &str| {
        list.split(", ").filter(|name| *name != "none").map(|name| format!("{prefix}{name}")).collect::<Vec<_>>()
    };
    let mut drawn = Dependencies::new();
    for line in lines {
        let (crates, needs) = line.split_once(": ").unwrap_or_else(|| panic!("no colon in {line:?}"));
        for one in names(crates, "") {
            assert!(drawn.insert(one.clone(), names(needs, "vtick-").into_iter().collect()).is_none(), "{one} twice");
        }
    }
    drawn
}

/// The same by the manifests, tests' dependencies left out.
fn built(workspace: &Path) -> Dependencies {
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace)
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let needs = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        let ours = all.iter().filter(|need| need["path"].is_string() && need["kind"] != "dev");
        ours.map(|need| need["name"].as_str().expect("a name").to_owned()).collect()
    };
    packages.iter().map(|package| (package["name"].as_str().expect("a name").to_owned(), needs(package))).collect()
}

#[test]
fn crates_depend_on_each_other_as_architecture_md_draws_it() {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = std::fs::read_to_string(workspace.join("ARCHITECTURE.md")).unwrap();
    let (drawn, built) = (drawn(&text), built(workspace));
    for (name, needs) in &built {
        assert_eq!(drawn.get(name), Some(needs), "{name}: drawn (left) and built (right)");
    }
    assert_eq!(drawn.len(), built.len(), "ARCHITECTURE.md draws a crate that is not there");
}
