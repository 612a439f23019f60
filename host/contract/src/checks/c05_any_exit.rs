//! C5: a change coalesces with an exit that happens anyway.

use vtick_abi::mailbox::SCRATCH_VALUE;

use super::common::{PTIMER, Timer, VTIMER, expect_levels, levels_at, short};
use crate::{Check, Clause, Expectation, FailsOn, Fault, Judge, Program, Step, judge, violated};
use vtick_core::exit::Exit;
use vtick_core::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "falling-level-rides-on-the-next-mmio-exit",
        clause: Clause::C5,
        claim: "After an asserted vtimer is set to the far future, the next MMIO exit shows its level low, and no exit \
                of its own is spent on the change.",
        catches: "A stale level on the MMIO exit that follows rearming; an extra exit for every falling level.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh]),
        program: |p| falling_level_rides(p, VTIMER, Program::mmio_read),
    },
    Check {
        name: "falling-level-rides-on-the-next-mmio-write",
        clause: Clause::C5,
        claim: "After an asserted vtimer is set to the far future, the next MMIO write shows its level low, and no exit \
                of its own is spent on the change.",
        catches: "A stale level on the MMIO exit that follows rearming; an extra exit for every falling level.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh]),
        program: |p| falling_level_rides(p, VTIMER, Program::mmio_write),
    },
    Check {
        name: "ptimer-falling-level-rides-on-the-next-mmio-exit",
        clause: Clause::C5,
        claim: "After an asserted ptimer is set to the far future, the next MMIO exit shows its level low, and its \
                output is not seen high again.",
        catches: "A stale level of an emulated timer.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet, Fault::LevelStuckHigh]),
        program: ptimer_falls,
    },
    Check {
        name: "mmio-reads-around-a-deadline-keep-their-answers",
        clause: Clause::C5,
        claim: "While the vtimer expires between a hundred MMIO reads, every read gets its answer, and the level rises \
                once and stays.",
        catches: "An MMIO answer lost, or an access done twice, when a notice comes in between.",
        fails_on: FailsOn::Faults(&[Fault::LevelIsAPulse, Fault::ReturnsWithoutReason]),
        program: reads_around_a_deadline,
    },
];

fn falling_level_rides(p: &mut Program, timer: Timer, exit: fn(&mut Program) -> Step) -> Judge {
    let high = timer.expire(p);
    let rearmed = p.write(timer.cval, (timer.now)(p.us(10_000_000)));
    let low = exit(p);
    let ran_on = p.note(0);
    timer.off(p);
    expect_levels(p, high, timer.level);
    expect_levels(p, low, Levels::NONE);
    p.expect(Expectation::Returns(1, rearmed.start().to(ran_on.end())));
    judge(move |t| {
        levels_at(t, high, timer.level, "before rearming")?;
        levels_at(t, low, Levels::NONE, "after rearming")?;
        let own = t
            .returns_between(0, t.at(rearmed)?.before, t.at(ran_on)?.after)
            .filter(|r| r.exit == Exit::Interrupted)
            .count();
        if own > 0 {
            return violated(format!("{own} exits of its own for a change that an MMIO exit carried"));
        }
        Ok("the MMIO exit carried the change".to_owned())
    })
}

fn ptimer_falls(p: &mut Program) -> Judge {
    let high = PTIMER.expire(p);
    let rearmed = p.write(PTIMER.cval, (PTIMER.now)(p.us(10_000_000)));
    let low = p.mmio_read();
    let still = p.mmio_write();
    PTIMER.off(p);
    expect_levels(p, high, Levels::PTIMER);
    expect_levels(p, low, Levels::NONE);
    p.expect(Expectation::EveryReturn(Levels::NONE, Some(rearmed.end().to(still.end()))));
    judge(move |t| {
        levels_at(t, high, Levels::PTIMER, "before rearming")?;
        levels_at(t, low, Levels::NONE, "after rearming")?;
        // Where the kernel emulates the ptimer, the write to it is a VM exit that may carry the change by itself.
        match t.returns_between(0, t.at(rearmed)?.after, t.exit_of(still)?.returned).find(|r| r.levels != Levels::NONE)
        {
            None => Ok("low, and low it stayed".to_owned()),
            Some(r) => violated(format!("a return after rearming showed levels {}, expected none", r.levels)),
        }
    })
}

fn reads_around_a_deadline(p: &mut Program) -> Judge {
    let armed = VTIMER.arm(p, short(p));
    let count = p.note(100);
    p.into_register(count, 0);
    let read = p.mmio_read();
    p.loop_to(0, read);
    judge(move |t| {
        let reads: Vec<_> = t.all(read).collect();
        if let Some(wrong) = reads.iter().find(|r| r.value != SCRATCH_VALUE) {
            return violated(format!("a read got {:#x}, the answer was {SCRATCH_VALUE:#x}", wrong.value));
        }
        let last = reads.last().map_or(0, |r| r.after);
        let returns: Vec<_> = t.returns_between(0, t.at(armed)?.after, last).collect();
        let exits = returns.iter().filter(|r| r.exit.address().is_some()).count();
        let first = returns.iter().position(|r| r.levels == Levels::VTIMER);
        let notices = returns.iter().filter(|r| r.exit == Exit::Interrupted).count();
        let steady = first.is_some_and(|first| returns[first..].iter().all(|r| r.levels == Levels::VTIMER));
        match (reads.len(), exits, notices, steady) {
            (100, 100, 0 | 1, true) => Ok(format!("100 answers, {notices} exits of its own for the change")),
            _ => violated(format!(
                "{} reads made {exits} MMIO exits and {notices} others, the level {}; expected 100, 100, at most 1, and \
                 a level that rises and stays",
                reads.len(),
                if steady { "rose and stayed" } else { "did not stay, or never rose" }
            )),
        }
    })
}
