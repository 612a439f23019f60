//! What was said of the kernel's source.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::run;

/// Options about lines of source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceOptions {
    /// `debian`, or the vmlinux of the kernel under test.
    pub(crate) debug_info: Option<String>,
    /// Where coverage by lines goes, for lcov's tools.
    pub(crate) lcov: Option<PathBuf>,
    /// Where coverage goes as an HTML page.
    pub(crate) page: Option<PathBuf>,
    /// The kernel's source.
    pub(crate) tree: Option<PathBuf>,
    /// A change whose lines are looked at, as a file.
    pub(crate) patch: Option<PathBuf>,
    /// The same, as what has changed in the tree since this commit.
    pub(crate) since: Option<String>,
}

impl SourceOptions {
    /// Says what is missing before the long work.
    pub(crate) fn check(&self) -> Result<()> {
        let by_lines = self.lcov.is_some() || self.patch.is_some() || self.since.is_some();
        ensure!(self.debug_info.is_some() || !by_lines, "--lcov, --patch and --since need --debug-info debian|VMLINUX");
        ensure!(self.since.is_none() || self.tree.is_some(), "--since is of a tree: --source DIR says which");
        ensure!(self.since.is_none() || self.patch.is_none(), "--since and --patch are two changes: give one of them");
        if let Some(tree) = &self.tree {
            ensure!(tree.is_dir(), "--source {}: there is no such folder", tree.display());
        }
        if let Some(page) = &self.page {
            vtick_shell::check_writable("--page", page).map_err(anyhow::Error::msg)?;
        }
        let files =
            self.debug_info.iter().filter(|file| *file != "debian").map(PathBuf::from).chain(self.patch.clone());
        for file in files {
            fs::File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
        }
        Ok(())
    }

    /// The change, as a unified diff.
    pub(crate) fn diff(&self) -> Result<Option<String>> {
        match (&self.patch, &self.since, &self.tree) {
            (Some(patch), ..) => {
                let text = fs::read(patch).with_context(|| format!("cannot read {}", patch.display()))?;
                Ok(Some(String::from_utf8_lossy(&text).into_owned()))
            }
            (None, Some(commit), Some(tree)) => {
                let mut git = Command::new("git");
                git.arg("-C").arg(tree).args(["diff", "--no-color", "--no-ext-diff", commit, "--"]);
                Ok(Some(run(&mut git, None)?))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_before_the_long_work() {
        let said = |options: SourceOptions| options.check().unwrap_err().to_string();
        assert!(said(SourceOptions { lcov: Some("x".into()), ..Default::default() }).contains("need --debug-info"));
        let debian = || SourceOptions { debug_info: Some("debian".into()), ..Default::default() };
        assert!(said(SourceOptions { since: Some("v6.12".into()), ..debian() }).contains("--source DIR"));
        assert!(said(SourceOptions { patch: Some("/nowhere/p".into()), ..debian() }).contains("/nowhere/p"));
        assert!(debian().check().is_ok());
    }
}
