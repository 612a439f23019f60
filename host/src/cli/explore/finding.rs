//! Something that an exploration found.

use owo_colors::OwoColorize;
use vtick_shell::say::println;

/// Something that the model objects to, by clause and rule.
pub(super) type Key = (String, String);

/// What was found.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Finding {
    /// Clause and rule.
    pub(super) key: Key,
    /// The model's sentence about the smallest program.
    pub(super) what: String,
    /// The smallest program.
    pub(super) program: String,
    /// Number of its operations; `None`: it is no word over the alphabet.
    pub(super) operations: Option<usize>,
    /// What happened when it ran in a fresh VM.
    pub(super) timeline: Vec<String>,
    /// Whether it happened in a fresh VM at all.
    pub(super) confirmed: bool,
}

impl Finding {
    /// The name of the file that it is kept in.
    pub(super) fn file_name(&self) -> String {
        let (clause, rule) = &self.key;
        let name = format!("{clause}-{rule}").to_lowercase();
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{plain}.litmus")
    }

    /// The text of that file.
    pub(super) fn litmus(&self) -> String {
        format!("# {} ({}): {}\n{}", self.key.0, self.key.1, self.what.replace('\n', " "), self.program)
    }

    /// Prints the finding.
    pub(super) fn show(&self) {
        let (clause, rule) = &self.key;
        let word = if self.confirmed { "found" } else { "seen once" };
        let size = match self.operations {
            Some(1) => ", 1 operation".to_owned(),
            Some(operations) => format!(", {operations} operations"),
            None => String::new(),
        };
        println!("\n{} {clause} ({rule}){size}", word.red().bold());
        if !self.confirmed {
            println!("  no fresh VM shows it: the timing there is another, or a reset forgot something");
        }
        println!("  {}", self.what);
        self.program.lines().for_each(|line| println!("  {line}"));
        self.timeline.iter().for_each(|line| println!("  | {line}"));
    }
}
