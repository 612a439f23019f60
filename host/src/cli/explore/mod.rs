//! `vtick explore`.

mod faults;
mod finding;
mod journal;
mod judge;
mod said;
mod session;
mod sweeps;

use std::path::PathBuf;

use self::journal::Journal;
use self::session::Session;
use super::Done;
use super::select::{FAULT, select};
use crate::kvm::Kvm;
use vtick_contract::fault::{Described, FAULTS};
use vtick_contract::{Action, Event, Program, TimerRegister};
use vtick_core::Host;
use vtick_explore::{ALPHABET, Operation, Scale, Space, random};
use vtick_report::terminal;
use vtick_shell::say::println;
use vtick_shell::values;

/// After so many positions it is told how far the run has come.
const TELL_EVERY: u64 = 512;

#[derive(clap::Args)]
pub(super) struct ExploreArgs {
    /// Run all programs of up to N operations; with --seed, the most operations of each vCPU of a random program
    /// [default: 3; with --seed 12].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    ops: Option<u8>,
    /// The number of vCPUs of each program; with --seed, the most vCPUs of a random program [default: 1; with --seed 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    vcpus: Option<u8>,
    /// Run random programs, made from this seed.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Stop after N programs. Random programs do not end by themselves.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop after this time: seconds, or a number with s, m or h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time: Option<std::time::Duration>,
    /// Move a program's event tick by tick over the whole path of KVM_RUN. SWEEP: part of the names of built-in sweeps, or
    /// a `.litmus` file; without it, all built-in sweeps.
    #[arg(long, value_name = "SWEEP", num_args = 0..=1, default_missing_value = "")]
    sweep: Option<String>,
    /// The ticks of a sweep: the first, the first that is no longer run, and the step between two runs.
    #[arg(long, value_name = "FIRST..END/STEP", requires = "sweep", value_parser = sweeps::range)]
    ticks: Option<sweeps::Ticks>,
    /// Run share I of N: the shares 1 to N together run every program once.
    #[arg(long, value_name = "I/N", value_parser = shard, default_value = "1/1")]
    shard: (u64, u64),
    /// Repeat every Nth program in a fresh VM, and compare; 0: repeat none.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    repeat: u64,
    /// Print the cost of each program: CPU time in nanoseconds (instructions where the clock counts instructions).
    #[arg(long)]
    costs: bool,
    /// List the operations and the sweeps, and run nothing.
    #[arg(long)]
    list: bool,
    /// Run on a kernel with this fault, which a layer in front of KVM plays. `list`: list the faults. `all`: see for each
    /// fault whether exploration finds it.
    #[arg(long, value_name = "FAULT", conflicts_with = "sweep")]
    inject: Option<String>,
    /// Print the progress and the findings on lines that start with @.
    #[arg(long, hide = true)]
    journal: bool,
    /// Resume from this journal.
    #[arg(long, value_name = "FILE", conflicts_with = "sweep")]
    resume: Option<PathBuf>,
    /// Check the arguments and run nothing. Exit status 0: there is something to run; 3: there is not, all is said.
    #[arg(long, hide = true)]
    pub(super) plan: bool,
}

