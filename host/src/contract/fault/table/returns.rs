//! Faults of returning: too rarely, too often, too late.

use super::{Fault, fault};
use crate::contract::fault::Behaviour;

pub(super) const FAULTS: &[Fault] = &[
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
            "wfi-does-not-wake-without-a-reason",
            "wfi-does-not-wake-on-a-masked-timer",
            "line-of-one-vcpu-wakes-no-other",
        ],
    ),
    fault(
        "raised-line-returns",
        Behaviour::RaisedLineReturns,
        "A line that is raised ends KVM_RUN once before the guest is entered.",
        &["raised-line-makes-no-exit"],
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
];
