//! The clauses of the contract, and of what a guest may rely on when our GIC stands at its other end.
//!
//! Tags: `[KVM-API/8.9]`, `[KVM-API/4.25]`: Linux, Documentation/virt/kvm/api.rst, KVM_CAP_ARM_USER_IRQ and KVM_IRQ_LINE;
//! `[ARM]`: Arm ARM DDI 0487, D12 (the Generic Timer); `[GICv2]`: Arm IHI 0048B.

use serde::{Deserialize, Serialize};

/// A clause of the contract between KVM and a VMM that emulates the interrupt controller (C); or, with vtick's GICv2 and
/// its routing in the VMM's place, between both of them and a guest (G).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "text() says what each clause says")]
pub enum Clause {
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    C7,
    C8,
    C9,
    C10,
    C11,
    C12,
    C13,
    C14,
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
    G7,
}

impl Clause {
    /// All clauses, in order.
    pub const ALL: [Clause; 21] = [
        Clause::C1,
        Clause::C2,
        Clause::C3,
        Clause::C4,
        Clause::C5,
        Clause::C6,
        Clause::C7,
        Clause::C8,
        Clause::C9,
        Clause::C10,
        Clause::C11,
        Clause::C12,
        Clause::C13,
        Clause::C14,
        Clause::G1,
        Clause::G2,
        Clause::G3,
        Clause::G4,
        Clause::G5,
        Clause::G6,
        Clause::G7,
    ];

    /// One word for the clause.
    pub fn title(self) -> &'static str {
        match self {
            Clause::C1 => "discovery",
            Clause::C2 => "scope",
            Clause::C3 => "truth",
            Clause::C4 => "notice",
            Clause::C5 => "any exit",
            Clause::C6 => "quiet",
            Clause::C7 => "always there",
            Clause::C8 => "lines",
            Clause::C9 => "vCPU addressing",
            Clause::C10 => "timer semantics",
            Clause::C11 => "sleep",
            Clause::C12 => "state",
            Clause::C13 => "neighbours",
            Clause::C14 => "PMU",
            Clause::G1 => "GIC registers",
            Clause::G2 => "SGIs",
            Clause::G3 => "preemption",
            Clause::G4 => "completion",
            Clause::G5 => "SPIs",
            Clause::G6 => "groups",
            Clause::G7 => "GIC state",
        }
    }

    /// What the clause says.
    pub fn text(self) -> &'static str {
        match self {
            Clause::C1 => {
                "KVM_CHECK_EXTENSION(KVM_CAP_ARM_USER_IRQ) is positive if the kernel supports the mode; the number is a \
                 version that says which bits may appear (1: vtimer, ptimer and PMU)."
            }
            Clause::C2 => "Only VMs without an in-kernel irqchip report levels in the level field.",
            Clause::C3 => {
                "On every return to userspace the field holds the true output level of each device, whatever the \
                 exit reason."
            }
            Clause::C4 => {
                "After a level changes, rising or falling, KVM_RUN returns at least once before guest code runs on."
            }
            Clause::C5 => {
                "The return that follows a level change may be of any kind: a change coalesces with an exit that happens anyway."
            }
            Clause::C6 => {
                "KVM_RUN returns only for a cause: a level that stays high and that userspace ignores makes no stream of \
                 exits, and the guest makes progress."
            }
            Clause::C7 => "The field is valid whatever kvm_valid_regs and kvm_dirty_regs say.",
            Clause::C8 => {
                "KVM_IRQ_LINE of type CPU drives the vCPU's IRQ (0) and FIQ (1) inputs, level in, level out; it wakes \
                 a halted vCPU and kicks a running one; bad ids are refused."
            }
            Clause::C9 => {
                "KVM_IRQ_LINE drives the line of the vCPU that its argument names; vcpu2_index names vCPUs beyond 255."
            }
            Clause::C10 => {
                "A timer's output is ENABLE && !IMASK && counter >= CVAL, for the virtual and the physical timer; all \
                 vCPUs share one counter."
            }
            Clause::C11 => {
                "WFI ends when a timer, the PMU or KVM_IRQ_LINE asserts its output, with interrupts masked or not; \
                 the return that ends it carries the level."
            }
            Clause::C12 => {
                "Reading and writing timer registers through ONE_REG, initialising a vCPU again and moving its thread \
                 to another host CPU lose nothing and invent nothing."
            }
            Clause::C13 => "A VM in this mode does no harm to other VMs or to its host.",
            Clause::C14 => {
                "KVM reports the PMU's overflow output as a level, by the same rules as the timers' outputs."
            }
            Clause::G1 => "The GIC's registers read, and keep what is written to them, as the specification says.",
            Clause::G2 => {
                "An SGI reaches the CPUs that its filter names, once for each source, and wakes or kicks their vCPUs; \
                 lines are driven when they move and at no other time."
            }
            Clause::G3 => "A pending interrupt preempts a running one if and only if its group priority is higher.",
            Clause::G4 => {
                "A write to EOIR drops the running priority. With EOImode 0 it also deactivates the interrupt; with EOImode 1 \
                 a write to DIR deactivates it. An active interrupt is not taken again."
            }
            Clause::G5 => {
                "A level-sensitive SPI is pending for as long as its input is high, an edge-triggered SPI once for each \
                 edge, on the CPUs that it targets."
            }
            Clause::G6 => "Group 0 drives the FIQ line where FIQEn is set, Group 1 the IRQ line.",
            Clause::G7 => "A machine saved amid its interrupts goes on in a fresh VM as if nothing had happened.",
        }
    }

    /// Where the clause comes from.
    pub fn source(self) -> &'static str {
        match self {
            Clause::C8 | Clause::C9 => "[KVM-API/4.25] KVM_IRQ_LINE",
            Clause::C10 => "[ARM] operation of the CompareValue view of the timers",
            Clause::C11 => "[ARM] WFI wake-up events; [KVM-API/8.9]",
            Clause::C12 => "[KVM-API] KVM_SET_ONE_REG, KVM_ARM_VCPU_INIT; [KVM-API/8.9]",
            Clause::C13 => "commit d60d8b64280c; CVE-2024-53195",
            Clause::G1 => "[GICv2/4.3], [GICv2/4.4] registers",
            Clause::G2 => "[GICv2/4.3.15] GICD_SGIR; [KVM-API/4.25]",
            Clause::G3 => "[GICv2/3.3] interrupt prioritization",
            Clause::G4 => "[GICv2/3.2.1] priority drop and interrupt deactivation",
            Clause::G5 => "[GICv2/3.2] interrupt handling state machine; [GICv2/4.3.12], [GICv2/4.3.13]",
            Clause::G6 => "[GICv2/2.3], [GICv2/3.4] interrupt grouping; [KVM-API/4.25]",
            Clause::G7 => "[GICv2/4.3], [GICv2/4.4]; [KVM-API] KVM_GET_REG_LIST, KVM_SET_ONE_REG",
            _ => "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ",
        }
    }
}

