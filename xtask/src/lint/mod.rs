//! Formatting, lints and documentation of everything, the code that only another compiler sees included; and what other
//! people's packages may be in it. `--full`: what takes programs that have to be fetched first, too.

mod full;
mod packages;

use anyhow::Result;

use crate::artifacts;
use crate::cache::Cache;
use crate::process::run_in_view;
use crate::toolchain::{Toolchain, cargo};

/// Links lead somewhere; to what is private, too: whoever reads this has the code.
const DOCUMENTATION: &str = "-Dwarnings -Arustdoc::private-intra-doc-links";

/// What this machine's own toolchain can judge, then the rest.
pub(crate) fn lint(cache: &Cache, toolchain: &Toolchain, full: bool) -> Result<i32> {
    let own: [&[&str]; 3] = [
        &["fmt", "--all", "--check"],
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        &["doc", "--workspace", "--no-deps", "--keep-going", "--quiet"],
    ];
    let mut clean = true;
    for arguments in own {
        let mut cargo = cargo();
        cargo.args(arguments).current_dir(artifacts::workspace()).env("RUSTDOCFLAGS", DOCUMENTATION);
        clean &= run_in_view(&mut cargo)?.success();
    }
    clean &= packages::lint(toolchain)?;
    clean &= artifacts::lint(toolchain)?;
    if full {
        clean &= full::lint(cache)?;
    }
    Ok(i32::from(!clean))
}
