//! C14: the PMU's overflow output. Asserted while PMCR.E && (PMOVSSET & PMINTENSET & PMCNTENSET) (Arm ARM DDI 0487,
//! D13: generating overflow interrupt requests).

use vtick_abi::litmus::sysreg;

use super::common::{
    expect_bits, expect_levels, expect_quiet, expect_return, expect_value, levels_at, quiet_between, returned_with,
    taken_at,
};
use crate::{Check, Clause, Expectation, FailsOn, Fault, Judge, Program, Step, Value, judge, violated};
use vtick_core::lines::{Levels, Routing};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "pmu-overflow-shows-on-the-next-exit",
        clause: Clause::C14,
        claim: "An overflow flag of an enabled counter with its interrupt enabled sets only the PMU's bit.",
        catches: "An output that is not reported, or is reported as a timer's output.",
        fails_on: FailsOn::Faults(&[Fault::PmuNeverSet, Fault::BitsSwapped]),
        program: overflow_shows,
    },
    Check {
        name: "pmu-overflow-is-noticed-before-the-guest-runs-on",
        clause: Clause::C14,
        claim: "An overflow makes KVM_RUN return with the PMU's level before the guest has gone through an HVC.",
        catches: "A level that waits for an exit that happens anyway.",
        fails_on: FailsOn::Faults(&[Fault::PmuNeverSet]),
        program: overflow_is_noticed,
    },
    Check {
        name: "pmu-overflow-that-the-guest-sets-is-noticed-at-once",
        clause: Clause::C14,
        claim: "When the guest sets an overflow flag, which the kernel does for it, KVM_RUN returns with the PMU's level \
                before the guest has run on.",
        catches: "A level that is brought up to date only at the exit after the one that changed it.",
        fails_on: FailsOn::Faults(&[Fault::PmuNeverSet]),
        program: overflow_is_noticed_at_once,
    },
    Check {
        name: "pmu-overflow-clears",
        clause: Clause::C14,
        claim: "Clearing the overflow flag lowers the PMU's level by the next exit.",
        catches: "A level that outlives its flag.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh]),
        program: |p| output_falls(p, sysreg::PMOVSCLR, u32::MAX.into()),
    },
    Check {
        name: "pmu-level-follows-the-interrupt-enable",
        clause: Clause::C14,
        claim: "Disabling the counter's interrupt lowers the PMU's level, with the overflow flag still set.",
        catches: "A level that follows the flag and ignores the interrupt enable.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh]),
        program: |p| output_falls(p, sysreg::PMINTENCLR, u32::MAX.into()),
    },
    Check {
        name: "pmu-level-follows-pmcr",
        clause: Clause::C14,
        claim: "Clearing PMCR.E lowers the PMU's level, with the overflow flag still set.",
        catches: "A level that follows the flag and ignores the interrupt enable.",
        fails_on: FailsOn::Faults(&[Fault::LevelStuckHigh]),
        program: |p| output_falls(p, sysreg::PMCR, LONG_CYCLES),
    },
    Check {
        name: "pmu-flag-without-its-interrupt-asserts-nothing",
        clause: Clause::C14,
        claim: "An overflow flag whose interrupt is not enabled sets no level and ends no KVM_RUN.",
        catches: "PMINTENSET forgotten in the output.",
        fails_on: FailsOn::Faults(&[Fault::PmuFlagIsEnough]),
        program: flag_without_interrupt,
    },
    Check {
        name: "software-increment-overflows",
        clause: Clause::C14,
        claim: "PMSWINC on an event counter at its maximum asserts the PMU's output.",
        catches: "An emulated event that overflows without a trace.",
        fails_on: FailsOn::Faults(&[Fault::PmuNeverSet]),
        program: software_increment,
    },
    Check {
        name: "cycle-counter-overflow-ends-kvm-run",
        clause: Clause::C14,
        claim: "When the cycle counter overflows under a spinning guest, KVM_RUN returns with the PMU's level.",
        catches: "A host PMU interrupt that is not turned into a level.",
        fails_on: FailsOn::Faults(&[Fault::PmuNeverSet]),
        program: cycle_counter,
    },
    Check {
        name: "event-counter-overflow-ends-kvm-run",
        clause: Clause::C14,
        claim: "When an event counter that counts cycles overflows under a spinning guest, KVM_RUN returns with the PMU's \
                level, and the counter that is chained to it is one more.",
        catches: "A host PMU interrupt of a 32-bit counter that is not turned into a level, or not carried on.",
        fails_on: FailsOn::Faults(&[Fault::PmuNeverSet]),
        program: event_counter,
    },
    Check {
        name: "pmu-interrupt-is-taken",
        clause: Clause::C14,
        claim: "With the level wired to IRQ the guest takes one interrupt for one overflow, asleep in WFI or not.",
        catches: "A sleep that begins with the PMU's output asserted and never ends.",
        fails_on: FailsOn::Faults(&[Fault::PmuNeverSet, Fault::LineUpIgnored]),
        program: interrupt_is_taken,
    },
];

