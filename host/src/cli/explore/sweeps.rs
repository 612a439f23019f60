//! `--sweep`: one program, its event moved tick by tick.

use super::Done;
use super::session::Session;
use vtick_contract::Program;
use vtick_core::figures::thousands;
use vtick_explore::sweep::{Covered, SWEEPS, Sweep, moment};
use vtick_shell::say::println;

/// The ticks to which an event is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    first: u64,
    end: u64,
    step: u64,
}

/// After so many ticks it is told how far the sweep has come.
const TELL_EVERY: u64 = 4000;

/// FIRST..END/STEP.
pub(super) fn range(text: &str) -> Result<Ticks, String> {
    let (span, step) = text.split_once('/').unwrap_or((text, "1"));
    let parsed = span.split_once("..").and_then(|(first, end)| {
        Some(Ticks { first: first.parse().ok()?, end: end.parse().ok()?, step: step.parse().ok()? })
    });
    parsed
        .filter(|ticks| ticks.first < ticks.end && ticks.step > 0)
        .ok_or_else(|| "FIRST..END/STEP is needed, for example 0..40000/4".to_owned())
}

/// What is to be swept.
pub(super) enum Chosen {
    BuiltIn(Vec<&'static Sweep>),
    /// A file: its name, and its text.
    File(String, String),
}

/// The sweeps with `name` in their names, or the program in that file.
pub(super) fn chosen(name: &str) -> anyhow::Result<Chosen> {
    let chosen: Vec<&'static Sweep> = SWEEPS.iter().filter(|sweep| sweep.name.contains(name)).collect();
    if !chosen.is_empty() {
        return Ok(Chosen::BuiltIn(chosen));
    }
    match vtick_shell::read_text("as a file,", std::path::Path::new(name)) {
        Ok(text) => Ok(Chosen::File(name.to_owned(), text)),
        Err(e) => {
            anyhow::bail!("--sweep {name}: no sweep has that in its name (--list shows them); {e}")
        }
    }
}

/// Runs the sweeps, one after the other.
pub(super) fn run(session: &mut Session, chosen: &Chosen, ticks: Option<Ticks>) -> anyhow::Result<Done> {
    let cntfrq = session.host.cntfrq;
    // A path of many thousand instructions, or of many hundred ticks.
    let step = if session.host.deterministic { 4 } else { 1 };
    let among = |(first, end)| ticks.unwrap_or(Ticks { first, end, step });
    match chosen {
        Chosen::BuiltIn(sweeps) => {
            for built_in in sweeps {
                sweep(session, built_in.name, &built_in.program(cntfrq), among(built_in.ticks(cntfrq)))?;
            }
        }
        Chosen::File(name, text) => {
            let litmus = vtick_contract::parse(text, cntfrq, 1).map_err(|e| anyhow::anyhow!("--sweep {name}: {e}"))?;
            sweep(session, name, &litmus.program, among((0, cntfrq * 40 / 1_000_000)))?;
        }
    }
    Ok(Done::Ran(session.findings.is_empty()))
}

fn sweep(session: &mut Session, name: &str, program: &Program, ticks: Ticks) -> anyhow::Result<()> {
    let Some(moving) = program.event() else {
        anyhow::bail!("--sweep {name}: nothing in it can be moved: no deadline relative to now, no other thread");
    };
    let (before, cost) = (session.counts, session.cost());
    let (mut covered, mut objected) = (Covered::default(), 0);
    for after in (ticks.first..ticks.end).step_by(usize::try_from(ticks.step).unwrap_or(usize::MAX)) {
        if (after - ticks.first).is_multiple_of(TELL_EVERY) {
            session.tell(after, ticks.end);
        }
        let mut moved = program.with_event_after(after).expect("it has an event");
        moved.setup.limit = session.scale.limit;
        let (transcript, has_objections) = session.explore_as_is(&moved)?;
        objected += u64::from(has_objections);
        moment(&moved, &transcript, moving).into_iter().for_each(|moment| covered.add(moment));
    }
    session.look_at_log();
    let (moments, inside, outside) = covered.count();
    let programs = session.counts.programs - before.programs;
    println!(
        "{name:<16} {} distinct moments, {} within KVM_RUN and {} in userspace; {} programs, {objected} objected to, {} \
         instructions each",
        thousands(moments as u64),
        thousands(inside as u64),
        thousands(outside as u64),
        thousands(programs),
        thousands((session.cost() - cost) / programs.max(1))
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_a_first_an_end_and_a_step() {
        assert_eq!(range("5..9/2"), Ok(Ticks { first: 5, end: 9, step: 2 }));
        assert_eq!(range("0..9"), Ok(Ticks { first: 0, end: 9, step: 1 }));
        for wrong in ["", "9", "9..5", "0..9/0", "a..b"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
