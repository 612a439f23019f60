//! The faults by name, and the checks that must catch each.

use super::Behaviour;

/// A fault that can be injected.
pub struct Fault {
    /// Its name: lower case, words joined by `-`.
    pub name: &'static str,
    /// What the kernel does wrong.
    pub what: &'static str,
    /// How that is played.
    pub behaviour: Behaviour,
    /// The checks that must turn violated. Others may, too.
    pub caught_by: &'static [&'static str],
}

const fn fault(
    name: &'static str,
    behaviour: Behaviour,
    what: &'static str,
    caught_by: &'static [&'static str],
) -> Fault {
    Fault { name, what, behaviour, caught_by }
}

/// All faults that can be injected.
pub const FAULTS: &[Fault] = &[
    fault(
        "capability-absent",
        Behaviour::CapabilityAbsent,
        "KVM_CHECK_EXTENSION says 0 for KVM_CAP_ARM_USER_IRQ.",
        &["capability-is-positive", "capability-is-positive-on-the-system-fd"],
    ),
    fault(
        "level-never-set",
        Behaviour::LevelNeverSet,
        "The level field is always zero.",
        &[
            "mmio-read-exit-carries-the-level",
            "rising-level-ends-kvm-run",
            "rising-level-ends-kvm-run-while-the-guest-spins",
            "each-of-five-deadlines-is-noticed",
            "deadline-in-the-past-asserts-at-once",
            "negative-tval-asserts-at-once",
            "tval-sets-a-deadline-from-now",
            "cval-set-through-one-reg-asserts",
            "restored-state-carries-the-level",
            "restored-deadline-asserts",
            "counter-offset-moves-both-counters",
            "wfi-wakes-on-the-vtimer-with-interrupts-masked",
            "psci-cpu-suspend-wakes-on-the-vtimer",
        ],
    ),
    fault(
        "ptimer-level-never-set",
        Behaviour::PtimerNeverSet,
        "The physical timer's bit is always zero.",
        &[
            "ptimer-level-says-nothing-of-the-vtimer",
            "both-timers-show-at-once",
            "ptimer-rising-level-ends-kvm-run",
            "rise-of-a-second-level-is-noticed-while-the-first-stays",
            "ptimer-deadline-in-the-past-asserts-at-once",
            "ptimer-clearing-imask-while-expired-asserts",
            "ptimer-tval-sets-a-deadline-from-now",
            "ptimer-later-deadline-deasserts-until-it-passes",
            "ptimer-falling-level-rides-on-the-next-mmio-exit",
            "wfi-wakes-on-the-ptimer-with-interrupts-masked",
            "wfi-wakes-on-the-ptimer-with-interrupts-unmasked",
        ],
    ),
    fault(
        "pmu-level-never-set",
        Behaviour::PmuNeverSet,
        "The PMU's bit is always zero.",
        &[
            "pmu-overflow-shows-on-the-next-exit",
            "pmu-overflow-is-noticed-before-the-guest-runs-on",
            "software-increment-overflows",
            "cycle-counter-overflow-ends-kvm-run",
            "pmu-interrupt-is-taken",
        ],
    ),
    fault(
        "level-stuck-high",
        Behaviour::LevelStuckHigh,
        "A bit that was set once is never cleared.",
        &[
            "falling-level-is-noticed-before-the-guest-runs-on",
            "ptimer-falling-level-is-noticed-before-the-guest-runs-on",
            "falling-level-rides-on-the-next-mmio-exit",
            "falling-level-rides-on-the-next-mmio-write",
            "ptimer-falling-level-rides-on-the-next-mmio-exit",
            "clearing-imask-while-expired-asserts",
            "later-deadline-deasserts-until-it-passes",
            "ctl-cleared-through-one-reg-deasserts",
            "imask-set-through-one-reg-deasserts",
            "re-init-turns-the-timers-off",
            "pmu-overflow-clears",
            "pmu-level-follows-the-interrupt-enable",
            "pmu-level-follows-pmcr",
        ],
    ),
    fault(
        "level-high-from-the-start",
        Behaviour::LevelHighFromTheStart,
        "The virtual timer's bit is always set.",
        &[
            "first-return-ever-shows-no-level",
            "deadline-far-away-never-asserts",
            "ptimer-deadline-far-away-never-asserts",
            "deadline-at-the-maximum-never-asserts",
            "vgicv3-vm-shows-no-level",
            "vgicv2-vm-shows-no-level",
        ],
    ),
    fault(
        "level-late-by-a-return",
        Behaviour::LevelLate,
        "Each return shows the levels of the return before.",
        &["rising-level-ends-kvm-run", "wfi-wakes-on-the-vtimer-with-interrupts-unmasked"],
    ),
    fault(
        "level-is-a-pulse",
        Behaviour::LevelIsAPulse,
        "A level shows on the return on which it rose and on no other.",
        &[
            "level-shows-on-every-one-of-a-hundred-exits",
            "mmio-reads-around-a-deadline-keep-their-answers",
            "signal-exit-carries-the-level",
            "asserted-level-survives-migration",
        ],
    ),
    fault(
        "level-lost-on-mmio-reads",
        Behaviour::LevelLostOnMmioRead,
        "MMIO read exits show no level.",
        &["mmio-read-exit-carries-the-level", "both-timers-show-at-once"],
    ),
    fault(
        "level-lost-on-mmio-writes",
        Behaviour::LevelLostOnMmioWrite,
        "MMIO write exits show no level.",
        &["mmio-write-exit-carries-the-level", "both-timers-show-at-once"],
    ),
    fault(
        "level-lost-on-signals",
        Behaviour::LevelLostOnSignal,
        "A return for a signal shows no level.",
        &["signal-exit-carries-the-level"],
    ),
    fault(
        "level-lost-on-system-events",
        Behaviour::LevelLostOnSystemEvent,
        "KVM_EXIT_SYSTEM_EVENT shows no level.",
        &["shutdown-exit-carries-the-level", "reset-exit-carries-the-level"],
    ),
    fault(
        "bits-swapped",
        Behaviour::BitsSwapped,
        "vtimer, ptimer and PMU are reported in each other's bits.",
        &[
            "vtimer-level-says-nothing-of-the-ptimer",
            "ptimer-level-says-nothing-of-the-vtimer",
            "pmu-overflow-shows-on-the-next-exit",
        ],
    ),
    fault(
        "unknown-bit",
        Behaviour::UnknownBit,
        "A bit is set that no version of the capability speaks of.",
        &["no-bit-appears-beyond-those-of-the-version"],
    ),
    fault(
        "level-on-every-vcpu",
        Behaviour::LevelOnEveryVcpu,
        "Each vCPU shows the levels of all.",
        &["level-of-one-vcpu-does-not-show-on-another"],
    ),
    fault(
        "level-in-a-vgic-vm",
        Behaviour::LevelInVgicVm,
        "A VM with an in-kernel GIC shows levels.",
        &["vgicv3-vm-shows-no-level", "vgicv2-vm-shows-no-level"],
    ),
    fault(
        "fall-of-one-hidden",
        Behaviour::FallOfOneHidden,
        "A level that falls while another stays high is shown high.",
        &["fall-of-one-level-is-noticed-while-the-other-stays"],
    ),
    fault(
        "rise-of-second-missed",
        Behaviour::RiseOfSecondMissed,
        "A level that rises while another is high is not shown.",
        &["rise-of-a-second-level-is-noticed-while-the-first-stays"],
    ),
    fault(
        "field-needs-valid-regs",
        Behaviour::FieldNeedsValidRegs,
        "The field is zero when kvm_valid_regs is.",
        &["field-is-valid-with-no-register-asked-for"],
    ),
    fault(
        "field-cleared-by-dirty-regs",
        Behaviour::FieldClearedByDirtyRegs,
        "The field is zero when kvm_dirty_regs is not.",
        &["field-is-valid-with-every-register-asked-for"],
    ),
    fault(
        "no-return-on-rise",
        Behaviour::NoReturnOnRise,
        "A rising level ends no KVM_RUN.",
        &[
            "rising-level-ends-kvm-run",
            "level-that-rises-in-userspace-is-noticed-before-the-guest-runs",
            "ignored-level-makes-no-stream-of-exits",
            "ignored-ptimer-level-makes-no-stream-of-exits",
            "each-of-five-sleeps-ends",
            "armed-timer-survives-migration",
            "sleeping-vcpu-wakes-after-migration",
        ],
    ),
    fault(
        "no-return-on-fall",
        Behaviour::NoReturnOnFall,
        "A falling level ends no KVM_RUN.",
        &[
            "falling-level-is-noticed-before-the-guest-runs-on",
            "ptimer-falling-level-is-noticed-before-the-guest-runs-on",
            "fall-of-one-level-is-noticed-while-the-other-stays",
        ],
    ),
    fault(
        "storm-while-high",
        Behaviour::StormWhileHigh,
        "While a level is high KVM_RUN returns again and again without entering the guest.",
        &[
            "ignored-level-makes-no-stream-of-exits",
            "ignored-ptimer-level-makes-no-stream-of-exits",
            "high-level-costs-one-exit-per-mmio-access",
        ],
    ),
    fault(
        "returns-without-reason",
        Behaviour::ReturnsWithoutReason,
        "Every second KVM_RUN returns EINTR without entering the guest.",
        &["high-level-costs-one-exit-per-mmio-access", "mmio-reads-around-a-deadline-keep-their-answers"],
    ),
    fault(
        "kicked-all-the-time",
        Behaviour::KickedAllTheTime,
        "KVM_RUN ends every millisecond without a reason.",
        &[
            "guest-without-timers-is-left-alone",
            "masked-timer-makes-no-exit",
            "raised-line-makes-no-exit",
            "wfi-does-not-wake-without-a-reason",
            "wfi-does-not-wake-on-a-masked-timer",
            "line-of-one-vcpu-wakes-no-other",
        ],
    ),
    fault(
        "immediate-exit-ignored",
        Behaviour::ImmediateExitIgnored,
        "KVM_RUN enters the guest although immediate_exit is set.",
        &["immediate-exit-runs-no-guest-code"],
    ),
    fault(
        "imask-ignored",
        Behaviour::ImaskIgnored,
        "A timer's output is reported although IMASK is set.",
        &["clearing-imask-while-expired-asserts", "imask-set-through-one-reg-deasserts"],
    ),
    fault(
        "enable-ignored",
        Behaviour::EnableIgnored,
        "A timer's output is reported although ENABLE is clear.",
        &["disabled-timer-makes-no-exit", "ctl-cleared-through-one-reg-deasserts"],
    ),
    fault(
        "wfi-never-wakes",
        Behaviour::WfiNeverWakes,
        "A vCPU asleep in WFI does not wake when its timer expires (as from v5.19 to commit 4ce98bf0865c).",
        &[
            "wfi-wakes-on-the-vtimer-with-interrupts-masked",
            "wfi-wakes-on-the-vtimer-with-interrupts-unmasked",
            "wfi-wakes-on-the-ptimer-with-interrupts-masked",
            "each-of-five-sleeps-ends",
            "sleeping-vcpu-wakes-after-migration",
            "two-such-vms-keep-their-timers",
        ],
    ),
    fault(
        "cpu-suspend-never-wakes",
        Behaviour::SuspendNeverWakes,
        "A vCPU in PSCI CPU_SUSPEND does not wake when its timer expires (as before commit a867e9d0cc15).",
        &["psci-cpu-suspend-wakes-on-the-vtimer"],
    ),
    fault(
        "wakes-late",
        Behaviour::WakesLate,
        "A vCPU asleep in WFI wakes a tenth of a second after its timer expired.",
        &["wfi-wakes-on-the-vtimer-with-interrupts-masked", "wfi-wakes-on-the-ptimer-with-interrupts-unmasked"],
    ),
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

/// Checks that no injected fault can violate, and why.
pub const NOT_INJECTABLE: &[(&str, &str)] = &[
    (
        "gic-system-registers-are-undefined",
        "Whether an instruction is UNDEFINED is decided in the guest, where no layer of the runner's comes.",
    ),
    (
        "gic-system-register-enable-is-undefined",
        "Whether an instruction is UNDEFINED is decided in the guest; and all kernels deviate.",
    ),
    ("immediate-exit-carries-the-level", "All kernels deviate: it is violated without a fault."),
    ("vcpu-created-out-of-order-is-named-by-its-index", "Kernels from 6.7 deviate: it is violated without a fault."),
    ("creating-a-vcpu-leaves-the-counter-running", "All kernels deviate: it is violated without a fault."),
    (
        "all-vcpus-read-one-counter",
        "An offset of one vCPU's own cannot be had from outside: kernels set it for the whole VM.",
    ),
    ("wfe-comes-to-an-end", "The kernel handles WFE without a return that could be withheld."),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::contract::checks;

    #[test]
    fn every_fault_is_caught_by_checks_that_exist() {
        let names: HashSet<_> = checks::all().map(|check| check.name).collect();
        let mut seen = HashSet::new();
        for fault in FAULTS {
            assert!(seen.insert(fault.name), "{} is there twice", fault.name);
            assert!(!fault.caught_by.is_empty(), "nothing catches {}", fault.name);
            assert!(fault.what.ends_with('.'), "{}: sentences end", fault.name);
            for name in fault.caught_by {
                assert!(names.contains(name), "{} is to be caught by {name}, which does not exist", fault.name);
            }
        }
    }

    #[test]
    fn every_check_catches_a_fault_or_says_why_none_can_be_injected() {
        let caught: HashSet<_> = FAULTS.iter().flat_map(|fault| fault.caught_by).collect();
        let excused: HashSet<_> = NOT_INJECTABLE.iter().map(|(name, _)| name).collect();
        for check in checks::all() {
            assert!(
                caught.contains(&check.name) != excused.contains(&check.name),
                "{}: in the table of faults {}, excused {}",
                check.name,
                caught.contains(&check.name),
                excused.contains(&check.name)
            );
        }
        assert!(excused.iter().all(|name| checks::all().any(|check| check.name == **name)));
    }
}
