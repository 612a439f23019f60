//! `vtick selftest`: a test of this mode for the kernel's own suite, as a series of patches.

use std::path::{Path, PathBuf};

use super::Done;
use vtick_contract::reproducer::selftest::{self, Author, Tree};
use vtick_shell::say::print;

#[derive(clap::Args)]
pub(super) struct SelftestArgs {
    /// The series is for this source tree of Linux: the test is written for the selftests' library there.
    #[arg(long, value_name = "LINUX")]
    tree: PathBuf,
    /// Write the patches to this folder, which is made where it does not exist.
    #[arg(long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Who sends the series and signs it off [in `cargo xtask selftest`: git's user.name and user.email].
    #[arg(long, value_name = "NAME <ADDRESS>")]
    author: Option<Author>,
}

pub(super) fn run(args: &SelftestArgs) -> anyhow::Result<Done> {
    let tree = Tree::read(&args.tree).map_err(anyhow::Error::msg)?;
    let Some(author) = &args.author else {
        anyhow::bail!(
            "nobody signs the series off: give --author \"NAME <ADDRESS>\", or set git's user.name and user.email"
        );
    };
    let series = selftest::write(&tree, author).map_err(anyhow::Error::msg)?;
    let failed = |path: &Path, error: std::io::Error| anyhow::anyhow!("--output {}: {error}", path.display());
    std::fs::create_dir_all(&args.output).map_err(|error| failed(&args.output, error))?;
    for (name, text) in series {
        let path = args.output.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
        print!("{}\n", path.display());
    }
    Ok(Done::Said)
}
