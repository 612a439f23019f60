//! Lists that the repository keeps for its commands: text files with an entry on each line. Empty lines, and lines that start
//! with #, are for people.

use std::path::Path;

use anyhow::{Context, Result};

/// Reads the list that errors call `what`, each line by `entry`. There need not be one.
///
/// # Errors
/// The file cannot be read, or a line is no entry: with its number.
pub(crate) fn read<T>(what: &str, path: &Path, entry: fn(&str) -> Result<T>) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = vtick_shell::read_text(what, path).map_err(anyhow::Error::msg)?;
    parse(&text, entry).with_context(|| path.display().to_string())
}

/// The entries of a text.
pub(crate) fn parse<T>(text: &str, entry: fn(&str) -> Result<T>) -> Result<Vec<T>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| entry(line).with_context(|| format!("line {}: {line:?}", number + 1))).collect()
}
