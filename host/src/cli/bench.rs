//! `vtick bench`.

use super::select::{SCENARIO, select};
use super::{Done, Output, RunArgs};
use crate::kvm::Kvm;
use vtick_core::Host;
use vtick_latency::{BOUND, Irqchip, SCENARIOS, Scenario};
use vtick_report::{Record, latency, lines, rates, terminal};
use vtick_shell::say::println;

#[derive(clap::Args)]
pub(super) struct BenchArgs {
    /// Run the scenario with this name, or every scenario whose name contains this. Without a SCENARIO, run the plain ones:
    /// one vCPU, nothing beside it, a one-shot timer or an MMIO access.
    #[arg(value_name = "SCENARIO")]
    names: Vec<String>,
    /// Run all scenarios.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// The guest's interrupt controller; can be repeated.
    #[arg(long, value_name = "CHIP", value_delimiter = ',', default_value = "user")]
    irqchip: Vec<Irqchip>,
    /// Measure only the kernel's floor: a runner that copies the timer's level to the line and does nothing else. A run
    /// with vtick's own GIC measures the floor of the plain scenarios anyway.
    #[arg(long, conflicts_with = "irqchip")]
    bare: bool,
    /// Do not measure the kernel's floor.
    #[arg(long, conflicts_with = "bare")]
    no_floor: bool,
    /// Interrupts to measure in each scenario.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    interrupts: Option<u64>,
    /// Waste N instructions on each interrupt, so that a comparison has something to find.
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    plant: u64,
    /// Measure only what userspace spends on each access of the guest to its GIC.
    #[arg(long, conflicts_with_all = ["names", "all", "irqchip", "bare"])]
    accesses: bool,
    /// List the scenarios and run nothing.
    #[arg(long)]
    list: bool,
    /// Print an event on each line, as things happen: JSON.
    #[arg(long, value_name = "FORMAT", value_parser = ["json-lines"], conflicts_with = "accesses")]
    r#as: Option<String>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<Done> {
    let mut chosen = select(SCENARIO, SCENARIOS.iter().cloned(), |scenario| &scenario.name, &args.names)?;
    if args.list {
        chosen.iter().for_each(|scenario| println!("{:<20} {}", scenario.name, scenario.what));
        return Ok(Done::Said);
    }
    if args.names.is_empty() && !args.all {
        chosen.retain(Scenario::is_plain);
    }
    if let Some(interrupts) = args.interrupts {
        chosen.iter_mut().for_each(|scenario| scenario.interrupts = interrupts);
    }
    let output = Output::open(args.run.output.as_deref())?;
    if args.run.plan {
        return Ok(Done::Planned);
    }
    if args.accesses {
        return accesses(args);
    }
    measure(args, &chosen, output)
}

/// What userspace spends on an access. Where the counter counts instructions, there is a bound to it.
fn accesses(args: &BenchArgs) -> anyhow::Result<Done> {
    let kvm = Kvm::open()?;
    kvm.require_the_mode()?;
    kvm.pin_vcpus(args.run.pin.clone())?;
    let host = kvm.describe();
    terminal::host(&host);
    let unit = if host.deterministic { "instructions" } else { "counter ticks" };
    println!(
        "\nUserspace on an access to the GIC: from KVM_RUN's return, parsed, to its next entry; KVM_IRQ_LINE apart"
    );
    println!("  {:<32} {:>8} {:>8} {:>8} {:>8}", format!("in {unit}"), "accesses", "min", "p50", "p99");
    let mut within = true;
    for cost in kvm.access_costs()?.summary() {
        within &= !host.deterministic || cost.p99 <= BOUND;
        println!("  {:<32} {:>8} {:>8} {:>8} {:>8}", cost.register.name(), cost.count, cost.min, cost.p50, cost.p99);
    }
    if host.deterministic {
        println!("  {}: none takes more than {BOUND}", if within { "held" } else { "violated" });
    }
    Ok(Done::Ran(within))
}

