//! `vtick test`.

use std::path::PathBuf;

use owo_colors::OwoColorize;

use super::conclude::conclude;
use super::journal::{Journal, Told};
use super::rehearsal::{self, Seeds};
use super::select::{CHECK, FAULT, select};
use super::{Done, EXAMPLE_CNTFRQ, Live, Output, RunArgs};
use crate::kvm::Kvm;
use vtick_contract::CheckRecord;
use vtick_contract::Meaning;
use vtick_contract::Overall;
use vtick_contract::Tally;
use vtick_contract::fault::{Described, FAULTS};
use vtick_contract::{
    self, Case, Check, Clause, Clauses, Costs, FailsOn, Fault, File, Terms, Transcript, Verdict, checks,
};
use vtick_core::Host;
use vtick_report::terminal::{self, Timelines};
use vtick_report::verdicts::{self, Verdicts};
use vtick_report::{Record, lines};
use vtick_shell::say::{print, println};

#[derive(clap::Args)]
pub(super) struct TestArgs {
    /// Run the check with this name, or every check whose name contains this; without a CHECK, run all.
    #[arg(value_name = "CHECK")]
    names: Vec<String>,
    /// Run only the checks of this clause (C1 to C14, G1 to G7) or of a group of clauses (C: KVM's; G: our GIC's); can be
    /// repeated.
    #[arg(long, value_name = "CLAUSE")]
    clause: Vec<Clauses>,
    /// Run the program of this file instead of checks (docs/litmus.md); can be repeated, and several can follow.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["names", "clause", "skip", "list", "explain"])]
    program: Vec<PathBuf>,
    /// List the checks and run nothing.
    #[arg(long)]
    list: bool,
    /// Explain a check: its claim, its clause, the faults that it catches, its program. Runs nothing.
    #[arg(long, value_name = "CHECK")]
    explain: Option<String>,
    /// Show the timeline (every exit and guest operation) of held checks too: at most 60 lines, or with `full` all lines.
    #[arg(long, value_name = "full", num_args = 0..=1, default_missing_value = "")]
    timeline: Option<String>,
    /// Print the run in the format of another program.
    #[arg(long, value_name = "FORMAT")]
    pub(super) r#as: Option<Live>,
    /// Disturb the programs at instants and for durations drawn from this seed: threads take the host's CPUs away, signals
    /// arrive, vCPUs move. A verdict may change only to disturbed. FIRST-LAST: run all checks with each of these seeds.
    #[arg(long, value_name = "SEED")]
    disturb: Option<Seeds>,
    /// Exit with status 1 also if a check was not exercised or was disturbed, if vtick itself failed, or if a check held
    /// although its violation is listed as expected.
    #[arg(long)]
    pub(super) strict: bool,
    /// Do not ask the model of the contract for a second opinion of every transcript.
    #[arg(long)]
    no_model: bool,
    /// Stop at the first check that is violated unexpectedly or cannot be run.
    #[arg(long)]
    fail_fast: bool,
    /// Do not run the check with exactly this name; can be repeated.
    #[arg(long, value_name = "CHECK")]
    skip: Vec<String>,
    /// Print the progress on lines that start with @, so that another run can resume if this one takes its host down.
    #[arg(long, hide = true)]
    journal: bool,
    /// Resume from this journal.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) resume: Option<PathBuf>,
    /// Run nothing more: sum up the journal of a run that ended for this reason.
    #[arg(long, value_name = "WHY", hide = true, requires = "resume")]
    conclude: Option<String>,
    /// Run on a kernel with this fault, which a layer in front of KVM plays: the exit status is 1 if a check finds the fault.
    /// `list`: list the faults. `all`: play each fault, and see that the checks that must catch it do.
    #[arg(long, value_name = "FAULT")]
    inject: Option<String>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// Time to pass on what was printed.
pub(super) const REST: std::time::Duration = std::time::Duration::from_millis(5);

/// The longest that whoever boots hosts takes to see that a fresh one is wanted.
const A_FRESH_HOST: std::time::Duration = std::time::Duration::from_secs(60);

impl TestArgs {
    /// Which checks are asked for. A name right behind `--timeline` is one, too.
    fn names(&self) -> Vec<String> {
        let behind_timeline = self.timeline.iter().filter(|word| !matches!(word.as_str(), "" | "full"));
        self.names.iter().chain(behind_timeline).cloned().collect()
    }

