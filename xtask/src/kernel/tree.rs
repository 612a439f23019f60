//! A folder in which a kernel was built (or `O=` of its build).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::needs;

/// Where the build leaves the kernel, the plain Image first: the others are made of it. Forms that are not recognised are
/// not looked for.
const IMAGES: [&str; 3] = ["Image", "Image.gz", "vmlinuz.efi"];

/// The Image that was built in `tree`, whose configuration has what the emulated host needs.
pub(super) fn image(tree: &Path) -> Result<PathBuf> {
    let name = tree.display();
    let boot = tree.join("arch/arm64/boot");
    let Some(image) = IMAGES.map(|image| boot.join(image)).into_iter().find(|image| image.is_file()) else {
        bail!(
            "--kernel {name}: no arm64 kernel is built there: arch/arm64/boot/Image is missing \
             (`make ARCH=arm64 Image` makes it)"
        );
    };
    let config = tree.join(".config");
    if config.exists() {
        let text = vtick_shell::read_text("--kernel", &config).map_err(anyhow::Error::msg)?;
        needs::check(&text).with_context(|| {
            format!("--kernel {name} cannot be the host (`cargo xtask kconfig` prints what it needs)")
        })?;
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_tree_gives_its_plain_image_and_is_refused_where_nothing_is_built_or_kvm_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        let error = image(tree).unwrap_err().to_string();
        assert!(error.contains("no arm64 kernel is built there: arch/arm64/boot/Image is missing"), "{error}");
        fs::create_dir_all(tree.join("arch/arm64/boot")).unwrap();
        fs::write(tree.join("arch/arm64/boot/Image.gz"), "").unwrap();
        assert!(image(tree).unwrap().ends_with("Image.gz"), "without a configuration none is looked at");
        fs::write(tree.join("arch/arm64/boot/Image"), "").unwrap();
        fs::write(tree.join(".config"), needs::fragment()).unwrap();
        assert!(image(tree).unwrap().ends_with("boot/Image"));
        fs::write(tree.join(".config"), needs::fragment().replace("CONFIG_KVM=y", "# CONFIG_KVM is not set")).unwrap();
        let error = format!("{:#}", image(tree).unwrap_err());
        assert!(error.ends_with("without CONFIG_KVM=y it cannot run virtual machines"), "{error}");
    }
}
