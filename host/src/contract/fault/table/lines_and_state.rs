//! Faults of KVM_IRQ_LINE, of saved state, and of what a VM does to others.

use super::{Fault, fault};
use crate::contract::fault::Behaviour;

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "line-up-ignored",
        Behaviour::LineUpIgnored,
        "KVM_IRQ_LINE raises nothing.",
        &[
            "irq-line-follows-raise-and-lower",
            "fiq-line-follows-raise-and-lower",
            "raised-irq-line-is-taken-once-unmasked",
            "raised-fiq-line-is-taken-as-a-fiq",
            "line-raised-by-another-thread-kicks-a-running-guest",
            "raised-line-stays-up-over-many-exits",
            "wfi-wakes-on-a-line-raised-by-another-thread",
            "wfi-wakes-on-a-fiq-line-raised-by-another-thread",
            "wfi-with-the-line-up-does-not-sleep",
            "pmu-interrupt-is-taken",
        ],
    ),
    fault(
        "line-down-ignored",
        Behaviour::LineDownIgnored,
        "KVM_IRQ_LINE lowers nothing.",
        &[
            "irq-line-follows-raise-and-lower",
            "raised-irq-line-is-taken-once-unmasked",
            "line-lowered-by-another-thread-falls-under-a-running-guest",
        ],
    ),
    fault(
        "fiq-ignored",
        Behaviour::FiqIgnored,
        "KVM_IRQ_LINE does nothing for FIQ.",
        &[
            "fiq-line-follows-raise-and-lower",
            "raised-fiq-line-is-taken-as-a-fiq",
            "wfi-wakes-on-a-fiq-line-raised-by-another-thread",
        ],
    ),
    fault(
        "lines-swapped",
        Behaviour::LinesSwapped,
        "KVM_IRQ_LINE drives FIQ for IRQ and IRQ for FIQ.",
        &["irq-line-follows-raise-and-lower", "fiq-line-follows-raise-and-lower"],
    ),
    fault(
        "line-is-a-pulse",
        Behaviour::LineIsAPulse,
        "A raised line falls by itself at once.",
        &["irq-line-follows-raise-and-lower", "line-that-stays-up-interrupts-again", "unchanged-level-is-a-no-op"],
    ),
    fault(
        "line-lost-on-return",
        Behaviour::LineLostOnReturn,
        "A line falls when KVM_RUN returns.",
        &["raised-line-stays-up-over-many-exits", "irq-line-follows-raise-and-lower"],
    ),
    fault(
        "lowering-one-lowers-both",
        Behaviour::LoweringOneLowersBoth,
        "Lowering one line lowers the other, too.",
        &["lowering-one-line-leaves-the-other"],
    ),
    fault(
        "line-waits-for-an-exit",
        Behaviour::LineWaitsForExit,
        "A line that another thread drives changes when the vCPU exits the next time.",
        &[
            "line-raised-by-another-thread-kicks-a-running-guest",
            "line-lowered-by-another-thread-falls-under-a-running-guest",
            "wfi-wakes-on-a-line-raised-by-another-thread",
        ],
    ),
    fault(
        "unchanged-line-kicks",
        Behaviour::UnchangedLineKicks,
        "KVM_IRQ_LINE that changes nothing ends KVM_RUN.",
        &["unchanged-level-is-a-no-op"],
    ),
    fault(
        "line-of-vcpu-0-alone",
        Behaviour::LinesOfVcpu0Alone,
        "KVM_IRQ_LINE drives the lines of vCPU 0, whichever it names.",
        &["line-reaches-the-vcpu-it-names-and-no-other", "line-of-one-vcpu-wakes-no-other"],
    ),
    fault(
        "vcpu2-index-ignored",
        Behaviour::Vcpu2IndexIgnored,
        "KVM_IRQ_LINE ignores vcpu2_index.",
        &["vcpu-beyond-255-is-named-through-vcpu2-index"],
    ),
    fault(
        "bad-line-accepted",
        Behaviour::BadLineAccepted,
        "KVM_IRQ_LINE succeeds, and does nothing, for whatever it is asked by number.",
        &[
            "unknown-line-is-refused",
            "line-of-a-vcpu-that-does-not-exist-is-refused",
            "ppi-is-refused-without-an-in-kernel-gic",
            "spi-is-refused-without-an-in-kernel-gic",
            "unknown-interrupt-type-is-refused",
            "cpu-line-is-refused-in-a-vgicv3-vm",
            "cpu-line-is-refused-in-a-vgicv2-vm",
        ],
    ),
    fault(
        "set-one-reg-dropped",
        Behaviour::SetDropped,
        "KVM_SET_ONE_REG of CVAL or of the counter does nothing.",
        &["cval-set-through-one-reg-asserts", "counter-set-through-one-reg-goes-on-from-there"],
    ),
    fault(
        "set-one-reg-of-ctl-dropped",
        Behaviour::CtlSetDropped,
        "KVM_SET_ONE_REG of CTL does nothing.",
        &["ctl-cleared-through-one-reg-deasserts", "imask-set-through-one-reg-deasserts"],
    ),
    fault(
        "get-one-reg-reads-zero",
        Behaviour::GetReadsZero,
        "KVM_GET_ONE_REG of a timer register reads zero.",
        &["one-reg-reads-what-the-guest-wrote", "one-reg-reads-what-the-guest-wrote-to-the-ptimer"],
    ),
    fault(
        "re-init-keeps-timers",
        Behaviour::ReinitKeepsTimers,
        "KVM_ARM_VCPU_INIT leaves the timers as they were.",
        &["re-init-turns-the-timers-off"],
    ),
    fault(
        "restored-timers-lost",
        Behaviour::RestoreLosesTimers,
        "Timers restored after KVM_ARM_VCPU_INIT stay off.",
        &["restored-state-carries-the-level", "restored-deadline-asserts"],
    ),
    fault(
        "migration-stops-timer",
        Behaviour::MigrationStopsTimer,
        "A vCPU whose thread moves to another CPU loses its timer.",
        &["armed-timer-survives-migration", "asserted-level-survives-migration", "sleeping-vcpu-wakes-after-migration"],
    ),
    fault(
        "counter-offset-ignored",
        Behaviour::CounterOffsetIgnored,
        "KVM_ARM_SET_COUNTER_OFFSET succeeds and does nothing.",
        &["counter-offset-moves-both-counters"],
    ),
    fault(
        "host-warns",
        Behaviour::HostWarns,
        "The host kernel warns of KVM in its log.",
        &["re-init-after-a-failed-run-makes-the-host-warn-of-nothing"],
    ),
    fault(
        "neighbour-timer-masked",
        Behaviour::NeighbourTimerMasked,
        "The timer of the VM beside this one is masked (as before commit d60d8b64280c).",
        &["vgicv3-neighbour-keeps-its-timer", "vgicv2-neighbour-keeps-its-timer", "two-such-vms-keep-their-timers"],
    ),
    fault(
        "pmu-flag-is-enough",
        Behaviour::PmuFlagIsEnough,
        "The PMU's bit is set by a flag whose interrupt is not enabled.",
        &["pmu-flag-without-its-interrupt-asserts-nothing"],
    ),
];
