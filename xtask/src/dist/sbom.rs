//! The bill of materials, in CycloneDX 1.6 (ECMA-424): no time and no serial number in it, so that the same runner has
//! the same one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::inventory::{Inventory, Library, Package};

/// The document. `digest`: the SHA-256 of the runner.
pub(super) fn cyclonedx(inventory: &Inventory, digest: &str) -> String {
    let refs: BTreeMap<_, _> = inventory.packages.iter().map(|package| (package.id.as_str(), package.purl())).collect();
    let whole = inventory.own("vtick");
    let mut whole =
        whole.map_or_else(|| json!({"type": "application", "name": "vtick"}), |own| component(own, "application"));
    whole["hashes"] = json!([{"alg": "SHA-256", "content": digest}]);
    let parts = inventory.packages.iter().filter(|package| package.source.is_some() || package.name != "vtick");
    let libraries = inventory.libraries.iter().map(library);
    let components: Vec<_> = parts.map(|package| component(package, "library")).chain(libraries).collect();

    let mut dependencies: Vec<_> = inventory
        .packages
        .iter()
        .map(|package| {
            let mut uses: Vec<_> = package.uses.iter().filter_map(|id| refs.get(id.as_str()).cloned()).collect();
            if package.source.is_none() && package.name == "vtick" {
                // The guest is inside, and the linker adds these.
                uses.extend(inventory.own("vtick-guest").map(Package::purl));
                uses.extend(inventory.libraries.iter().map(reference));
            }
            uses.sort();
            uses.dedup();
            json!({"ref": package.purl(), "dependsOn": uses})
        })
        .collect();
    dependencies.extend(inventory.libraries.iter().map(|library| json!({"ref": reference(library), "dependsOn": []})));

    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": whole,
            "tools": {"components": [{"type": "application", "name": "cargo xtask dist", "version": env!("CARGO_PKG_VERSION")}]},
            "properties": [{"name": "compiler", "value": inventory.compiler}],
        },
        "components": components,
        "dependencies": dependencies,
    });
    format!("{document:#}\n")
}

fn component(package: &Package, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": package.purl(),
        "name": package.name,
        "version": package.version,
        "purl": package.purl(),
    });
    if let Some(description) = &package.description {
        component["description"] = description.split_whitespace().collect::<Vec<_>>().join(" ").into();
    }
    if let Some(license) = &package.license {
        component["licenses"] = json!([{"expression": spdx(license)}]);
    }
    if let Some(checksum) = &package.checksum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    component
}

fn library(library: &Library) -> Value {
    json!({
        "type": "library",
        "bom-ref": reference(library),
        "name": library.name,
        "version": library.version,
        "licenses": [{"expression": library.license}],
    })
}

fn reference(library: &Library) -> String {
    format!("{}@{}", library.name, library.version.replace(' ', "-"))
}

/// An SPDX expression: cargo once took `MIT/Apache-2.0` for "or".
fn spdx(license: &str) -> String {
    license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::super::inventory::tests::example;
    use super::*;

    #[test]
    fn the_bill_names_every_part_once_with_its_licence_and_depends_on_nothing_that_is_not_in_it() {
        let text = cyclonedx(&example(), "d1");
        let bill: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text, cyclonedx(&example(), "d1"), "the same each time");
        assert_eq!(bill["metadata"]["component"]["hashes"][0]["content"], "d1");
        let parts: Vec<_> =
            bill["components"].as_array().unwrap().iter().map(|part| part["bom-ref"].as_str()).collect();
        assert_eq!(parts, [Some("pkg:cargo/clap@4.6.9"), Some("musl@1")]);
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        let of_vtick = bill["dependencies"].as_array().unwrap().iter().find(|d| d["ref"] == "pkg:cargo/vtick@0.2.0");
        assert_eq!(of_vtick.unwrap()["dependsOn"], json!(["musl@1", "pkg:cargo/clap@4.6.9"]));
    }

    #[test]
    fn a_slash_between_licences_means_or() {
        assert_eq!(spdx("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(spdx("MIT OR Apache-2.0"), "MIT OR Apache-2.0");
    }
}
