//! The clauses of the contract, and of what a guest may rely on when our GIC stands at its other end.
//!
//! Tags: `[KVM-API/8.9]`, `[KVM-API/4.25]`: Linux, Documentation/virt/kvm/api.rst, KVM_CAP_ARM_USER_IRQ and KVM_IRQ_LINE;
//! `[ARM]`: Arm ARM DDI 0487, D12 (the Generic Timer); `[GICv2]`: Arm IHI 0048B.

use serde::{Deserialize, Serialize};

/// A clause in two lines: number, title and source; text.
macro_rules! clauses {
    ($($clause:ident $title:literal from $source:literal: $text:literal;)*) => {
        /// A clause of the contract between KVM and a VMM that emulates the interrupt controller (C); or, with vtick's
        /// GICv2 and its routing in the VMM's place, between both of them and a guest (G).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[expect(missing_docs, reason = "text() says what each clause says")]
        pub enum Clause {
            $($clause,)*
        }

        impl Clause {
            /// All clauses, in order.
            pub const ALL: [Clause; [$(Clause::$clause),*].len()] = [$(Clause::$clause),*];

            /// One word for the clause.
            pub fn title(self) -> &'static str {
                match self {
                    $(Clause::$clause => $title,)*
                }
            }

            /// What the clause says.
            pub fn text(self) -> &'static str {
                match self {
                    $(Clause::$clause => $text,)*
                }
            }

            /// Where the clause comes from.
            pub fn source(self) -> &'static str {
                match self {
                    $(Clause::$clause => $source,)*
                }
            }
        }
    };
}

clauses! {
    C1 "discovery" from "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ":
        "KVM_CHECK_EXTENSION(KVM_CAP_ARM_USER_IRQ) is positive if the kernel supports the mode; the number is a \
         version that says which bits may appear (1: vtimer, ptimer and PMU).";
    C2 "scope" from "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ":
        "Only VMs without an in-kernel irqchip report levels in the level field.";
    C3 "truth" from "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ":
        "On every return to userspace the field holds the true output level of each device, whatever the exit reason.";
    C4 "notice" from "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ":
        "After a level changes, rising or falling, KVM_RUN returns at least once before guest code runs on.";
    C5 "any exit" from "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ":
        "The return that follows a level change may be of any kind: a change coalesces with an exit that happens \
         anyway.";
    C6 "quiet" from "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ":
        "KVM_RUN returns only for a cause: a level that stays high and that userspace ignores makes no stream of \
         exits, and the guest makes progress.";
    C7 "always there" from "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ":
        "The field is valid whatever kvm_valid_regs and kvm_dirty_regs say.";
    C8 "lines" from "[KVM-API/4.25] KVM_IRQ_LINE":
        "KVM_IRQ_LINE of type CPU drives the vCPU's IRQ (0) and FIQ (1) inputs, level in, level out; it wakes a \
         halted vCPU and kicks a running one; bad ids are refused.";
    C9 "vCPU addressing" from "[KVM-API/4.25] KVM_IRQ_LINE":
        "KVM_IRQ_LINE drives the line of the vCPU that its argument names; vcpu2_index names vCPUs beyond 255.";
    C10 "timer semantics" from "[ARM] operation of the CompareValue view of the timers":
        "A timer's output is ENABLE && !IMASK && counter >= CVAL, for the virtual and the physical timer; all vCPUs \
         share one counter.";
    C11 "sleep" from "[ARM] WFI wake-up events; [KVM-API/8.9]":
        "WFI ends when a timer, the PMU or KVM_IRQ_LINE asserts its output, with interrupts masked or not; the return \
         that ends it carries the level.";
    C12 "state" from "[KVM-API] KVM_SET_ONE_REG, KVM_ARM_VCPU_INIT; [KVM-API/8.9]":
        "Reading and writing timer registers through ONE_REG, initialising a vCPU again and moving its thread to \
         another host CPU lose nothing and invent nothing.";
    C13 "neighbours" from "commit d60d8b64280c; CVE-2024-53195":
        "A VM in this mode does no harm to other VMs or to its host.";
    C14 "PMU" from "[KVM-API/8.9] KVM_CAP_ARM_USER_IRQ":
        "KVM reports the PMU's overflow output as a level, by the same rules as the timers' outputs.";
    G1 "GIC registers" from "[GICv2/4.3], [GICv2/4.4] registers":
        "The GIC's registers read, and keep what is written to them, as the specification says.";
    G2 "SGIs" from "[GICv2/4.3.15] GICD_SGIR; [KVM-API/4.25]":
        "An SGI reaches the CPUs that its filter names, once for each source, and wakes or kicks their vCPUs; lines \
         are driven when they move and at no other time.";
    G3 "preemption" from "[GICv2/3.3] interrupt prioritization":
        "A pending interrupt preempts a running one if and only if its group priority is higher.";
    G4 "completion" from "[GICv2/3.2.1] priority drop and interrupt deactivation":
        "A write to EOIR drops the running priority. With EOImode 0 it also deactivates the interrupt; with EOImode 1 \
         a write to DIR deactivates it. An active interrupt is not taken again.";
    G5 "SPIs" from "[GICv2/3.2] interrupt handling state machine; [GICv2/4.3.12], [GICv2/4.3.13]":
        "A level-sensitive SPI is pending for as long as its input is high, an edge-triggered SPI once for each edge, \
         on the CPUs that it targets.";
    G6 "groups" from "[GICv2/2.3], [GICv2/3.4] interrupt grouping; [KVM-API/4.25]":
        "Group 0 drives the FIQ line where FIQEn is set, Group 1 the IRQ line.";
    G7 "GIC state" from "[GICv2/4.3], [GICv2/4.4]; [KVM-API] KVM_GET_REG_LIST, KVM_SET_ONE_REG":
        "A machine saved amid its interrupts goes on in a fresh VM as if nothing had happened.";
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