/// The cycle counter's bit in PMCNTENSET and its like.
const CYCLES: u64 = 1 << 31;
/// PMCR_EL0.E.
const ENABLE: u64 = 1 << 0;
/// PMCR_EL0.LC: the cycle counter overflows at 64 bits.
const LONG_CYCLES: u64 = 1 << 6;

/// Clears what reset leaves set, and enables counters and their interrupts. The PMU is on after this.
fn set_up(p: &mut Program, counters: u64, interrupts: u64) {
    p.with_pmu();
    for register in [sysreg::PMCNTENCLR, sysreg::PMINTENCLR, sysreg::PMOVSCLR] {
        p.write(register, u64::from(u32::MAX));
    }
    p.write(sysreg::PMCNTENSET, counters);
    p.write(sysreg::PMINTENSET, interrupts);
    p.write(sysreg::PMCR, ENABLE | LONG_CYCLES);
}

/// Sets the cycle counter's overflow flag, and makes an exit.
fn overflow(p: &mut Program) -> Step {
    p.write(sysreg::PMOVSSET, CYCLES);
    p.mmio_read()
}

fn overflow_shows(p: &mut Program) -> Judge {
    set_up(p, CYCLES, CYCLES);
    let low = p.mmio_read();
    let high = overflow(p);
    p.write(sysreg::PMOVSCLR, CYCLES);
    expect_levels(p, low, Levels::NONE);
    expect_levels(p, high, Levels::PMU);
    judge(move |t| {
        levels_at(t, low, Levels::NONE, "before the overflow")?;
        levels_at(t, high, Levels::PMU, "after the overflow")?;
        Ok("only the PMU's bit".to_owned())
    })
}

fn overflow_is_noticed_at_once(p: &mut Program) -> Judge {
    set_up(p, CYCLES, CYCLES);
    let set = p.write(sysreg::PMOVSSET, CYCLES);
    p.write(sysreg::PMOVSCLR, CYCLES);
    expect_return(p, Levels::PMU, set, set);
    judge(move |t| {
        let missed = "the guest set the overflow flag and ran on, and KVM_RUN had not returned with its level";
        returned_with(t, set, set, Levels::PMU, missed)
    })
}

fn overflow_is_noticed(p: &mut Program) -> Judge {
    set_up(p, CYCLES, CYCLES);
    let set = p.write(sysreg::PMOVSSET, CYCLES);
    p.hvc_psci_version();
    let ran_on = p.note(0);
    p.write(sysreg::PMOVSCLR, CYCLES);
    p.expect(Expectation::SomeReturn(Levels::PMU, set.start().to(ran_on.start())));
    judge(move |t| {
        match t.returns_between(0, t.at(set)?.before, t.at(ran_on)?.before).find(|r| r.levels == Levels::PMU) {
            Some(r) => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            None => violated("the guest ran on, and no return had shown the PMU's level"),
        }
    })
}

fn output_falls(p: &mut Program, register: u16, value: u64) -> Judge {
    set_up(p, CYCLES, CYCLES);
    let high = overflow(p);
    p.write(register, value);
    let low = p.mmio_read();
    expect_levels(p, high, Levels::PMU);
    expect_levels(p, low, Levels::NONE);
    judge(move |t| {
        levels_at(t, high, Levels::PMU, "before")?;
        levels_at(t, low, Levels::NONE, "after")?;
        Ok("high, then low".to_owned())
    })
}

