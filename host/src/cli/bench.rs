//! `vtick bench`.

use anstream::println;

use super::select::select;
use super::{Done, Output, RunArgs};
use crate::kvm::Kvm;
use crate::latency::{SCENARIOS, Scenario};
use crate::report::{Record, terminal};

#[derive(clap::Args)]
pub(super) struct BenchArgs {
    /// Run the scenarios with this name, or with this in their name; all if none is given.
    #[arg(value_name = "SCENARIO")]
    names: Vec<String>,
    /// Interrupts to measure in each scenario.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    interrupts: Option<u64>,
    /// List the scenarios and run nothing.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<Done> {
    let mut chosen = select("scenario", SCENARIOS.into_iter(), |scenario| scenario.name, &args.names)?;
    if args.list {
        chosen.iter().for_each(|scenario| println!("{:<16} {}", scenario.name, scenario.what));
        return Ok(Done::Said);
    }
    if let Some(interrupts) = args.interrupts {
        chosen.iter_mut().for_each(|scenario| scenario.interrupts = interrupts);
    }
    let output = Output::open(args.run.output.as_deref())?;
    if args.run.plan {
        return Ok(Done::Planned);
    }
    measure(&chosen, output)
}

fn measure(chosen: &[Scenario], mut output: Output) -> anyhow::Result<Done> {
    let kvm = Kvm::open()?;
    let mut record = Record::new(kvm.describe());
    terminal::host(&record.host);
    for scenario in chosen {
        let outcome = kvm.measure(scenario)?.outcome();
        terminal::outcome(&record.host, &outcome);
        record.latency.push(outcome);
    }
    output.write(&record)?;
    let clean = record.latency.iter().all(|o| o.counts.lost == 0 && o.counts.spurious == 0);
    Ok(Done::Ran(clean))
}