    fn timelines(&self) -> Timelines {
        match self.timeline.as_deref() {
            None => Timelines::OfViolations,
            Some("full") => Timelines::Full,
            Some(_) => Timelines::OfAll,
        }
    }
}

pub(super) fn run(args: &TestArgs) -> anyhow::Result<Done> {
    if let Some(name) = &args.explain {
        for check in select(CHECK, checks::all(), |check| check.name, std::slice::from_ref(name))? {
            explain(check);
        }
        return Ok(Done::Said);
    }
    if args.inject.as_deref() == Some("list") {
        FAULTS.iter().for_each(|fault| println!("{:<28} {}", fault.name, fault.what));
        return Ok(Done::Said);
    }
    let names = args.names();
    let chosen = select(CHECK, checks::all(), |check| check.name, &names);
    let mut chosen = chosen.map_err(|error| match clause_titled(&names) {
        Some(clause) => error.context(format!("{} is the title of a clause (--clause {clause})", clause.title())),
        None => error,
    })?;
    chosen.retain(|check| args.clause.is_empty() || args.clause.iter().any(|clauses| clauses.contain(check.clause)));
    for skipped in &args.skip {
        anyhow::ensure!(
            checks::all().any(|check| check.name == skipped),
            "--skip: no check named {skipped}; --list shows all"
        );
    }
    chosen.retain(|check| args.skip.iter().all(|skipped| check.name != skipped));
    anyhow::ensure!(!chosen.is_empty(), "no check has both this name and this clause; --list shows all checks");
    if args.list {
        chosen.iter().for_each(|check| println!("{:<4} {:<66} {}", check.clause, check.name, check.clause.title()));
        return Ok(Done::Said);
    }
    let injected = injected(args)?;
    let output = Output::open(args.run.output.as_deref())?;
    let programs = programs(args)?;
    anyhow::ensure!(programs.is_empty() || injected.len() < 2, "--program takes one fault to --inject, or none");
    let several = injected.len() > 1 || args.disturb.is_some_and(|seeds| seeds.first != seeds.last);
    anyhow::ensure!(
        args.r#as.is_none() || !several,
        "--as tells of one run: give one fault to --inject, one seed to --disturb"
    );
    if args.run.plan {
        return Ok(Done::Planned);
    }
    if let Some(Seeds { first, last }) = args.disturb
        && first != last
    {
        anyhow::ensure!(injected.len() < 2, "--disturb FIRST-LAST takes one fault to --inject, or none");
        anyhow::ensure!(args.run.output.is_none(), "--disturb FIRST-LAST writes no record: give one seed");
        anyhow::ensure!(programs.is_empty(), "--disturb FIRST-LAST runs checks only: give one seed");
        return rehearsal::rehearse(&chosen, first..=last, injected.first().copied(), !args.no_model);
    }
    let cases = if programs.is_empty() { chosen.iter().copied().map(Case::Check).collect() } else { programs };
    if let Some(why) = &args.conclude {
        return conclude(cases, args, why, output);
    }
    match injected[..] {
        [] | [_] => run_cases(cases, args, injected.first().copied(), output),
        _ => catch_faults(&injected, &chosen, !args.no_model),
    }
}

/// The faults that are to be played.
fn injected(args: &TestArgs) -> anyhow::Result<Vec<&'static Described>> {
    Ok(match args.inject.as_deref() {
        None => Vec::new(),
        Some("all") => FAULTS.iter().collect(),
        Some(name) => {
            let name = name.to_owned();
            select(FAULT, FAULTS.iter(), |fault| fault.name, std::slice::from_ref(&name))?
        }
    })
}

/// The programs of files that are asked for.
fn programs(args: &TestArgs) -> anyhow::Result<Vec<Case>> {
    let files: Result<Vec<_>, _> = args.program.iter().map(|path| File::read(path)).collect();
    let files = files.map_err(anyhow::Error::msg)?;
    for (index, file) in files.iter().enumerate() {
        let twice = files[..index].iter().any(|other| other.name == file.name);
        anyhow::ensure!(!twice, "--program: two files are named {}; rename one", file.name);
    }
    Ok(files.into_iter().map(|file| Case::File(Box::new(file))).collect())
}

