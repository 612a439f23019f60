//! `vtick bench`.

use anstream::println;

use super::select::select;
use super::{Done, Output, RunArgs};
use crate::kvm::Kvm;
use crate::latency::{Irqchip, SCENARIOS, Scenario};
use crate::report::{Record, terminal};

#[derive(clap::Args)]
pub(super) struct BenchArgs {
    /// Run the scenarios with this name, or with this in their name; all if none is given.
    #[arg(value_name = "SCENARIO")]
    names: Vec<String>,
    /// The guest's interrupt controller; can be repeated.
    #[arg(long, value_name = "CHIP", value_delimiter = ',', default_value = "user")]
    irqchip: Vec<Irqchip>,
    /// Measure the kernel's floor too: a runner that copies the timer's level to the line and does nothing else.
    #[arg(long)]
    bare: bool,
    /// Interrupts to measure in each scenario.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    interrupts: Option<u64>,
    /// Waste so many instructions on each interrupt, so that a comparison has something to find.
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    plant: u64,
    /// List the scenarios and run nothing.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<Done> {
    let mut chosen = select("scenario", SCENARIOS.iter().cloned(), |scenario| &scenario.name, &args.names)?;
    if args.list {
        chosen.iter().for_each(|scenario| println!("{:<20} {}", scenario.name, scenario.what));
        return Ok(Done::Said);
    }
    if let Some(interrupts) = args.interrupts {
        chosen.iter_mut().for_each(|scenario| scenario.interrupts = interrupts);
    }
    let output = Output::open(args.run.output.as_deref())?;
    if args.run.plan {
        return Ok(Done::Planned);
    }
    measure(args, &chosen, output)
}

fn measure(args: &BenchArgs, chosen: &[Scenario], mut output: Output) -> anyhow::Result<Done> {
    let kvm = Kvm::open()?;
    let mut record = Record::new(kvm.describe());
    terminal::host(&record.host);
    let mut chips = args.irqchip.clone();
    if args.bare && !chips.contains(&Irqchip::Bare) {
        chips.push(Irqchip::Bare);
    }
    for scenario in chosen {
        for &chip in chips.iter().filter(|&&chip| chip != Irqchip::Bare || scenario.has_floor()) {
            let outcome = kvm.measure(scenario, chip, args.plant)?.outcome();
            terminal::outcome(&record.host, &outcome);
            record.latency.push(outcome);
        }
    }
    output.write(&record)?;
    Ok(Done::Ran(record.latency.iter().all(|outcome| outcome.faults().is_empty())))
}
