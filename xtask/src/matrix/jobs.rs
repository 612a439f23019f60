//! Runs cells, several at once, each in processes of its own.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Signal, kill_process};

use super::cell::What;
use super::entry::Entry;
use super::planned::Planned;
use super::store::Store;
use crate::artifacts::Programs;
use crate::cli::Options;
use crate::process::{ATTENTION, check_interrupted, spawn};
use crate::vtick::CANNOT_RUN;

/// How much longer than one emulated host may take, a cell may: its checks may need several hosts.
const HOSTS: u32 = 4;
/// How many of the last lines of a run that left no record say why.
const LAST_WORDS: usize = 3;

/// Runs what is not known yet; all results, in no order.
pub(super) fn run(
    planned: &[Planned],
    store: &Store,
    programs: &Programs,
    options: &Options,
    jobs: usize,
) -> Result<Vec<Entry>> {
    let mut done: Vec<Entry> = planned.iter().filter_map(|cell| cell.kept.clone()).collect();
    let due: Vec<&Planned> = planned.iter().filter(|cell| cell.kept.is_none()).collect();
    let (next, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(due.len()) {
            scope.spawn(|| {
                while let Some(planned) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let result = cell(planned, store, programs, options);
                    let stopped = result.is_err();
                    if let Ok(entry) = &result {
                        let ended = ended.fetch_add(1, Ordering::Relaxed) + 1;
                        let (name, seconds) = (planned.cell.file_name(), started.elapsed().as_secs());
                        eprintln!("{ended:>4} of {}  {name:<48} {} ({seconds} s)", due.len(), entry.outcome());
                    }
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(result);
                    if stopped {
                        return;
                    }
                }
            });
        }
    });
    for result in results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        done.push(result?);
    }
    Ok(done)
}

/// Runs one cell and keeps what came of it. A run that fails is a result; the error is that this program shall stop.
fn cell(planned: &Planned, store: &Store, programs: &Programs, options: &Options) -> Result<Entry> {
    let mut entry = Entry::new(&planned.cell, 0, None);
    let folder = store.folder().join(&planned.key);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (what, arguments) in &planned.steps {
        let record = folder.join(what.record());
        let said = folder.join(format!("{}.txt", what.record()));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(what.command()).args(arguments).args(planned.cell.options()).arg("--output").arg(&record);
        command.arg("--programs").arg(programs.vtick.parent().unwrap_or(std::path::Path::new(".")));
        command.args(["--timeout", &options.timeout.as_secs().to_string()]);
        command.args(["--silence", &options.silence.as_secs().to_string()]);
        let output = File::create(&said).with_context(|| format!("cannot write {}", said.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let status = wait(&mut command, options.timeout * HOSTS)?;
        if fs::metadata(&record).is_ok_and(|record| record.len() > 0) {
            entry.has_record(*what, format!("{}/{}", planned.key, what.record()));
        } else {
            let said = fs::read(&said).unwrap_or_default();
            entry.lacks_record(*what, &last_words(&String::from_utf8_lossy(&said)));
        }
        if *what == What::Checks {
            entry.ended(status);
        }
    }
    // A run that failed is worth another try in the next matrix.
    if entry.is_complete() {
        store.keep(&planned.key, &entry)?;
    }
    Ok(entry)
}

/// Waits for a command, kills it at the limit, and gives its status as a shell has it.
fn wait(command: &mut Command, limit: Duration) -> Result<i32> {
    use std::os::unix::process::ExitStatusExt;
    let mut running = spawn(command)?;
    let started = Instant::now();
    let mut asked = false;
    loop {
        if let Some(status) = running.0.try_wait()? {
            return Ok(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(CANNOT_RUN));
        }
        check_interrupted()?;
        if started.elapsed() > limit && !asked {
            // It ends its emulated host by itself; dropped, it would leave that to the kernel.
            asked = true;
            kill_process(rustix::process::Pid::from_child(&running.0), Signal::TERM)?;
        }
        if started.elapsed() > limit + Duration::from_secs(10) {
            return Ok(CANNOT_RUN);
        }
        std::thread::sleep(ATTENTION);
    }
}

/// The last lines that say something.
fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.iter().rposition(|line| line.starts_with("error: ")).unwrap_or(lines.len().saturating_sub(1));
    lines[from.min(lines.len())..].iter().take(LAST_WORDS).copied().collect::<Vec<_>>().join("; ")
}

/// CPU time of all child processes that have ended, in seconds.
pub(super) fn cpu_seconds_of_children() -> f64 {
    let usage = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // proc_pid_stat(5): behind the parenthesis of the name, cutime and cstime are the 14th and 15th, in clock ticks.
    let fields: Vec<&str> = usage.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields.iter().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_left_no_record_is_quoted_from_its_last_error_on() {
        let said = "held a\n\nerror: one\nerror: the host died\n  | its last line\nmore\nstill more\n";
        assert_eq!(last_words(said), "error: the host died; | its last line; more");
        assert_eq!(last_words("only this\n"), "only this");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn a_command_ends_with_its_own_status_or_at_the_limit() {
        let shell = |line: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            command
        };
        assert_eq!(wait(&mut shell("exit 7"), Duration::from_secs(60)).unwrap(), 7);
        assert_eq!(wait(&mut shell("exec sleep 60"), Duration::from_millis(100)).unwrap(), 128 + 15);
    }
}
