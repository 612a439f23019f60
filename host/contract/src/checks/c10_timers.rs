//! C10: output = ENABLE && !IMASK && counter >= CVAL.

use vtick_abi::litmus::sysreg;

use super::common::{
    PTIMER, Timer, VTIMER, expect_levels, expect_low_before, expect_return, expect_value, levels_at, low_before,
    quiet_between, short, value_at,
};
use crate::{Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, Unheld, judge, violated};
use vtick_core::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "deadline-in-the-past-asserts-at-once",
        clause: Clause::C10,
        claim: "A vtimer enabled with CVAL in the past asserts its output at once.",
        catches: "A timer that is armed by its distance to the deadline, and sleeps through a negative one.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet]),
        program: |p| deadline_in_the_past(p, VTIMER),
    },
    Check {
        name: "ptimer-deadline-in-the-past-asserts-at-once",
        clause: Clause::C10,
        claim: "A ptimer enabled with CVAL in the past asserts its output at once.",
        catches: "An emulated timer that is not looked at when it is armed (commit c9722e42c427).",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet]),
        program: |p| deadline_in_the_past(p, PTIMER),
    },
    Check {
        name: "deadline-far-away-never-asserts",
        clause: Clause::C10,
        claim: "A vtimer enabled with CVAL at 2^63 - 1 asserts nothing.",
        catches: "A signed comparison, or an overflow in converting the deadline.",
        fails_on: FailsOn::Faults(&[Fault::LevelHighFromTheStart]),
        program: |p| deadline_far_away(p, VTIMER, u64::MAX >> 1),
    },
    Check {
        name: "ptimer-deadline-far-away-never-asserts",
        clause: Clause::C10,
        claim: "A ptimer enabled with CVAL at 2^63 - 1 asserts nothing.",
        catches: "A signed comparison, or an overflow in converting the deadline.",
        fails_on: FailsOn::Faults(&[Fault::LevelHighFromTheStart]),
        program: |p| deadline_far_away(p, PTIMER, u64::MAX >> 1),
    },
    Check {
        name: "deadline-at-the-maximum-never-asserts",
        clause: Clause::C10,
        claim: "A vtimer enabled with CVAL at 2^64 - 1 asserts nothing.",
        catches: "A deadline at the maximum taken for one in the past.",
        fails_on: FailsOn::Faults(&[Fault::LevelHighFromTheStart]),
        program: deadline_at_the_maximum,
    },
    Check {
        name: "clearing-imask-while-expired-asserts",
        clause: Clause::C10,
        claim: "An expired vtimer asserts its output when IMASK is cleared, and deasserts it when IMASK is set.",
        catches: "An output that depends on the deadline passing, not on the state.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh, Fault::ImaskIgnored]),
        program: |p| clearing_imask(p, VTIMER),
    },
    Check {
        name: "ptimer-clearing-imask-while-expired-asserts",
        clause: Clause::C10,
        claim: "An expired ptimer asserts its output when IMASK is cleared, and deasserts it when IMASK is set.",
        catches: "An output that depends on the deadline passing, not on the state.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet]),
        program: |p| clearing_imask(p, PTIMER),
    },
    Check {
        name: "tval-sets-a-deadline-from-now",
        clause: Clause::C10,
        claim: "Writing TVAL sets CVAL to the counter plus TVAL, and the vtimer's output is asserted then and not \
                before.",
        catches: "TVAL taken for a deadline, or converted with the wrong counter.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet]),
        program: |p| tval_from_now(p, VTIMER),
    },
    Check {
        name: "ptimer-tval-sets-a-deadline-from-now",
        clause: Clause::C10,
        claim: "Writing TVAL of the ptimer sets CVAL to the counter plus TVAL, and its output is asserted then and \
                not before.",
        catches: "TVAL taken for a deadline, or converted with the wrong counter.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet]),
        program: |p| tval_from_now(p, PTIMER),
    },
    Check {
        name: "negative-tval-asserts-at-once",
        clause: Clause::C10,
        claim: "Writing -1 to the 32 bits of TVAL sets a deadline in the past: the vtimer asserts at once.",
        catches: "TVAL not sign-extended: the deadline lies 2^32 ticks ahead.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet]),
        program: negative_tval,
    },
    Check {
        name: "later-deadline-deasserts-until-it-passes",
        clause: Clause::C10,
        claim: "Setting an asserted vtimer's CVAL ahead deasserts it, and it asserts again at the new deadline.",
        catches: "A timer that has to be disabled in between: the kernel masks it and never looks again.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh]),
        program: |p| later_deadline(p, VTIMER),
    },
    Check {
        name: "ptimer-later-deadline-deasserts-until-it-passes",
        clause: Clause::C10,
        claim: "Setting an asserted ptimer's CVAL ahead deasserts it, and it asserts again at the new deadline.",
        catches: "A timer that has to be disabled in between.",
        fails_on: FailsOn::Faults(&[Fault::PtimerNeverSet]),
        program: |p| later_deadline(p, PTIMER),
    },
    Check {
        name: "all-vcpus-read-one-counter",
        clause: Clause::C10,
        claim: "Two vCPUs that read the counter in turn read values that never go back.",
        catches: "A counter offset per vCPU.",
        fails_on: FailsOn::OnlyKernels(
            "An offset of one vCPU's own cannot be had from outside: kernels set it for the whole VM.",
        ),
        program: one_counter,
    },
    Check {
        name: "counter-offset-moves-both-counters",
        clause: Clause::C10,
        claim: "After KVM_ARM_SET_COUNTER_OFFSET both counters read the host's less the offset, and the vtimer still \
                asserts at its deadline.",
        catches: "An offset applied to one counter, or to the counter and not to the comparison.",
        fails_on: FailsOn::Faults(&[Fault::LevelNeverSet, Fault::CounterOffsetIgnored]),
        program: counter_offset,
    },
];

