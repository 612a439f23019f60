//! A tree of Linux's source: where its selftests of KVM stand, and how their library differs.

use std::path::Path;

/// The folder of the selftests of KVM.
pub(super) const KVM: &str = "tools/testing/selftests/kvm";
/// Longer than any file that is read of a tree: MAINTAINERS has a megabyte.
const MOST: u64 = 16 << 20;

/// What the series depends on.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree {
    /// Its version, such as 6.12.118.
    pub(super) version: String,
    /// The folder of arm64's tests in [`KVM`]: arm64, or aarch64 before Linux 6.14.
    pub(super) folder: &'static str,
    /// The file that names the tests, in [`KVM`], and what stands in it.
    pub(super) makefile: (&'static str, String),
    /// The line of MAINTAINERS that covers the test.
    pub(super) maintained: Option<String>,
    /// A VM gets a vGIC unless the test objects.
    default_vgic: bool,
    /// The test makes ucalls possible; the library does not.
    ucall_init: bool,
    /// A failed assertion of the guest comes with the values.
    buffer: bool,
}

impl Tree {
    /// Looks at a folder. The error is one line.
    pub fn read(path: &Path) -> Result<Tree, String> {
        let shown = path.display();
        let text = |name: &str| {
            let bytes = vtick_shell::read_regular("--tree", &path.join(name), MOST)?;
            Ok::<_, String>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let no_tree = |what: &str| format!("--tree {shown}: it is no source tree of Linux: {what}");
        let top = text("Makefile").map_err(|_| no_tree("it has no Makefile"))?;
        let version = version(&top).ok_or_else(|| no_tree("its Makefile has no VERSION and PATCHLEVEL"))?;
        let lacking = |name: &str| format!("--tree {shown}: Linux {version} has no {name}, which the test is built on");
        let of_kvm = |name: &str| {
            let name = format!("{KVM}/{name}");
            text(&name).map_err(|_| lacking(&name))
        };
        let folder = ["arm64", "aarch64"].into_iter().find(|folder| path.join(KVM).join(folder).is_dir());
        let folder = folder.ok_or_else(|| lacking(&format!("{KVM}/arm64")))?;
        if path.join(KVM).join(folder).join("user_irq.c").exists() {
            return Err(format!("--tree {shown}: the tree has {KVM}/{folder}/user_irq.c already"));
        }
        let makefile = ["Makefile.kvm", "Makefile"].into_iter().find(|name| path.join(KVM).join(name).exists());
        let makefile = makefile.ok_or_else(|| lacking(&format!("{KVM}/Makefile")))?;
        let processor = of_kvm(&format!("include/{folder}/processor.h"))?;
        let ucall = of_kvm("include/ucall_common.h")?;
        of_kvm(&format!("include/{folder}/arch_timer.h"))?;
        let maintained = format!("{KVM}/{folder}/");
        let is_maintained = text("MAINTAINERS").is_ok_and(|text| {
            text.lines().any(|line| line.strip_prefix("F:").is_some_and(|place| place.trim() == maintained))
        });
        Ok(Tree {
            folder,
            makefile: (makefile, of_kvm(makefile)?),
            maintained: is_maintained.then_some(maintained),
            default_vgic: processor.contains("test_disable_default_vgic"),
            ucall_init: ucall.contains("void ucall_init(struct kvm_vm *vm, void *arg)"),
            buffer: ucall.contains("char buffer["),
            version,
        })
    }

    /// Names of the parts of the test that stand in it for this library.
    pub(super) fn traits(&self) -> Vec<&'static str> {
        let all = [
            ("default_vgic", self.default_vgic),
            ("ucall_init", self.ucall_init),
            ("buffer", self.buffer),
            ("no_buffer", !self.buffer),
        ];
        all.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect()
    }
}

/// The version that the Makefile of a tree gives it.
fn version(makefile: &str) -> Option<String> {
    let value = |name: &str| {
        let given = makefile.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))?;
        given.trim().parse::<u32>().ok()
    };
    Some(format!("{}.{}.{}", value("VERSION")?, value("PATCHLEVEL")?, value("SUBLEVEL")?))
}