fn measure(args: &BenchArgs, chosen: &[Scenario], mut output: Output) -> anyhow::Result<Done> {
    let kvm = Kvm::open()?;
    kvm.require_the_mode()?;
    kvm.pin_vcpus(args.run.pin.clone())?;
    let mut record = Record::new(kvm.describe());
    let for_people = args.r#as.is_none();
    if for_people {
        terminal::host(&record.host);
        terminal::settings(&record.host);
    } else {
        println!("{}", lines::host(&record.host));
    }
    // A kernel on which one scenario cannot be measured may still be measured by the others.
    let mut failed = None;
    for scenario in chosen {
        if let Some(why) = unfit(&record.host, scenario, args.names.iter().any(|name| *name == scenario.name)) {
            if for_people {
                println!("\n{}: not measured: {why}", scenario.name);
            }
            continue;
        }
        for (irqchip, interrupts) in chips(args, scenario) {
            let scenario = Scenario { interrupts, ..scenario.clone() };
            let outcome = match kvm.measure(&scenario, irqchip, args.plant) {
                Err(error) if error.lacks_neighbour() => {
                    if for_people {
                        println!("\nnot measured: {error}");
                    }
                    continue;
                }
                Err(error) => {
                    if for_people {
                        println!("\nnot measured: {error}");
                    }
                    failed.get_or_insert(error);
                    // With another interrupt controller it would most likely wait in vain once more.
                    break;
                }
                Ok(measurement) => measurement.outcome(),
            };
            if for_people {
                latency::outcome(&record.host, &outcome);
            } else {
                println!("{}", lines::measured(&record.host, &outcome));
                vtick_shell::say::flush();
            }
            record.latency.push(outcome);
        }
    }
    if for_people {
        latency::over_the_floor(&record.host, &record.latency);
        rates::rates(&record.host, &record.latency);
    }
    record.incomplete = failed.as_ref().map(ToString::to_string);
    output.write(&record)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok(Done::Ran(record.latency.iter().all(|outcome| outcome.faults().is_empty())))
}

/// Why a scenario says nothing on this host; `asked`: it was asked for by its whole name.
fn unfit(host: &Host, scenario: &Scenario, asked: bool) -> Option<String> {
    let due = scenario.cpus();
    if host.cpus < due {
        return Some(format!("it takes {due} host CPUs (--host-cpus), and there is {}", host.cpus));
    }
    let in_turns = host.deterministic && due > 1 && !asked;
    in_turns.then(|| {
        "an emulated host runs its CPUs in turns, of up to a hundred million instructions; ask for it by name to see them"
            .to_owned()
    })
}

/// Interrupts that show a kernel's floor.
const FLOOR: u64 = 1000;

/// The interrupt controllers to measure `scenario` with, and how many interrupts with each.
fn chips(args: &BenchArgs, scenario: &Scenario) -> Vec<(Irqchip, u64)> {
    if args.bare {
        return scenario.has_floor().then_some((Irqchip::Bare, scenario.interrupts)).into_iter().collect();
    }
    let wanted = args.irqchip.iter().filter(|&&chip| chip != Irqchip::Bare || scenario.has_floor());
    let mut chips: Vec<_> = wanted.map(|&chip| (chip, scenario.interrupts)).collect();
    let asked = args.irqchip.contains(&Irqchip::Bare);
    if args.irqchip.contains(&Irqchip::User) && !asked && !args.no_floor && scenario.is_plain() {
        chips.push((Irqchip::Bare, scenario.interrupts.min(FLOOR)));
    }
    chips
}

#[cfg(test)]
mod tests {
    use super::*;
    use vtick_latency::{Beside, Stimulus, Wait};

    #[test]
    fn vcpus_that_spin_for_each_other_are_measured_on_cpus_that_run_at_the_same_time() {
        let spinning = SCENARIOS.iter().find(|s| s.stimulus == Stimulus::SgiOther && s.wait == Wait::Spin).unwrap();
        let host = |cpus, deterministic| Host { cpus, deterministic, ..Host::default() };
        assert!(unfit(&host(1, false), spinning, true).unwrap().contains("it takes 2 host CPUs"));
        assert!(unfit(&host(2, true), spinning, false).unwrap().contains("in turns"));
        assert_eq!(unfit(&host(2, true), spinning, true), None);
        assert_eq!(unfit(&host(2, false), spinning, false), None);
        let other = SCENARIOS.iter().filter(|s| s.name != spinning.name && s.beside == Beside::Nothing);
        assert!(other.into_iter().all(|scenario| unfit(&host(1, true), scenario, false).is_none()));
    }
}
