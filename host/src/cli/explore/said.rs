//! What an exploration says to a person.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::session::Session;
use vtick_core::figures::thousands;
use vtick_explore::ALPHABET;
use vtick_explore::sweep::SWEEPS;
use vtick_shell::say::println;

/// The operations and the sweeps.
pub(super) fn list() {
    println!("operations, in the order in which programs are counted:");
    ALPHABET.iter().enumerate().for_each(|(number, operation)| println!("  {number:>3}  {operation:?}"));
    println!("sweeps:");
    SWEEPS.iter().for_each(|sweep| println!("  {:<16} {}", sweep.name, sweep.what));
}

/// Operations that this host cannot be asked for.
pub(super) fn left_out(left_out: &[super::LeftOut]) {
    left_out.iter().for_each(|(reason, operations)| println!("left out {operations} operations: {reason}"));
}

/// What came of it.
pub(super) fn summary(session: &Session, elapsed: Duration, position: u64, end: u64) {
    let counts = &session.counts;
    let programs = counts.programs.max(1);
    println!();
    let end_text = if end == u64::MAX { String::new() } else { format!(" of {}", thousands(end)) };
    println!(
        "{} programs, up to position {}{end_text}: {} objected to, {} findings",
        thousands(counts.programs),
        thousands(position.min(end)),
        thousands(counts.objected),
        session.findings.len()
    );
    if session.host.deterministic {
        println!("{} instructions a program, judging included", thousands(session.cost() / programs));
    } else {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        println!(
            "{:.0} programs a second, {} ns of CPU time each",
            programs as f64 / seconds,
            thousands(session.cost() / programs)
        );
    }
    if counts.repeated > 0 {
        println!(
            "{} programs were repeated in fresh VMs: {} did something else there",
            thousands(counts.repeated),
            thousands(counts.differed)
        );
    }
    if counts.unavailable + counts.spent > 0 {
        println!("{} programs could not be run here; {} VMs could not be reused", counts.unavailable, counts.spent);
    }
}

/// Whether somebody has asked this run to end (SIGINT, SIGTERM). The first call begins to listen.
pub(super) fn interrupted() -> bool {
    static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // Where it cannot be heard, it ends the run at once: what was found was told when it was found.
            let _ = signal_hook::flag::register(signal, Arc::clone(&asked));
        }
        asked
    });
    asked.load(Ordering::Relaxed)
}
