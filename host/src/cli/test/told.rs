//! Verdicts as they come, and the end of a run, in the format that was asked for.

use super::args::TestArgs;
use crate::cli::Live;
use vtick_contract::{CheckRecord, Tally};
use vtick_core::Host;
use vtick_report::verdicts::{self, Verdicts};
use vtick_report::{Record, lines, terminal};
use vtick_shell::say::{print, println};
/// A check's verdict as soon as there is one, unless all are wanted in one piece.
pub(super) fn show(args: &TestArgs, host: &Host, result: &CheckRecord) {
    match args.r#as {
        None => terminal::check(result, args.timelines()),
        Some(Live::JsonLines) => println!("{}", lines::verdict(host, result)),
        Some(Live::Ktap) => {}
    }
}

/// What another program is told when all is over; whether there is one.
pub(super) fn conclusion(args: &TestArgs, record: &Record, tally: &Tally) -> bool {
    match args.r#as {
        None => return false,
        Some(Live::JsonLines) => println!("{}", lines::summary(&record.host, tally, record.incomplete.as_deref())),
        Some(Live::Ktap) => print!("{}", verdicts::ktap(&[Verdicts::of(&record.host, &record.checks)])),
    }
    true
}
