//! What several checks have in common.

use vtick_abi::litmus::sysreg;

use crate::{
    ActionRef, Expectation, GuestRecord, Program, Step, Transcript, Unheld, Value, disturbed, not_exercised, violated,
};
use vtick_core::lines::Levels;

/// One of the two timers that a guest at EL1 has.
#[derive(Clone, Copy)]
pub(super) struct Timer {
    pub(super) ctl: u16,
    pub(super) cval: u16,
    pub(super) tval: u16,
    pub(super) level: Levels,
    /// The timer's counter when the operation starts, plus so many ticks.
    pub(super) now: fn(u64) -> Value,
}

pub(super) const VTIMER: Timer = Timer {
    ctl: sysreg::CNTV_CTL,
    cval: sysreg::CNTV_CVAL,
    tval: sysreg::CNTV_TVAL,
    level: Levels::VTIMER,
    now: Value::Now,
};

pub(super) const PTIMER: Timer = Timer {
    ctl: sysreg::CNTP_CTL,
    cval: sysreg::CNTP_CVAL,
    tval: sysreg::CNTP_TVAL,
    level: Levels::PTIMER,
    now: Value::NowPhysical,
};

/// Both timers' levels.
pub(super) const BOTH: Levels = Levels(Levels::VTIMER.0 | Levels::PTIMER.0);

impl Timer {
    /// Enables the timer with a deadline so many ticks from now.
    pub(super) fn arm(self, p: &mut Program, ticks: u64) -> Step {
        let step = p.write(self.cval, (self.now)(ticks));
        p.write(self.ctl, 1);
        step
    }

    /// Turns the timer off.
    pub(super) fn off(self, p: &mut Program) -> Step {
        p.write(self.ctl, 0)
    }

    /// The deadline that a step set, on the host's counter.
    pub(super) fn deadline(self, t: &Transcript, set: Step) -> Result<u64, Unheld> {
        // The guest's physical counter is the host's.
        if self.level == Levels::VTIMER { t.deadline(set) } else { Ok(t.at(set)?.value) }
    }

    /// Spins for so long, and past a deadline with that; then notes what the timer itself says of its output. The step is
    /// the spinning.
    pub(super) fn spin_past(self, p: &mut Program, ticks: u64) -> Step {
        let spun = p.spin(ticks);
        p.read(self.ctl);
        spun
    }

    /// Arms the timer, spins past its deadline, and makes an exit by which its level is known.
    pub(super) fn expire(self, p: &mut Program) -> Step {
        let delay = short(p);
        self.arm(p, delay);
        self.spin_past(p, 2 * delay);
        p.mmio_read()
    }
}

/// A deadline far behind what arming costs.
pub(super) fn short(p: &Program) -> u64 {
    p.us(300)
}

/// Longer than KVM polls before it lets a halted vCPU sleep (halt_poll_ns, 500 us).
pub(super) fn sleep(p: &Program) -> u64 {
    p.us(3000)
}

/// What the action returned, which made the call `what` and must not have failed. Kernels before 6.4 have neither ONE_REG for
/// the physical timer and its counter nor a counter offset.
pub(super) fn value_of(t: &Transcript, action: ActionRef, what: &str) -> Result<u64, Unheld> {
    match t.result(action)? {
        error if error == -i64::from(libc::ENOENT) => not_exercised("this kernel has no ONE_REG for this register"),
        error if (-4095..0).contains(&error) => violated(format!("{what} returned {error}")),
        value => Ok(value as u64),
    }
}

/// What [`levels_at`] sees, as something that the program expects.
pub(super) fn expect_levels(p: &mut Program, step: Step, due: Levels) {
    p.expect(Expectation::LevelsAt(step, due));
}

/// What [`low_before`] sees.
pub(super) fn expect_low_before(p: &mut Program, armed: Step, step: Step) {
    let deadline = p.deadline_of(armed).expect("the step has to do with a CVAL");
    p.expect(Expectation::InTime(step, deadline));
    expect_levels(p, step, Levels::NONE);
}