/// Why operations are not asked for on this host, and how many.
type LeftOut = (&'static str, usize);

/// What is to be run, one program after the other.
enum Source {
    All(Space),
    Random { seed: u64, alphabet: Vec<Operation>, ops: usize, vcpus: usize, end: u64 },
}

pub(super) fn run(args: &ExploreArgs) -> anyhow::Result<Done> {
    if args.list {
        said::list();
        return Ok(Done::Said);
    }
    let faults: Vec<&Described> = match args.inject.as_deref() {
        None => Vec::new(),
        Some("list") => {
            FAULTS.iter().for_each(|fault| println!("{:<28} {}", fault.name, fault.what));
            return Ok(Done::Said);
        }
        Some("all") => FAULTS.iter().collect(),
        Some(name) => select(FAULT, FAULTS.iter(), |fault| fault.name, &[name.to_owned()])?,
    };
    let journal = Journal::open(args.journal, args.resume.as_deref())?;
    // What cannot be run is refused before the host is looked at.
    source(args, ALPHABET.to_vec())?;
    let sweeps = args.sweep.as_deref().map(sweeps::chosen).transpose()?;
    if args.plan {
        return Ok(Done::Planned);
    }
    let kvm = Kvm::open()?;
    let host = kvm.describe();
    let resumes = journal.resumes();
    let scale = Scale::new(host.cntfrq, host.deterministic);
    let mut session = Session::new(&kvm, &host, scale, args.repeat, journal);
    if !resumes {
        terminal::host(&host);
    }
    if let Some(sweeps) = sweeps {
        return sweeps::run(&mut session, &sweeps, args.ticks);
    }
    let (alphabet, left_out) = alphabet(&kvm, &host)?;
    if !resumes {
        said::left_out(&left_out);
    }
    if faults.len() > 1 {
        return faults::run(&mut session, &faults, &alphabet);
    }
    session.fault = faults.first().map(|fault| fault.fault);
    explore(&mut session, &source(args, alphabet)?, args)
}

fn source(args: &ExploreArgs, alphabet: Vec<Operation>) -> anyhow::Result<Source> {
    let given = |argument: Option<u8>, default: u8| usize::from(argument.unwrap_or(default));
    if let Some(seed) = args.seed {
        let (ops, vcpus) = (given(args.ops, 12), given(args.vcpus, 4));
        return Ok(Source::Random { seed, alphabet, ops, vcpus, end: args.count.unwrap_or(u64::MAX) });
    }
    let (ops, vcpus) = (given(args.ops, 3), given(args.vcpus, 1));
    let Some(space) = Space::new(alphabet, ops, vcpus) else {
        anyhow::bail!("--ops {ops}: there are more than 2^64 such programs; with --seed vtick draws some at random");
    };
    Ok(Source::All(space))
}

/// Runs one program after the other, from where an earlier run ended.
fn explore(session: &mut Session, source: &Source, args: &ExploreArgs) -> anyhow::Result<Done> {
    let started = std::time::Instant::now();
    let (shard, shards) = args.shard;
    let first = session.journal.position();
    let end = match source {
        Source::All(space) => space.positions(),
        Source::Random { end, .. } => *end,
    };
    if let Some((position, how)) = session.journal.take_blamed() {
        session.blame(&sketch_at(source, position), &how);
    }
    session.tell(first, end);
    let mut told = first;
    let mut position = first + (shard + shards - first % shards) % shards;
    while position < end {
        if position - told >= TELL_EVERY {
            told = position;
            session.tell(position, end);
        }
        if let Some(sketch) = sketch_at(source, position) {
            session.journal.program(position);
            let before = session.cost();
            session.explore(&sketch)?;
            if args.costs {
                println!("{:>9}  {:?} {:?}", session.cost() - before, sketch.routing, sketch.words);
            }
        }
        position += shards;
        let enough = args.count.is_some_and(|most| session.counts.programs >= most);
        // In a host that counts instructions time is none that anybody waits for: whoever runs it looks at the clock.
        let late = !session.host.deterministic && args.time.is_some_and(|time| started.elapsed() > time);
        if enough || late || said::interrupted() {
            break;
        }
    }
    session.look_at_log();
    session.tell(position.min(end), end);
    said::summary(session, started.elapsed(), position, end);
    Ok(Done::Ran(session.findings.is_empty()))
}

fn sketch_at(source: &Source, position: u64) -> Option<vtick_explore::Sketch> {
    match source {
        Source::All(space) => space.at(position),
        Source::Random { seed, alphabet, ops, vcpus, .. } => {
            Some(random::sketch(*seed, position, alphabet, *ops, *vcpus))
        }
    }
}

/// The operations that this host can be asked for, and those that it cannot be, with the reason.
fn alphabet(kvm: &Kvm, host: &Host) -> anyhow::Result<(Vec<Operation>, Vec<LeftOut>)> {
    let mut alphabet = ALPHABET.to_vec();
    let mut left_out = Vec::new();
    let mut leave_out = |reason: &'static str, is_so: fn(Operation) -> bool| {
        let before = alphabet.len();
        alphabet.retain(|&operation| !is_so(operation));
        left_out.push((reason, before - alphabet.len()));
    };
    if host.kvm_mode == "VHE" && host.gic.contains("no vGIC") {
        leave_out("the physical timer takes down a VHE host without a vGIC", Operation::is_physical);
    }
    if !answers(kvm, host, |p| {
        p.ask(Action::Get(TimerRegister::CntpCtl));
    })? {
        leave_out("this kernel has no ONE_REG for the physical timer", Operation::is_physical_one_reg);
    }
    if !answers(kvm, host, Program::with_pmu)? {
        leave_out("this host has no PMU to give to a guest", Operation::is_pmu);
    }
    if host.cpus < 2 {
        leave_out("there is one host CPU", |operation| operation == Operation::Migrate);
    }
    Ok((alphabet, left_out))
}

/// Whether a program can be run here, and all its actions succeed.
fn answers(kvm: &Kvm, host: &Host, write: impl Fn(&mut Program)) -> anyhow::Result<bool> {
    let mut program = Program::new(host.cntfrq);
    write(&mut program);
    let transcript = kvm.run(&program, None)?;
    let failed = |event: &Event| matches!(event, Event::Action { result: ..0, .. });
    Ok(transcript.unavailable.is_none() && !transcript.events.iter().any(failed))
}

/// The share of a run: its number, counted from 0, and how many there are.
fn shard(text: &str) -> Result<(u64, u64), String> {
    let share = values::share(text).map(|(number, of)| (number as u64 - 1, of as u64));
    share.ok_or_else(|| "I/N is needed, with I from 1 to N".to_owned())
}

/// A length of time: seconds, or a number with its unit.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    values::duration(text).ok_or_else(|| "seconds are needed, or a number with s, m or h behind it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_share_begins_at_the_first_program() {
        assert_eq!((shard("1/3"), shard("3/3")), (Ok((0, 3)), Ok((2, 3))));
        assert!(shard("0/3").unwrap_err().contains("from 1 to N"));
    }
}
