//! The list of functions that belong together: a text file, whose format its own first lines explain.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// A function of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// The heading above it.
    pub(crate) title: String,
    /// Its names: the newest first, then those that other kernels give it.
    pub(crate) names: Vec<String>,
}

/// Reads the list.
pub(crate) fn read(path: &Path) -> Result<Vec<Function>> {
    let text = vtick_shell::read_text("the list of functions", path).map_err(anyhow::Error::msg)?;
    parse(&text).with_context(|| format!("the list of functions {}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Function>> {
    let mut functions: Vec<Function> = Vec::new();
    let mut title = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            heading.clone_into(&mut title);
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let names: Vec<String> = line.split(['=', ',']).map(|name| name.trim().to_owned()).collect();
        for name in &names {
            let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            ensure!(plain, "line {}: {line:?} is no function, and no `new = old`", number + 1);
            if functions.iter().any(|function| function.names.contains(name)) {
                bail!("line {}: {name} is there twice", number + 1);
            }
        }
        functions.push(Function { title: title.clone(), names });
    }
    ensure!(!functions.is_empty(), "no function is in it");
    Ok(functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_function_with_its_other_names_under_its_heading() {
        let list = parse("# all\na\n\n[some]\nb = c, d # why\n").unwrap();
        let seen: Vec<_> = list.iter().map(|f| (f.title.as_str(), f.names.join("/"))).collect();
        assert_eq!(seen, [("", "a".to_owned()), ("some", "b/c/d".to_owned())]);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert_eq!(parse("a\nb = a\n").unwrap_err().to_string(), "line 2: a is there twice");
        assert!(parse("a b\n").unwrap_err().to_string().starts_with("line 1: \"a b\" is no function"));
        assert!(parse("# nothing\n").is_err());
    }
}
