//! `cargo xtask mutate`: whether the checks would notice if the kernel were a little different. One instruction of the
//! running kernel is changed at a time, in memory; the checks run until one is violated.
//!
//! Each mutant's run resumes the same saved host, whose kernel is changed before it resumes.

mod journal;
mod kinds;
mod known;
mod report;
mod sample;
mod verdict;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use self::journal::{Journal, Subject};
use self::report::Report;
use self::sample::Mutant;
use self::verdict::{Fate, Sound};
use crate::artifacts;
use crate::cli::Options;
use crate::coverage;
use crate::emulated::{Died, Outcome, Patch, Run, Saving};
use crate::kernel::{Kernel, crc32};
use crate::process::check_interrupted;

/// A mutant whose host works in silence for so many times the longest such work of the kernel as it is, and at least so
/// long, is taken for dead.
const PATIENCE: u32 = 4;
const LEAST_PATIENCE: Duration = Duration::from_secs(3);

/// What a campaign needs to know.
pub(crate) struct Campaign<'a> {
    pub(crate) options: &'a Options,
    pub(crate) kernel: &'a Kernel,
    /// A run of the checks, as it is for the kernel as it is.
    pub(crate) run: &'a (dyn Fn() -> Run<'a> + Sync),
    /// What tells the checks' runner from others.
    pub(crate) program: String,
}

/// Tries the mutants that are asked for. The status is 1 if one survived that is not listed.
pub(crate) fn mutate(campaign: &Campaign) -> Result<i32> {
    let Campaign { options, kernel, program, .. } = campaign;
    ensure!(options.machine.cpus == 1, "`mutate` cannot save a host with several CPUs: leave --host-cpus out");
    ensure!(!options.fresh, "`mutate` resumes one saved host for all mutants: leave --fresh out");
    let list = known::read(&artifacts::workspace().join("tests/kernel/survivors.txt"))?;
    // The first run is of the kernel as it is: which of its instructions run, and what the checks say.
    let outcome = resume(campaign, Vec::new(), None, true)?.map_err(anyhow::Error::from)?;
    let sound = Sound::of(&outcome);
    ensure!(sound.checks() > 0, "no check ran on the kernel as it is");
    let silent_work = (PATIENCE * outcome.silent_work).max(LEAST_PATIENCE);
    let functions = coverage::ran(kernel)?;
    let all = sample::all(&functions);
    ensure!(!all.is_empty(), "the checks run no instruction of these functions that could be changed");
    let total = all.len();
    let (chosen, seed) = match &options.replay[..] {
        [] => (sample::sample(all, options.sample.unwrap_or(total), options.seed), options.seed),
        names => (sample::named(all, names)?, 0),
    };
    println!("{} checks, {total} mutants of {} functions; {} to try", sound.checks(), functions.len(), chosen.len());

    let image = fs::read(&kernel.image).with_context(|| format!("cannot read {}", kernel.image.display()))?;
    let subject = Subject {
        kernel: kernel.name.clone(),
        image: format!("{:x}-{:08x}", image.len(), crc32(&image)),
        host: options.machine.describe(),
        program: program.clone(),
        arguments: options.forwarded.clone(),
    };
    let journal = Journal::open(&journal_path(campaign), &subject)?;
    let fresh = !options.replay.is_empty();
    let tried = campaign.all(&chosen, |mutant, worker| {
        let name = mutant.to_string();
        if let Some(fate) = journal.past(&name).filter(|_| !fresh) {
            return Ok(fate.clone());
        }
        let limits = Limits { silent_work, worker };
        let ran = resume(campaign, vec![mutant.patch], Some(limits), false)?;
        let fate = sound.judge(ran);
        journal.add(&name, &fate)?;
        println!("{name:<60} {fate}");
        Ok(fate)
    })?;
    let report = Report::new(subject, seed, total, &tried, &list);
    if let Some(output) = &options.output {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(output, json).with_context(|| format!("cannot write {}", output.display()))?;
    }
    print!("\n{}", report.table());
    Ok(i32::from(report.unknown_survivors() > 0))
}

/// How much a mutant's host may work in silence, and which of several it is.
struct Limits {
    silent_work: Duration,
    worker: usize,
}

/// Resumes the saved host with these changes.
fn resume(
    campaign: &Campaign,
    patches: Vec<Patch>,
    limits: Option<Limits>,
    logged: bool,
) -> Result<Result<Outcome, Died>> {
    let mut run = (campaign.run)();
    run.code_log = run.code_log.filter(|_| logged);
    (run.saving, run.patches) = (Saving { required: true, ..run.saving }, patches);
    if let Some(Limits { silent_work, worker }) = limits {
        run.silent_work = Some(silent_work);
        run.log.set_file_name(format!("mutant-{worker}.log"));
    }
    match run.run() {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(error) => Ok(Err(error.downcast::<Died>()?)),
    }
}

impl Campaign<'_> {
    /// Tries all mutants, several at once if that is wanted. Those that were not tried because it was interrupted are
    /// missing.
    fn all(
        &self,
        mutants: &[Mutant],
        attempt: impl Fn(&Mutant, usize) -> Result<Fate> + Sync,
    ) -> Result<Vec<(Mutant, Fate)>> {
        let (next, tried) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = |worker: usize| -> Result<()> {
            while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                check_interrupted()?;
                let fate = attempt(mutant, worker)?;
                tried.lock().unwrap_or_else(PoisonError::into_inner).push((mutant.clone(), fate));
            }
            Ok(())
        };
        let ended: Vec<Result<()>> = std::thread::scope(|scope| {
            let work = &work;
            let workers: Vec<_> = (0..self.options.jobs).map(|worker| scope.spawn(move || work(worker))).collect();
            let ended = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended.map(|ended| ended.unwrap_or_else(|_| bail!("a thread that tries mutants failed"))).collect()
        });
        ended.into_iter().collect::<Result<()>>()?;
        Ok(tried.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One journal for each kernel, host and selection of checks.
fn journal_path(campaign: &Campaign) -> PathBuf {
    let Campaign { options, kernel, .. } = campaign;
    let name = format!("{} {} {}", kernel.name, options.machine.describe(), options.forwarded.join(" "));
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-+".contains(c) { c } else { '_' };
    artifacts::target().join("mutants").join(format!("{}.jsonl", name.trim().chars().map(plain).collect::<String>()))
}