/// The clause whose title is one of these.
fn clause_titled(names: &[String]) -> Option<Clause> {
    let clauses = checks::all().map(|check| check.clause);
    clauses.into_iter().find(|clause| names.iter().any(|name| name.eq_ignore_ascii_case(clause.title())))
}

fn explain(check: &Check) {
    println!("{}", check.name.bold());
    println!("  must see {}", check.claim);
    println!("  clause   {} ({}): {}", check.clause, check.clause.title(), check.clause.text());
    println!("  source   {}", check.clause.source());
    println!("  catches  {}", check.catches);
    match check.fails_on {
        FailsOn::Faults(faults) => {
            for fault in FAULTS.iter().filter(|described| faults.contains(&described.fault)) {
                println!("  fails on {}: {}", fault.name, fault.what);
            }
        }
        FailsOn::KernelsAlone(reason) => println!("  fails on no fault that can be injected: {reason}"),
    }
    for deviation in vtick_contract::DEVIATIONS.iter().filter(|deviation| deviation.check == check.name) {
        println!("  deviates {}: {}", deviation.range(), deviation.why);
    }
    println!("  program  (as a file for --program has it; docs/litmus.md)");
    let (program, _) = check.build(EXAMPLE_CNTFRQ);
    program.to_string().lines().for_each(|line| println!("    {line}"));
}

fn run_cases(
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
        if let Some((result, told)) = journal.past(case, &record.host) {
            if told == Told::No {
                show(args, &record.host, &result);
                journal.end(&result, danger);
            }
            record.checks.push(result);
            continue;
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

/// What the host means for programs and verdicts; and what it takes, where it had to be asked.
pub(super) fn terms(kvm: &Kvm, host: &Host, disturb: Option<u64>, ask_the_model: bool) -> (Terms, Option<Costs>) {
    let exact = Terms { disturb, varies: disturb.is_some(), ask_the_model, ..Terms::EXACT };
    if host.deterministic {
        return (exact, None);
    }
    let costs = Costs::measure(host.cntfrq, |program| kvm.run(program, None));
    let slow = costs.map_or(Terms::EXACT, |costs| Terms { scale: costs.scale(), ..Terms::EXACT });
    (Terms { varies: true, time_is_real: true, disturb, ask_the_model, ..slow }, costs)
}

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

/// Injects each fault, and sees that those of the checks that must catch it do.
fn catch_faults(injected: &[&Described], among: &[&'static Check], ask_the_model: bool) -> anyhow::Result<Done> {
    let kvm = Kvm::open()?;
    kvm.require_the_mode()?;
    let host = kvm.describe();
    terminal::host(&host);
    let (terms, costs) = terms(&kvm, &host, None, ask_the_model);
    costs.iter().for_each(terminal::costs);
    println!();
    let (mut tried, mut missed, mut untried) = (0, 0, 0);
    let mut opinions = Vec::new();
    for fault in injected {
        let mut results = Vec::new();
        let mut objection = None;
        let due: Vec<_> = among.iter().filter(|check| check.must_catch(fault.fault)).collect();
        if due.is_empty() {
            continue;
        }
        tried += 1;
        for check in due {
            let execute = |program: &vtick_contract::Program| kvm.run(program, Some(fault.fault));
            let result = vtick_contract::run(&Case::Check(check), &host, terms, execute);
            let mut unexpected = result.objections.into_iter().filter(|opinion| opinion.expected.is_none());
            objection = objection.or_else(|| unexpected.next().map(|opinion| opinion.objection));
            results.push((check.name, result.judgement));
        }
        let has = |verdict| results.iter().any(|(_, judgement)| judgement.verdict == verdict);
        missed += usize::from(has(Verdict::Held));
        untried += usize::from(!has(Verdict::Held) && !has(Verdict::Violated));
        terminal::fault(fault.name, &results, objection.as_ref());
        if has(Verdict::Held) || has(Verdict::Violated) {
            opinions.push((*fault, objection));
        }
        std::thread::sleep(REST);
    }
    anyhow::ensure!(
        tried > 0,
        "these checks have to catch none of the faults; --explain CHECK names those that each catches"
    );
    println!("\n{tried} faults: {} caught, {missed} missed, {untried} not exercised", tried - missed - untried);
    if ask_the_model {
        terminal::second_opinions(&opinions);
    }
    Ok(if untried == tried { Done::NothingExercised } else { Done::Ran(missed == 0) })
}
