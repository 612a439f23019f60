//! C3: the field is true on every return, whatever the exit reason.

use vtick_abi::litmus::sysreg;

use crate::contract::{Action, Check, Clause, Judge, Judged, Program, Step, Transcript, Value, judge, violated};
use crate::exit::Exit;
use crate::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "mmio-read-exit-carries-the-level",
        clause: Clause::C3,
        claim: "An MMIO read exit shows the vtimer high after its deadline and low before.",
        catches: "Levels refreshed on EINTR exits alone; a level lost on the MMIO path.",
        program: |p| mmio_exit_carries_the_level(p, Program::mmio_read),
    },
    Check {
        name: "mmio-write-exit-carries-the-level",
        clause: Clause::C3,
        claim: "An MMIO write exit shows the vtimer high after its deadline and low before.",
        catches: "Levels refreshed on EINTR exits alone; a level lost on the MMIO path.",
        program: |p| mmio_exit_carries_the_level(p, Program::mmio_write),
    },
    Check {
        name: "signal-exit-carries-the-level",
        clause: Clause::C3,
        claim: "A return forced by a signal shows the level that is asserted and was reported before.",
        catches: "A level dropped, or not refreshed, when KVM_RUN ends for a signal.",
        program: signal_exit_carries_the_level,
    },
    Check {
        name: "vtimer-level-says-nothing-of-the-ptimer",
        clause: Clause::C3,
        claim: "With the vtimer expired and the ptimer armed for later, the vtimer's bit alone is set.",
        catches: "Bits swapped or both set for one timer.",
        program: vtimer_level_says_nothing_of_the_ptimer,
    },
];

fn level_at(t: &Transcript, step: Step, expected: Levels, when: &str) -> Result<(), crate::contract::Unheld> {
    let exit = t.exit_of(step)?;
    if exit.levels != expected {
        return violated(format!("{when} the exit showed levels {}, due were {expected}", exit.levels));
    }
    Ok(())
}

fn mmio_exit_carries_the_level(p: &mut Program, exit: fn(&mut Program) -> Step) -> Judge {
    let delay = p.us(300);
    p.arm_vtimer(delay);
    let before = exit(p);
    p.spin_until(Value::Now(2 * delay));
    let after = exit(p);
    judge(move |t| {
        level_at(t, before, Levels::NONE, "before the deadline")?;
        level_at(t, after, Levels::VTIMER, "after the deadline")?;
        Ok("low before the deadline, high after".to_owned())
    })
}

fn signal_exit_carries_the_level(p: &mut Program) -> Judge {
    let (delay, later) = (p.us(300), p.us(2000));
    p.arm_vtimer(delay);
    p.spin_until(Value::Now(2 * delay));
    let (asked, _) = p.ask(Action::SignalAfter { ticks: delay, vcpu: 0 });
    let waited = p.spin_until(Value::Now(later));
    judge(move |t| -> Judged {
        let (asked, waited) = (t.at(asked)?, t.at(waited)?);
        let Some(signal) = t.returns_between(0, asked.after, waited.after).find(|r| r.exit == Exit::Interrupted) else {
            return violated("the signal never ended KVM_RUN");
        };
        if signal.levels != Levels::VTIMER {
            return violated(format!("the signal's exit showed levels {}, due were vtimer", signal.levels));
        }
        Ok("the signal's exit shows the vtimer high".to_owned())
    })
}

fn vtimer_level_says_nothing_of_the_ptimer(p: &mut Program) -> Judge {
    let delay = p.us(300);
    p.arm_ptimer(p.us(1_000_000));
    p.arm_vtimer(delay);
    p.spin_until(Value::Now(2 * delay));
    let after = p.mmio_read();
    p.write(sysreg::CNTP_CTL, 0);
    judge(move |t| {
        level_at(t, after, Levels::VTIMER, "with the vtimer alone expired")?;
        Ok("the vtimer's bit alone is set".to_owned())
    })
}
