//! Runs the project's commands the way a user types them.

pub mod browser;
pub mod guest;
pub mod record;
mod terminal;
pub mod trace;
pub mod verdict;

use std::process::{Command, Output, Stdio};

pub use terminal::Terminal;

/// What a command came to.
pub struct Ran {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ran {
    /// Both outputs, for a failure's message.
    pub fn all(&self) -> String {
        format!("status {:?}\n--- stdout\n{}--- stderr\n{}", self.status, self.stdout, self.stderr)
    }

    /// The one line of an error: that there is exactly one, the last on standard error, and status 2. Before it, what
    /// was done so far may be told ("Fetching ... ...").
    pub fn error_line(&self) -> &str {
        assert_eq!(self.status, Some(2), "{}", self.all());
        let mut lines: Vec<&str> = self.stderr.lines().collect();
        lines.retain(|line| !line.ends_with(" ..."));
        let [line] = lines[..] else { panic!("one line was due\n{}", self.all()) };
        line.strip_prefix("error: ").unwrap_or_else(|| panic!("no error line: {line}"))
    }
}

/// `cargo xtask ARGUMENTS`. Bounded by xtask's own limits, which the callers may tighten.
pub fn xtask(arguments: &[&str]) -> Ran {
    let Output { status, stdout, stderr } =
        command(arguments).stdin(Stdio::null()).output().expect("cargo can be started");
    Ran {
        status: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// The same in front of a terminal.
pub fn xtask_at_terminal(arguments: &[&str]) -> Terminal {
    Terminal::start(command(arguments))
}

/// `cargo xtask ARGUMENTS`, to be started.
pub fn command(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut command = Command::new(cargo);
    // The alias, without cargo's own words.
    command.args(["run", "--quiet", "--package", "xtask", "--"]).args(arguments).current_dir(workspace);
    command
}