fn deadline_in_the_past(p: &mut Program, timer: Timer) -> Judge {
    let past = p.us(1000);
    // The counter starts at zero with the VM: before this, the past would lie beyond the wrap.
    p.spin_until(2 * past);
    p.write(timer.cval, (timer.now)(past.wrapping_neg()));
    p.write(timer.ctl, 1);
    let exit = p.mmio_read();
    let ctl = p.read(timer.ctl);
    expect_value(p, ctl, 5);
    expect_levels(p, exit, timer.level);
    judge(move |t| {
        value_at(t, ctl, 5, "CTL (expected ENABLE, ISTATUS)")?;
        levels_at(t, exit, timer.level, "with a deadline in the past")?;
        Ok("asserted by the next exit".to_owned())
    })
}

fn deadline_far_away(p: &mut Program, timer: Timer, cval: u64) -> Judge {
    p.write(timer.cval, cval);
    p.write(timer.ctl, 1);
    p.spin(p.us(1000));
    let exit = p.mmio_read();
    let ctl = p.read(timer.ctl);
    expect_value(p, ctl, 1);
    expect_levels(p, exit, Levels::NONE);
    judge(move |t| {
        value_at(t, ctl, 1, "CTL (expected ENABLE, no ISTATUS)")?;
        levels_at(t, exit, Levels::NONE, "with the deadline far away")?;
        Ok("nothing asserted".to_owned())
    })
}

fn deadline_at_the_maximum(p: &mut Program) -> Judge {
    // With no offset the comparison cannot overflow. QEMU 7.2 adds CNTVOFF without looking at the carry, and then fires
    // for ever: with KVM's usual offset this would judge the emulator, and never end.
    p.require(Action::CounterOffset(0));
    deadline_far_away(p, VTIMER, u64::MAX)
}

fn clearing_imask(p: &mut Program, timer: Timer) -> Judge {
    p.write(timer.cval, 0);
    let exits = [(3, Levels::NONE, "with IMASK set"), (1, timer.level, "with IMASK cleared")];
    let exits = [exits[0], exits[1], (3, Levels::NONE, "with IMASK set again")];
    let exits = exits.map(|(ctl, due, when)| {
        p.write(timer.ctl, ctl);
        (p.mmio_read(), due, when)
    });
    for (exit, due, _) in exits {
        expect_levels(p, exit, due);
    }
    judge(move |t| {
        exits.iter().try_for_each(|&(exit, due, when)| levels_at(t, exit, due, when))?;
        Ok("the output follows IMASK".to_owned())
    })
}

fn tval_from_now(p: &mut Program, timer: Timer) -> Judge {
    let delay = short(p);
    let before = p.note((timer.now)(0));
    p.write(timer.tval, delay);
    let after = p.note((timer.now)(0));
    let cval_read = p.read(timer.cval);
    p.write(timer.ctl, 1);
    let early = p.mmio_read();
    timer.spin_past(p, 2 * delay);
    let late = p.mmio_read();
    p.expect(Expectation::GivesBetween { step: cval_read, least: (before, delay), most: (after, delay) });
    expect_low_before(p, cval_read, early);
    expect_levels(p, late, timer.level);
    judge(move |t| {
        let (before, after, cval) = (t.at(before)?.value, t.at(after)?.value, t.at(cval_read)?.value);
        if !(before + delay..=after + delay).contains(&cval) {
            return violated(format!("CVAL reads {cval}, expected {} to {}", before + delay, after + delay));
        }
        // The deadline is what CVAL reads, on that timer's counter.
        low_before(t, timer, cval_read, early)?;
        levels_at(t, late, timer.level, "after the deadline")?;
        Ok(format!("CVAL is {} ticks after the write", cval - before))
    })
}