impl std::fmt::Display for Clause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

impl std::str::FromStr for Clause {
    type Err = String;

    fn from_str(s: &str) -> Result<Clause, String> {
        Clause::ALL
            .into_iter()
            .find(|c| c.to_string().eq_ignore_ascii_case(s) || c.title() == s)
            .ok_or_else(|| format!("no clause named {s}; the clauses are C1 to C14 and G1 to G7"))
    }
}

/// Clauses as they are asked for: one, or all whose name begins so (`C`, `G`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clauses(Vec<Clause>);

impl Clauses {
    /// Whether `clause` is among them.
    pub fn contain(&self, clause: Clause) -> bool {
        self.0.contains(&clause)
    }
}

impl std::str::FromStr for Clauses {
    type Err = String;

    fn from_str(s: &str) -> Result<Clauses, String> {
        let group = Clause::ALL.into_iter().filter(|clause| clause.to_string()[..1].eq_ignore_ascii_case(s)).collect();
        Ok(Clauses(match group {
            group if Vec::is_empty(&group) => vec![s.parse()?],
            group => group,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_asks_for_all_clauses_of_a_group_and_a_name_for_one() {
        let asked = |s: &str| s.parse::<Clauses>().unwrap().0;
        assert_eq!(asked("g").len(), 7);
        assert_eq!(asked("C").len(), 14);
        assert_eq!(asked("c1"), [Clause::C1]);
        assert_eq!(asked("SGIs"), [Clause::G2]);
        assert!("H".parse::<Clauses>().unwrap_err().contains("no clause named H"));
    }
}
