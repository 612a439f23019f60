//! Runs checks, or programs of files, one after the other, and records their verdicts.

use super::args::TestArgs;
use super::journal::{Journal, Told};
use super::terms::{REST, terms};
use super::told::{conclusion, show};
use crate::cli::{Done, Live, Output};
use crate::kvm::Kvm;
use vtick_contract::fault::Described;
use vtick_contract::{Case, CheckRecord, Fault, Meaning, Overall, Tally, Transcript, Verdict, checks};
use vtick_report::{Record, lines, terminal};
use vtick_shell::say::println;
/// The longest that whoever boots hosts takes to see that a fresh one is wanted.
const A_FRESH_HOST: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs the chosen cases, on a kernel with `fault` if there is one.
pub(super) fn run_cases(
    mut chosen: Vec<Case>,
    args: &TestArgs,
    fault: Option<&Described>,
    mut output: Output,
) -> anyhow::Result<Done> {
    let journal = Journal::open(args.journal, args.resume.as_deref())?;
    let kvm = Kvm::open()?;
    kvm.pin_vcpus(args.run.pin.clone())?;
    let offered = match fault {
        Some(Described { fault: Fault::CapabilityAbsent, .. }) => 0,
        _ => kvm.capability()?,
    };
    let mut record = Record::new(kvm.describe());
    journal.start(&record.host);
    record.disturb = args.disturb.map(|seeds| seeds.first);
    let (terms, costs) = terms(&kvm, &record.host, record.disturb, !args.no_model);
    record.costs = costs;
    if !journal.resumes() && args.r#as == Some(Live::JsonLines) {
        println!("{}", lines::host(&record.host));
    }
    if !journal.resumes() && args.r#as.is_none() {
        terminal::host(&record.host);
        record.costs.iter().for_each(terminal::costs);
        if let Some(seed) = record.disturb {
            println!("disturb seed {seed}");
        }
        if let Some(fault) = fault {
            println!("fault   {}: {}", fault.name, fault.what);
        }
        println!();
    }
    // What may take this host down comes last: everything else has its verdict by then.
    chosen.sort_by_key(|case| case.endangers(&record.host));
    let danger = chosen.last().is_some_and(|case| case.endangers(&record.host));
    for case in &chosen {
        let dangerous = case.endangers(&record.host);
        match journal.knows(case) {
            // Taken over at the end: this host may die before.
            Some(Told::Yes) => continue,
            Some(Told::No) => {
                if let Some(result) = journal.past(case, &record.host)? {
                    show(args, &record.host, &result);
                    journal.end(&result, danger);
                    record.checks.push(result);
                }
                continue;
            }
            None => {}
        }
        journal.begin(case, dangerous);
        if args.r#as == Some(Live::JsonLines) {
            println!("{}", lines::begin(&record.host, case.name(), case.clause()));
        }
        let mut result = if offered <= 0 && case.needs_the_mode(&record.host) {
            vtick_contract::without_the_mode(case, &record.host, offered)
        } else {
            vtick_contract::run(case, &record.host, terms, |program| kvm.run(program, fault.map(|fault| fault.fault)))
        };
        if fault.is_some() {
            // Deviations are of kernels as they are.
            result.expected = None;
        }
        show(args, &record.host, &result);
        journal.end(&result, danger);
        // Whoever passes on what was printed does so now, and not while the next program runs.
        std::thread::sleep(REST);
        let stuck = result.transcript.as_ref().is_some_and(Transcript::is_stuck);
        let failed = matches!(result.meaning(), Meaning::Fail | Meaning::HarnessError);
        record.checks.push(result);
        if args.fail_fast && failed {
            break;
        }
        if stuck && journal.go_on_elsewhere(&record.checks) {
            // Killed by then, or else gone on without.
            std::thread::sleep(A_FRESH_HOST);
        }
    }
    for case in chosen.iter().filter(|case| journal.knows(case) == Some(Told::Yes)) {
        record.checks.extend(journal.past(case, &record.host)?);
    }
    let place = |check: &CheckRecord| chosen.iter().position(|case| case.name() == check.name);
    record.checks.sort_by_key(place);
    let tally = Tally::of(record.checks.iter().map(CheckRecord::meaning));
    if !conclusion(args, &record, &tally) {
        terminal::summary(&tally);
        let lags = record.checks.iter().filter_map(|check| check.transcript.as_ref()?.timer_lag());
        if let Some(lag) = lags.max().filter(|_| terms.time_is_real) {
            terminal::timer_lag(&record.host, lag);
        }
        if let Some(fault) = fault {
            found(fault, &record.checks);
        }
    }
    output.write(&record)?;
    Ok(match tally.overall(args.strict) {
        Overall::Held => Done::Ran(true),
        Overall::Violated => Done::Ran(false),
        Overall::NothingExercised => Done::NothingExercised,
    })
}

/// Which of the checks that ran have to find the fault, and whether they did.
fn found(fault: &Described, checks: &[CheckRecord]) {
    let due: Vec<_> = checks::all().filter(|check| check.must_catch(fault.fault)).map(|check| check.name).collect();
    let (mut caught, mut missed) = (Vec::new(), Vec::new());
    for check in checks.iter().filter(|check| due.contains(&check.name.as_str())) {
        if check.judgement.verdict == Verdict::Violated { &mut caught } else { &mut missed }.push(check.name.as_str());
    }
    if caught.is_empty() && missed.is_empty() {
        println!("none of the selected checks has to find {}; these checks have to: {}", fault.name, due.join(", "));
    }
    for (what, names) in
        [("checks that have to find it and did", caught), ("checks that have to find it and did NOT", missed)]
    {
        if !names.is_empty() {
            println!("{what}: {}", names.join(", "));
        }
    }
}
