//! What kernels are known to do against the letter of the contract. A violation listed here is printed as one, and is
//! expected; that it is gone is not, and has to be looked into.

use vtick_core::Host;

/// A check that some kernels are known to violate.
pub struct Deviation {
    /// The check's name, or that of the model's rule.
    pub check: &'static str,
    /// First kernel (version, patchlevel) that does so, if not all.
    pub from: Option<(u32, u32)>,
    /// First kernel that no longer does, if any.
    pub until: Option<(u32, u32)>,
    /// The hosts on which it shows, where not on all.
    pub on: fn(&Host) -> bool,
    /// Why, with the commit that made it so where it is known.
    pub why: &'static str,
}

/// Why counters deviate under pKVM.
const NO_OFFSETS: &str = "in protected mode the hypervisor offsets nothing, and lets the guest read the physical counter as it \
                          is (__timer_enable_traps)";
/// Why event counters deviate under pKVM.
const NO_GUEST_EVENTS: &str = "in protected mode the hypervisor does not switch the host's perf events to the guest's: cycles \
                               are not counted";

fn is_protected(host: &Host) -> bool {
    host.kvm_mode == "protected"
}

/// All deviations that are known.
pub const DEVIATIONS: &[Deviation] = &[
    Deviation {
        check: "counter-offset-moves-both-counters",
        from: Some((6, 4)),
        until: None,
        on: is_protected,
        why: NO_OFFSETS,
    },
    Deviation {
        check: "cycle-counter-overflow-ends-kvm-run",
        from: None,
        until: None,
        on: is_protected,
        why: NO_GUEST_EVENTS,
    },
    Deviation {
        check: "physical-counter-set-through-one-reg-goes-on-from-there",
        from: Some((6, 4)),
        until: None,
        on: is_protected,
        why: NO_OFFSETS,
    },
    Deviation {
        check: "event-counter-overflow-ends-kvm-run",
        from: None,
        until: None,
        on: is_protected,
        why: NO_GUEST_EVENTS,
    },
    Deviation {
        check: "gic-system-registers-are-undefined",
        from: None,
        until: Some((6, 12)),
        on: |host| host.gic.contains("GICv3"),
        why: "before 6.12 nothing traps the GICv3's system registers in a VM without an in-kernel GIC",
    },
    Deviation {
        check: "gic-system-registers-are-undefined",
        from: Some((6, 12)),
        until: None,
        on: |host| host.gic.contains("no vGIC"),
        why: "where KVM has no vGIC, nobody sets the traps of the GICv3's system registers",
    },
    Deviation {
        check: "re-init-after-a-failed-run-makes-the-host-warn-of-nothing",
        from: Some((6, 1)),
        until: Some((6, 2)),
        on: |_| true,
        why: "CVE-2024-53195: 'Get rid of userspace_irqchip_in_use' was never backported to 6.1",
    },
    Deviation {
        check: "gic-system-register-enable-is-undefined",
        from: None,
        until: None,
        on: |host| host.gic.contains("GICv3"),
        why: "ICC_SRE_EL2.Enable stays set while such a guest runs, so ICC_SRE_EL1 is not trapped and reads as the host's",
    },
    Deviation {
        check: "immediate-exit-carries-the-level",
        from: None,
        until: None,
        on: |_| true,
        why: "with immediate_exit set kvm_arch_vcpu_ioctl_run returns before it looks at the levels",
    },
    Deviation {
        check: "truth-on-immediate-exit",
        from: None,
        until: None,
        on: |_| true,
        why: "with immediate_exit set kvm_arch_vcpu_ioctl_run returns before it looks at the levels",
    },
    Deviation {
        check: "pmu-is-restored",
        from: Some((6, 7)),
        until: Some((6, 15)),
        on: |_| true,
        why: "since a45f41d754e0 KVM_SET_ONE_REG of PMOVSCLR and its like clears bits, and of PMOVSSET only sets some",
    },
    Deviation {
        check: "vcpu-created-out-of-order-is-named-by-its-index",
        from: Some((6, 7)),
        until: None,
        on: |_| true,
        why: "KVM_IRQ_LINE finds the vCPU by its id since 6.7; the documentation still says index",
    },
    Deviation {
        check: "one-reg-reads-istatus-of-a-deadline-that-userspace-set",
        from: Some((6, 18)),
        until: None,
        on: |_| true,
        why: "since the timers' registers are got as any system register, KVM_GET_ONE_REG of CTL reads what was stored, and \
              ISTATUS as it was when the vCPU last ran",
    },
    Deviation {
        check: "creating-a-vcpu-leaves-the-counter-running",
        from: None,
        until: None,
        on: |_| true,
        why: "kvm_timer_vcpu_init sets the virtual counter's offset, which is the VM's, for each new vCPU",
    },
];

impl Deviation {
    /// The kernels it is said of.
    pub fn range(&self) -> String {
        match (self.from, self.until) {
            (None, None) => "all kernels".to_owned(),
            (Some((a, b)), None) => format!("from {a}.{b}"),
            (None, Some((a, b))) => format!("before {a}.{b}"),
            (Some((a, b)), Some((c, d))) => format!("from {a}.{b}, before {c}.{d}"),
        }
    }

    fn applies(&self, host: &Host) -> bool {
        let Some(kernel) = version(&host.kernel) else { return false };
        self.from.is_none_or(|from| kernel >= from) && self.until.is_none_or(|until| kernel < until) && (self.on)(host)
    }
}

/// Why a violation of this check, or of this rule of the model, is expected on this host, if it is.
pub fn expected(check: &str, host: &Host) -> Option<&'static str> {
    DEVIATIONS.iter().find(|deviation| deviation.check == check && deviation.applies(host)).map(|d| d.why)
}

/// Version and patchlevel of a `uname -r`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checks, model};

    #[test]
    fn a_release_is_compared_by_its_numbers_and_not_its_text() {
        assert_eq!(version("6.12.117+deb13-cloud-arm64"), Some((6, 12)));
        assert_eq!(version("6.1.0-50-cloud-arm64"), Some((6, 1)));
        assert_eq!(version("7.3-rc4"), Some((7, 3)));
        assert!((6, 12) > (6, 7), "6.12 comes after 6.7");
    }

    #[test]
    fn every_deviation_is_of_a_check_or_a_rule_that_exists() {
        for deviation in DEVIATIONS {
            let is_check = checks::all().any(|check| check.name == deviation.check);
            let is_rule = model::RULES.iter().any(|(rule, _)| *rule == deviation.check);
            assert!(is_check || is_rule, "{}", deviation.check);
        }
    }
}
