//! Formatting and lints of everything, the code that only another compiler sees included.

use anyhow::Result;

use crate::artifacts;
use crate::process::run_in_view;
use crate::toolchain::{Toolchain, cargo};

/// What this machine's own toolchain can judge, then the rest.
pub(crate) fn lint(toolchain: &Toolchain) -> Result<i32> {
    let own: [&[&str]; 2] =
        [&["fmt", "--all", "--check"], &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]];
    let mut clean = true;
    for arguments in own {
        let status = run_in_view(cargo().args(arguments).current_dir(artifacts::workspace()))?;
        clean &= status.success();
    }
    clean &= artifacts::lint(toolchain)?;
    Ok(i32::from(!clean))
}
