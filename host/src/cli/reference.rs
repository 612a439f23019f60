//! The second part of docs/reference.md, the page of all options: what clap knows of the commands of `vtick`.

use clap::{Arg, Command, CommandFactory};

use super::{Cli, Done};
use vtick_shell::say::print;

pub(super) fn run() -> anyhow::Result<Done> {
    print!("{}", page());
    Ok(Done::Said)
}

/// A section for each command, with a row for each argument.
fn page() -> String {
    let mut command = Cli::command();
    command.build();
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    commands.map(section).collect::<Vec<_>>().join("\n")
}

fn section(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("## vtick {}\n\n{}.\n\n| | |\n|---|---|\n", command.get_name(), about.trim_end_matches('.'));
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "help") {
        text.push_str(&format!("| `{}` | {} |\n", name(argument).replace('|', "\\|"), meaning(argument)));
    }
    text
}

/// As one types it: `--output FILE`, `--timeline [full]`, `CHECK...`.
fn name(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string);
    let values = values.collect::<Vec<_>>().join(" ");
    let many = argument.get_num_args().is_some_and(|count| count.max_values() > 1);
    let Some(long) = argument.get_long() else {
        return format!("{values}{}", if many || !argument.is_required_set() { "..." } else { "" });
    };
    let takes = argument.get_action().takes_values();
    let optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
    match (takes, optional) {
        (false, _) => format!("--{long}"),
        (true, true) => format!("--{long} [{values}]"),
        (true, false) => format!("--{long} {values}{}", if many { "..." } else { "" }),
    }
}

fn meaning(argument: &Arg) -> String {
    let long = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = long.split_whitespace().collect::<Vec<_>>().join(" ");
    let possible = argument.get_possible_values();
    if argument.get_action().takes_values() && !possible.is_empty() {
        let values = possible.iter().filter(|value| !value.is_hide_set()).map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({help})", value.get_name()),
            None => format!("`{}`", value.get_name()),
        });
        text.push_str(&format!(". One of {}.", values.collect::<Vec<_>>().join(", ")));
    }
    let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        text.push_str(&format!(" [{}]", defaults.join(", ")));
    }
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_says_what_clap_says() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference.md")).unwrap();
        let (_, ours) =
            text.split_once("<!-- from here on written by the runner -->\n").expect("a line between two parts");
        assert_eq!(ours, page(), "docs/reference.md is out of date: run `cargo xtask reference`");
    }
}