/// A return with these levels from the start of a step to the end of another.
pub(super) fn expect_return(p: &mut Program, due: Levels, from: Step, to: Step) {
    p.expect(Expectation::SomeReturn(due, from.start().to(to.end())));
}

/// What [`quiet_between`] sees.
pub(super) fn expect_quiet(p: &mut Program, from: Step, to: Step) {
    p.expect(Expectation::Returns(0, from.end().to(to.end())));
}

/// That a step gives this.
pub(super) fn expect_value(p: &mut Program, step: Step, due: u64) {
    p.expect(Expectation::Gives { step, due, mask: u64::MAX });
}

/// That a step gives this in these bits.
pub(super) fn expect_bits(p: &mut Program, step: Step, due: u64, mask: u64) {
    p.expect(Expectation::Gives { step, due, mask });
}

/// That the MMIO exit of `step` shows these levels.
pub(super) fn levels_at(t: &Transcript, step: Step, due: Levels, when: &str) -> Result<(), Unheld> {
    let exit = t.exit_of(step)?;
    if exit.levels != due {
        return violated(format!("{when} the exit showed levels {}, expected {due}", exit.levels));
    }
    Ok(())
}

/// That the MMIO exit of `step` came before the deadline that `armed` set, and shows none of the timer's level.
pub(super) fn low_before(t: &Transcript, timer: Timer, armed: Step, step: Step) -> Result<(), Unheld> {
    let deadline = timer.deadline(t, armed)?;
    let exit = t.exit_of(step)?;
    if exit.returned >= deadline {
        return disturbed(format!("the exit before the deadline came {} ticks after it", exit.returned - deadline));
    }
    levels_at(t, step, Levels::NONE, "before the deadline")
}

/// The record of a WFI that began before this deadline: one that began after it has nothing to sleep for.
pub(super) fn asleep_before(t: &Transcript, wfi: Step, deadline: u64) -> Result<&GuestRecord, Unheld> {
    let slept = t.at(wfi)?;
    if slept.before >= deadline {
        return disturbed(format!("the guest came to WFI {} ticks after the deadline", slept.before - deadline));
    }
    Ok(slept)
}

/// That KVM_RUN did not return on the vCPU of these steps between the end of one and the end of the other.
pub(super) fn quiet_between(t: &Transcript, from: Step, to: Step) -> Result<(), Unheld> {
    let (from, to) = (t.at(from)?, t.at(to)?);
    match t.returns_between(from.vcpu, from.after, to.after).next() {
        None => Ok(()),
        Some(r) => violated(format!("KVM_RUN returned with {}, levels {}; expected no return", r.exit, r.levels)),
    }
}

/// The return of KVM_RUN with just these levels, on the vCPU of these steps, between the begin of one and the end of the
/// other. Without such a return the kernel has violated what `missed` says.
pub(super) fn returned_with(
    t: &Transcript,
    from: Step,
    to: Step,
    levels: Levels,
    missed: &str,
) -> Result<String, Unheld> {
    let (from, to) = (t.at(from)?, t.at(to)?);
    match t.returns_between(from.vcpu, from.before, to.after).find(|r| r.levels == levels) {
        Some(r) => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
        None => violated(missed),
    }
}

/// That a record's value is the one due.
pub(super) fn value_at(t: &Transcript, step: Step, due: u64, what: &str) -> Result<(), Unheld> {
    let value = t.at(step)?.value;
    if value != due {
        return violated(format!("{what} reads {value:#x}, expected {due:#x}"));
    }
    Ok(())
}

/// That so many interrupts were taken by the end of a [`Program::take`].
pub(super) fn taken_at(t: &Transcript, step: Step, due: u64) -> Result<(), Unheld> {
    match t.at(step)?.value {
        taken if taken == due => Ok(()),
        taken => violated(format!("{taken} interrupts were taken, expected {due}")),
    }
}
