//! Known kernel faults, by what they look like from outside.

use vtick_core::cause::{Cause, WFI_NEVER_WAKES};

use super::transcript::{Ending, Refusal, Transcript};
use vtick_core::exit::Exit;
use vtick_core::lines::Levels;

/// A fault as it shows.
struct Known {
    cause: Cause,
    looks_so: fn(&Transcript) -> bool,
}

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
    Known {
        cause: Cause {
            fixed_by: Some("50e7cce81b9b"),
            what: "KVM: arm64: Finalize ID registers only once per VM: a VM that has not run refuses a \
                   value that KVM_GET_ONE_REG read from one that has",
        },
        looks_so: |transcript| transcript.refusals().any(is_id_register_refused),
    },
    Known {
        cause: Cause {
            fixed_by: Some("b4a1583abc83"),
            what: "KVM: arm/arm64: Fix emulated ptimer irq injection (broken by bee038a67487, 5.2): endless interrupts of \
                   the physical timer",
        },
        looks_so: |transcript| storm_at(transcript, Levels::PTIMER),
    },
    Known {
        cause: Cause {
            fixed_by: None,
            what: "KVM_RUN returns for a level that it reported already: the kernel does not compare the levels of the last \
                   return with the present levels (kvm_timer_should_notify_user, kvm_pmu_should_notify_user)",
        },
        looks_so: |transcript| storm_at(transcript, Levels::VTIMER) || storm_at(transcript, Levels::PMU),
    },
];

/// Whether an ID register is refused that this kernel itself gave (Arm ARM DDI 0487, D24: op0 3, op1 0, CRn 0, CRm 1 to 7).
fn is_id_register_refused(refusal: &Refusal) -> bool {
    const SYSREG: u64 = 0x0013;
    let sysreg = refusal.register.filter(|id| id >> 16 & 0xfff == SYSREG).map(|id| id & 0xffff);
    let is_id = sysreg.is_some_and(|encoded| encoded >> 7 == 3 << 7 && (1..=7).contains(&(encoded >> 3 & 0xf)));
    is_id && refusal.call == "KVM_SET_ONE_REG" && refusal.errno == libc::EINVAL
}

/// Whether returns of KVM_RUN do not end while the level of this device, and no other, is high.
fn storm_at(transcript: &Transcript, device: Levels) -> bool {
    let storms = transcript.endings.iter().filter_map(|ending| match ending {
        Ending::Storm(storm) => Some(storm),
        _ => None,
    });
    storms.into_iter().any(|storm| storm.levels == device && storm.exit == Exit::Interrupted)
}

/// Whether a vCPU sleeps past the deadline of one of its timers, and nobody was told.
fn overslept(transcript: &Transcript) -> bool {
    transcript.endings.iter().any(|ending| match ending {
        Ending::Stopped(stopped) => stopped.slept() && stopped.overdue().is_some(),
        _ => false,
    })
}

/// Whether a vCPU sleeps past the deadline of one of its timers by so many ticks, without ever having been kept from a CPU
/// for as long.
pub(super) fn has_overslept(transcript: &Transcript, ticks: u64) -> bool {
    let by = |ending: &Ending| match ending {
        Ending::Stopped(stopped) if stopped.slept() => stopped.overdue(),
        _ => None,
    };
    transcript.endings.iter().filter_map(by).any(|overdue| overdue > ticks && transcript.waited < ticks / 2)
}

/// Of a host that a check took down with it.
pub(super) const LOCK_UP: Cause = Cause {
    fixed_by: None,
    what: "KVM: arm64: without a vGIC, a VHE host's timer interrupt handler (kvm_arch_timer_handler) masks only \
           the virtual timer's output: a guest's physical timer interrupts the host for ever",
};

/// The known fault that a violated check's transcript looks like.
pub(super) fn recognise(transcript: &Transcript) -> Option<Cause> {
    KNOWN.iter().find(|known| (known.looks_so)(transcript)).map(|known| known.cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Program, Storm};
    use vtick_core::stopped::Stopped;

    fn transcript(events: Vec<Event>, ending: Ending) -> Transcript {
        Transcript::new(&Program::new(1_000_000), events, vec![ending], 0)
    }

    fn refused(register: u64) -> Transcript {
        let refusal = Refusal {
            at: 5,
            vcpu: Some(0),
            call: "KVM_SET_ONE_REG".to_owned(),
            register: Some(register),
            value: Some(0x10000),
            errno: libc::EINVAL,
            before_the_guest: false,
        };
        transcript(vec![Event::Refused(refusal)], Ending::Done)
    }

    #[test]
    fn only_an_id_register_that_is_refused_looks_like_one_finalised_twice() {
        let id_pfr1 = recognise(&refused(0x6030_0000_0013_c009)).unwrap();
        assert_eq!(id_pfr1.fixed_by, Some("50e7cce81b9b"));
        assert_eq!(recognise(&refused(0x6030_0000_0013_c000)), None, "MIDR_EL1");
        assert_eq!(recognise(&refused(0x6030_0000_0013_df19)), None, "CNTV_CTL_EL0");
    }

    #[test]
    fn a_vcpu_that_oversleeps_in_any_of_three_ways_looks_like_a_wfi_that_never_wakes() {
        let awake = Stopped { in_wfi: false, ..Stopped::overslept() };
        let at = |stopped| recognise(&transcript(Vec::new(), Ending::Stopped(stopped)));
        assert_eq!(at(Stopped::overslept()), Some(WFI_NEVER_WAKES));
        assert_eq!(at(Stopped { in_hvc: true, ..awake.clone() }), Some(WFI_NEVER_WAKES));
        assert_eq!(at(Stopped { suspended: true, ..awake.clone() }), Some(WFI_NEVER_WAKES));
        assert_eq!(at(awake), None);
    }

    #[test]
    fn a_storm_is_told_by_the_device_whose_level_is_high() {
        let at = |levels| {
            let stopped = Stopped { levels, ..Stopped::overslept() };
            let storm = Storm { returns: 9, alike: 9, period: 5, exit: Exit::Interrupted, levels, stopped };
            recognise(&transcript(Vec::new(), Ending::Storm(storm))).map(|cause| cause.fixed_by)
        };
        assert_eq!(at(Levels::PTIMER), Some(Some("b4a1583abc83")));
        assert_eq!(at(Levels::VTIMER), Some(None));
        assert_eq!(at(Levels::NONE), None);
    }
}