fn flag_without_interrupt(p: &mut Program) -> Judge {
    set_up(p, CYCLES, 0);
    let set = p.write(sysreg::PMOVSSET, CYCLES);
    let spun = p.spin(p.us(100));
    let low = p.mmio_read();
    expect_quiet(p, set, spun);
    expect_levels(p, low, Levels::NONE);
    judge(move |t| {
        quiet_between(t, set, spun)?;
        levels_at(t, low, Levels::NONE, "with the interrupt disabled")?;
        Ok("no return, no level".to_owned())
    })
}

fn software_increment(p: &mut Program) -> Judge {
    set_up(p, 1, 1);
    p.write(sysreg::PMSELR, 0);
    // Event 0: software increment.
    p.write(sysreg::PMXEVTYPER, 0);
    p.write(sysreg::PMXEVCNTR, u64::from(u32::MAX));
    let low = p.mmio_read();
    p.write(sysreg::PMSWINC, 1);
    let high = p.mmio_read();
    let flags = p.read(sysreg::PMOVSCLR);
    expect_levels(p, low, Levels::NONE);
    expect_levels(p, high, Levels::PMU);
    expect_bits(p, flags, 1, 1);
    judge(move |t| {
        levels_at(t, low, Levels::NONE, "before the increment")?;
        levels_at(t, high, Levels::PMU, "after the increment")?;
        match t.at(flags)?.value & 1 {
            1 => Ok("overflowed, and the level shows".to_owned()),
            _ => violated("the counter's overflow flag is not set"),
        }
    })
}

fn cycle_counter(p: &mut Program) -> Judge {
    set_up(p, CYCLES, CYCLES);
    p.write(sysreg::PMCCFILTR, 0);
    // So many cycles are over after the spin on any CPU that is not asleep.
    let armed = p.write(sysreg::PMCCNTR, 200_000u64.wrapping_neg());
    let spun = p.spin(p.us(5000));
    p.write(sysreg::PMOVSCLR, CYCLES);
    let low = p.mmio_read();
    expect_levels(p, low, Levels::NONE);
    expect_return(p, Levels::PMU, armed, spun);
    judge(move |t| {
        levels_at(t, low, Levels::NONE, "after the flag was cleared")?;
        returned_with(t, armed, spun, Levels::PMU, "the guest spun for 5 ms, and no return showed the PMU's level")
    })
}

fn event_counter(p: &mut Program) -> Judge {
    /// Events of the architecture (Arm ARM, D12.11): cycles, and overflows of the counter before.
    const CPU_CYCLES: u64 = 0x11;
    const CHAIN: u64 = 0x1e;
    set_up(p, 3, 1);
    for (counter, event, count) in [(1, CHAIN, 7), (0, CPU_CYCLES, (1 << 32) - 200_000)] {
        p.write(sysreg::PMSELR, counter);
        p.write(sysreg::PMXEVCNTR, count);
        p.write(sysreg::PMXEVTYPER, event);
    }
    let armed = p.note(0);
    let spun = p.spin(p.us(5000));
    p.write(sysreg::PMOVSCLR, 1);
    let low = p.mmio_read();
    p.write(sysreg::PMSELR, 1);
    let carried = p.read(sysreg::PMXEVCNTR);
    judge(move |t| {
        levels_at(t, low, Levels::NONE, "after the flag was cleared")?;
        let Some(r) = t.returns_between(0, t.at(armed)?.before, t.at(spun)?.after).find(|r| r.levels == Levels::PMU)
        else {
            return violated("the guest spun for 5 ms, and no return showed the PMU's level");
        };
        match t.at(carried)?.value {
            8 => Ok(format!("returned with {}, levels {}", r.exit, r.levels)),
            other => violated(format!("the chained counter reads {other}, expected 8")),
        }
    })
}

fn interrupt_is_taken(p: &mut Program) -> Judge {
    p.route(Routing::Wire);
    p.on_irq(|p| {
        p.write(sysreg::PMOVSCLR, CYCLES);
        // The exit by which the line falls.
        p.mmio_read();
    });
    set_up(p, CYCLES, CYCLES);
    p.write(sysreg::PMOVSSET, CYCLES);
    p.wfi();
    p.unmask();
    let taken = p.take(2, Value::Now(p.us(300)));
    expect_value(p, taken, 1);
    judge(move |t| {
        taken_at(t, taken, 1)?;
        Ok("taken once; WFI did not hold it up".to_owned())
    })
}
