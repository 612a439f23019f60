//! Known kernel faults, by what they look like from outside.

use serde::Serialize;

use super::transcript::{Ending, Transcript};

/// A known fault of the kernel that a transcript matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The commit that repairs it; `None`: no kernel has it repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_by: Option<&'static str>,
    /// What it is.
    pub what: &'static str,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.fixed_by {
            Some(commit) => write!(f, "{}; fixed by commit {commit}", self.what),
            None => write!(f, "{}; known of all kernels", self.what),
        }
    }
}

/// A fault as it shows.
struct Known {
    cause: Cause,
    looks_so: fn(&Transcript) -> bool,
}

/// A vCPU in WFI is not woken by its timer.
pub const WFI_NEVER_WAKES: Cause = Cause {
    fixed_by: Some("4ce98bf0865c"),
    what: "KVM: arm64: wake-up from WFI when irqchip is in userspace (broken by b57de4ffd7c6, about v5.19)",
};

/// The known faults, the most telling first.
const KNOWN: &[Known] = &[
    Known { cause: WFI_NEVER_WAKES, looks_so: overslept },
    Known {
        cause: Cause {
            fixed_by: Some("38d7aacca092 (CVE-2024-53195)"),
            what: "KVM: arm64: Get rid of userspace_irqchip_in_use",
        },
        looks_so: |transcript| {
            transcript.warnings.iter().flatten().any(|warning| warning.contains("kvm_timer_update_irq"))
        },
    },
    Known {
        cause: Cause {
            fixed_by: Some("d60d8b64280c"),
            what: "KVM: arm/arm64: Fix arch timers with in-kernel irqchips: the host's timer interrupt is left masked",
        },
        looks_so: |transcript| transcript.neighbour.as_deref().is_some_and(overslept),
    },
];

/// Whether a vCPU sleeps past the deadline of one of its timers, and nobody was told.
fn overslept(transcript: &Transcript) -> bool {
    transcript.endings.iter().any(|ending| match ending {
        Ending::Stopped(stopped) => (stopped.in_wfi || stopped.in_hvc) && stopped.overdue().is_some(),
        _ => false,
    })
}

/// Of a host that a check took down with it.
pub(super) const LOCK_UP: Cause = Cause {
    fixed_by: None,
    what: "KVM: arm64: without a vGIC, a VHE host's timer interrupt handler (kvm_arch_timer_handler) masks the virtual \
           timer's output alone: a guest's physical timer interrupts the host for ever",
};

/// The known fault that a violated check's transcript looks like.
pub(super) fn recognise(transcript: &Transcript) -> Option<Cause> {
    KNOWN.iter().find(|known| (known.looks_so)(transcript)).map(|known| known.cause)
}
