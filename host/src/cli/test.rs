//! `vtick test`.

use anstream::println;
use owo_colors::OwoColorize;

use super::select::select;
use super::{Done, Output, RunArgs};
use crate::contract::{self, Check, Clause, Verdict, checks};
use crate::kvm::Kvm;
use crate::report::{Record, terminal};

#[derive(clap::Args)]
pub(super) struct TestArgs {
    /// Run the checks with this name, or with this in their name; all if none is given.
    #[arg(value_name = "CHECK")]
    names: Vec<String>,
    /// Run the checks of this clause (C1 to C14) alone; can be repeated.
    #[arg(long, value_name = "CLAUSE")]
    clause: Vec<Clause>,
    /// List the checks and run nothing.
    #[arg(long)]
    list: bool,
    /// Show what a check does and what it must see, and run nothing.
    #[arg(long, value_name = "CHECK")]
    explain: Option<String>,
    /// Show the timeline of held checks too.
    #[arg(long)]
    timeline: bool,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// A counter frequency for programs that are shown and not run.
const EXAMPLE_CNTFRQ: u64 = 1_000_000_000;

pub(super) fn run(args: &TestArgs) -> anyhow::Result<Done> {
    if let Some(name) = &args.explain {
        for check in select("check", checks::all(), |check| check.name, std::slice::from_ref(name))? {
            explain(check);
        }
        return Ok(Done::Said);
    }
    let mut chosen = select("check", checks::all(), |check| check.name, &args.names)?;
    chosen.retain(|check| args.clause.is_empty() || args.clause.contains(&check.clause));
    anyhow::ensure!(!chosen.is_empty(), "no check has both such a name and such a clause; --list shows them all");
    if args.list {
        chosen.iter().for_each(|check| println!("{:<4} {:<56} {}", check.clause, check.name, check.clause.title()));
        return Ok(Done::Said);
    }
    let output = Output::open(args.run.output.as_deref())?;
    if args.run.plan {
        return Ok(Done::Planned);
    }
    run_checks(&chosen, args.timeline, output)
}

fn explain(check: &Check) {
    println!("{}", check.name.bold());
    println!("  claim    {}", check.claim);
    println!("  clause   {} ({}): {}", check.clause, check.clause.title(), check.clause.text());
    println!("  source   {}", check.clause.source());
    println!("  catches  {}", check.catches);
    println!("  program  (ticks of a {} MHz counter)", EXAMPLE_CNTFRQ / 1_000_000);
    let (program, _) = check.build(EXAMPLE_CNTFRQ);
    program.to_string().lines().for_each(|line| println!("    {line}"));
}

fn run_checks(chosen: &[&'static Check], timeline: bool, mut output: Output) -> anyhow::Result<Done> {
    let kvm = Kvm::open()?;
    let mut record = Record::new(kvm.describe());
    terminal::host(&record.host);
    println!();
    for check in chosen {
        let result = contract::run(check, record.host.cntfrq, |program| kvm.run(program, None))?;
        terminal::check(&result, timeline);
        record.checks.push(result);
    }
    terminal::summary(&record.checks);
    output.write(&record)?;
    Ok(Done::Ran(record.checks.iter().all(|check| check.judgement.verdict != Verdict::Violated)))
}
