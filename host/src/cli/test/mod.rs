//! `vtick test`.

mod args;
mod cases;
mod conclude;
mod explain;
mod faults;
mod journal;
mod rehearsal;
mod terms;
mod told;

pub(super) use self::args::TestArgs;
use self::cases::run_cases;
use self::conclude::conclude;
use self::explain::{explain, explain_clause};
use self::faults::catch_faults;
use self::rehearsal::Seeds;
use super::select::{CHECK, FAULT, select};
use super::{Done, Output};
use vtick_contract::fault::{Described, FAULTS};
use vtick_contract::{self, Case, Clause, File, checks};
use vtick_shell::say::println;

pub(super) fn run(args: &TestArgs) -> anyhow::Result<Done> {
    if let Some(name) = &args.explain {
        if let Ok(clause) = name.parse() {
            explain_clause(clause);
            return Ok(Done::Said);
        }
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
