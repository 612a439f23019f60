//! The work, and whether all of it was noticed.

use std::fs;
use std::io;

use rustix::termios::tcdrain;

use crate::interrupts::{INTERRUPTS, Row, by_intid, rows, sum};
use crate::{alarm, kernel_log, pmu, work};

/// How often the counts are taken anew because one moved meanwhile.
const TRIES: u32 = 100;

/// Does the work, prints what the kernel counted and warned of, and finds the first thing that is not as it should be.
pub(crate) fn reach(rounds: u32) -> io::Result<()> {
    let before = rows()?;
    let cpus = sum(&before, Row::is_timer).len();
    println!("demo: {cpus} CPUs, {rounds} rounds\ndemo: interrupts before\n{}", fs::read_to_string(INTERRUPTS)?);
    work::timers(cpus, rounds)?;
    if cpus > 1 {
        work::wake_ups(cpus, rounds)?;
    }
    alarm::wakes()?;
    pmu::counts()?;
    let after = rows()?;
    println!("demo: interrupts behind\n{}", fs::read_to_string(INTERRUPTS)?);
    tell_counts()?;

    let warnings = kernel_log::warnings()?;
    for warning in &warnings {
        let about = if warning.ours { "about interrupts or timers" } else { "of something else" };
        println!("demo: the kernel warned {about}: {}", warning.text);
    }
    let ours = warnings.iter().filter(|warning| warning.ours).count();
    println!("demo: {ours} warnings about interrupts or timers");

    went_up("timer interrupts", &sum(&before, Row::is_timer), &sum(&after, Row::is_timer), rounds)?;
    if cpus > 1 {
        // There and back, and each CPU has two neighbours. One that was awake anyway needs no interrupt.
        went_up("interrupts from other CPUs", &sum(&before, Row::is_ipi), &sum(&after, Row::is_ipi), rounds)?;
    }
    if ours > 0 {
        return Err(io::Error::other(format!("the kernel warned {ours} times about interrupts or timers")));
    }
    Ok(())
}

fn went_up(what: &str, before: &[u64], after: &[u64], due: u32) -> io::Result<()> {
    if after.is_empty() {
        return Err(io::Error::other(format!("{INTERRUPTS} has no {what}")));
    }
    for (cpu, after) in after.iter().enumerate() {
        let more = after - before.get(cpu).copied().unwrap_or(0);
        println!("demo: CPU {cpu}: {more} {what}");
        if more < due.into() {
            return Err(io::Error::other(format!("CPU {cpu} took {more} {what}, at least {due} were due")));
        }
    }
    Ok(())
}

/// Prints the counts as they were at one moment that can be seen from outside: when a mark went out over the console,
/// which needs no interrupt. Whoever has a trace of the console can compare them.
fn tell_counts() -> io::Result<()> {
    for mark in 0..TRIES {
        let before = by_intid(&rows()?);
        println!("demo: mark {mark}");
        tcdrain(io::stdout())?;
        if by_intid(&rows()?) == before {
            for (intid, counts) in before.iter().filter(|(_, counts)| counts.iter().any(|count| *count > 0)) {
                let counts: Vec<_> = counts.iter().map(u64::to_string).collect();
                println!("demo: at mark {mark}: INTID {intid} {}", counts.join(" "));
            }
            return Ok(());
        }
    }
    Err(io::Error::other(format!("in {TRIES} tries there was no moment without an interrupt")))
}