fn negative_tval(p: &mut Program) -> Judge {
    p.spin_until(p.us(100));
    p.write(sysreg::CNTV_TVAL, u64::from(u32::MAX));
    p.write(sysreg::CNTV_CTL, 1);
    let exit = p.mmio_read();
    expect_levels(p, exit, Levels::VTIMER);
    judge(move |t| {
        levels_at(t, exit, Levels::VTIMER, "with TVAL = -1")?;
        Ok("asserted by the next exit".to_owned())
    })
}

fn later_deadline(p: &mut Program, timer: Timer) -> Judge {
    let delay = short(p);
    let high = timer.expire(p);
    let ahead = p.write(timer.cval, (timer.now)(delay));
    let low = p.mmio_read();
    let from = p.note(0);
    let to = p.spin(delay / 4);
    let spun = timer.spin_past(p, 2 * delay);
    expect_levels(p, high, timer.level);
    expect_low_before(p, ahead, low);
    expect_return(p, timer.level, from, spun);
    judge(move |t| {
        levels_at(t, high, timer.level, "before the change")?;
        low_before(t, timer, ahead, low)?;
        if t.at(to)?.after < timer.deadline(t, ahead)? {
            quiet_between(t, from, to)?;
        }
        match t.returns_between(0, t.at(from)?.after, t.at(spun)?.after).find(|r| r.levels == timer.level) {
            Some(_) => Ok("low, then high at the new deadline".to_owned()),
            None => violated("the new deadline passed under a spinning guest, and no return showed the level"),
        }
    })
}

fn one_counter(p: &mut Program) -> Judge {
    const ROUNDS: usize = 3;
    let meet = |p: &mut Program| p.ask(Action::Meet);
    let mine: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let read = p.read(sysreg::CNTVCT);
            meet(p);
            meet(p);
            read
        })
        .collect();
    let theirs: Vec<_> = p.on_vcpu(1, |p| {
        let turn = |_| {
            meet(p);
            let read = p.read(sysreg::CNTVCT);
            meet(p);
            read
        };
        (0..ROUNDS).map(turn).collect()
    });
    let turns: Vec<_> = mine.iter().zip(&theirs).flat_map(|(a, b)| [*a, *b]).collect();
    for three in turns.windows(3) {
        p.expect(Expectation::GivesBetween { step: three[1], least: (three[0], 0), most: (three[2], 0) });
    }
    judge(move |t| {
        let steps: Vec<_> = mine.iter().zip(&theirs).flat_map(|(a, b)| [*a, *b]).collect();
        let values = steps.iter().map(|&step| Ok(t.at(step)?.value)).collect::<Result<Vec<u64>, Unheld>>()?;
        if !values.is_sorted() {
            return violated(format!("read in turn by two vCPUs, the counter was {values:?}"));
        }
        Ok("six readings in turn, each later than the one before".to_owned())
    })
}

fn counter_offset(p: &mut Program) -> Judge {
    let (delay, offset) = (short(p), p.us(1_000));
    let set = p.require(Action::CounterOffset(offset));
    let physical = p.read(sysreg::CNTPCT);
    let virtual_ = p.read(sysreg::CNTVCT);
    let later = p.read(sysreg::CNTPCT);
    let armed = VTIMER.arm(p, delay);
    VTIMER.spin_past(p, 2 * delay);
    let high = p.mmio_read();
    p.expect(Expectation::GivesBetween { step: virtual_, least: (physical, 0), most: (later, 0) });
    expect_levels(p, high, Levels::VTIMER);
    judge(move |t| {
        let (physical, virtual_, later) = (t.at(physical)?, t.at(virtual_)?, t.at(later)?);
        if !(physical.value..=later.value).contains(&virtual_.value) {
            return violated(format!(
                "CNTVCT read {} between CNTPCT {} and {}: the two are not one",
                virtual_.value, physical.value, later.value
            ));
        }
        let host = t.time_of(set)?;
        if virtual_.value.wrapping_add(offset) < host {
            return violated(format!("CNTVCT read {}, the host's counter was at {host} before", virtual_.value));
        }
        levels_at(t, high, Levels::VTIMER, "after the deadline")?;
        Ok(format!("both counters moved; deadline {} asserted", t.at(armed)?.value))
    })
}
