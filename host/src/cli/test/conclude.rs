//! `vtick test --conclude`: the end of a run whose host is gone for good, on any machine. The verdicts so far are summed up
//! and recorded; what has none was not exercised.

use super::args::TestArgs;
use super::journal::{Journal, Told};
use super::told::{conclusion, show};
use crate::cli::{Done, Output};
use vtick_contract::{Case, CheckRecord, Judgement, Overall, Tally, Verdict};
use vtick_report::{Record, terminal};
use vtick_shell::say::println;

/// Sums up what the journal holds of what was to run; `why`: what ended the run.
pub(super) fn conclude(chosen: Vec<Case>, args: &TestArgs, why: &str, mut output: Output) -> anyhow::Result<Done> {
    let journal = Journal::open(false, args.resume.as_deref())?;
    let Some(host) = journal.host().cloned() else { anyhow::bail!("the run came to nothing: {why}") };
    let mut record = Record::new(host);
    record.incomplete = Some(why.to_owned());
    for case in &chosen {
        let result = journal.past(case, &record.host)?.unwrap_or_else(|| {
            let reason = format!("the run ended before it: {why}");
            let judgement = Judgement { verdict: Verdict::NotExercised, reason };
            vtick_contract::past(case, &record.host, judgement, None)
        });
        if journal.knows(case) != Some(Told::Yes) {
            show(args, &record.host, &result);
        }
        record.checks.push(result);
    }
    let tally = Tally::of(record.checks.iter().map(CheckRecord::meaning));
    if !conclusion(args, &record, &tally) {
        terminal::summary(&tally);
        println!("incomplete: {why}");
    }
    output.write(&record)?;
    match tally.overall(args.strict) {
        Overall::Violated => Ok(Done::Ran(false)),
        Overall::Held | Overall::NothingExercised => anyhow::bail!("the run is incomplete: {why}"),
    }
}
