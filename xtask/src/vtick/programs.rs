//! Files that the runner's `test --program FILE...` reads, carried into the emulated host.

use std::path::Path;

use anyhow::{Context, Result};
use vtick_shell::read_regular;

use crate::emulated::Files;

/// More than any program has: they have two thousand operations at most.
const MOST: u64 = 1 << 20;
/// The option that files follow, up to the next option.
const OPTION: &str = "--program";

/// The arguments with the names that the files have in the emulated host, and the files. What they are called there is what
/// they are called here, but for the folder: the runner reports them by that name.
pub(super) fn ship(arguments: &[String]) -> Result<(Vec<String>, Files)> {
    let (mut shipped, mut files) = (Vec::new(), Files::new());
    let mut follow = false;
    for argument in arguments {
        let attached = argument.strip_prefix(OPTION).and_then(|rest| rest.strip_prefix('='));
        follow = argument == OPTION || attached.is_some() || (follow && !argument.starts_with('-'));
        match attached.unwrap_or(argument) {
            file if follow && file != OPTION => {
                let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
                let there = format!("/bin/{}.litmus", stem.with_context(|| format!("{file} names no file"))?);
                files.push((there.clone(), read_regular(OPTION, Path::new(file), MOST).map_err(anyhow::Error::msg)?));
                shipped.push(if attached.is_some() { format!("{OPTION}={there}") } else { there });
            }
            plain => shipped.push(plain.to_owned()),
        }
    }
    Ok((shipped, files))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_behind_the_option_are_carried_and_the_rest_keeps_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["a.litmus", "b.litmus", "c"] {
            fs::write(path(name), name).unwrap();
        }
        let line = [
            "test".to_owned(),
            OPTION.to_owned(),
            path("a.litmus"),
            path("c"),
            "--timeline".to_owned(),
            format!("{OPTION}={}", path("b.litmus")),
            "--strict".to_owned(),
        ];
        let (shipped, files) = ship(&line).unwrap();
        let due =
            ["test", OPTION, "/bin/a.litmus", "/bin/c.litmus", "--timeline", "--program=/bin/b.litmus", "--strict"];
        assert_eq!(shipped, due);
        let names: Vec<&str> = files.iter().map(|(there, _)| there.as_str()).collect();
        assert_eq!(names, ["/bin/a.litmus", "/bin/c.litmus", "/bin/b.litmus"]);
        assert_eq!(files[1].1, b"c");
        let absent = [OPTION.to_owned(), path("absent")];
        assert!(format!("{:#}", ship(&absent).unwrap_err()).contains("absent: No such file"));
    }
}
