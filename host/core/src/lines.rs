//! The two ends of the userspace-irqchip mode: the levels KVM reports and the lines userspace drives.
//!
//! `kvm_run.s.regs.device_irq_level` says what the timers and the PMU put out ([KVM-API/8.9]); KVM_IRQ_LINE of type CPU
//! drives a vCPU's IRQ and FIQ inputs ([KVM-API/4.25]). What stands between the two is in [`crate::controller`].

use serde::{Deserialize, Serialize};
use vtick_abi::intid;

/// Output levels of the devices inside a vCPU, as KVM reports them: the whole field, which has 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Levels(pub u64);

impl Levels {
    /// KVM_ARM_DEV_EL1_VTIMER.
    pub const VTIMER: Levels = Levels(1 << 0);
    /// KVM_ARM_DEV_EL1_PTIMER.
    pub const PTIMER: Levels = Levels(1 << 1);
    /// KVM_ARM_DEV_PMU.
    pub const PMU: Levels = Levels(1 << 2);
    /// No output is asserted.
    pub const NONE: Levels = Levels(0);

    /// Whether all of `other` are asserted.
    pub fn contains(self, other: Levels) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::fmt::Display for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Levels::NONE {
            return write!(f, "-");
        }
        let mut rest = self.0;
        let mut separator = "";
        for (bit, name) in [(Levels::VTIMER, "vtimer"), (Levels::PTIMER, "ptimer"), (Levels::PMU, "pmu")] {
            if self.contains(bit) {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
            rest &= !bit.0;
        }
        if rest != 0 {
            write!(f, "{separator}unknown {rest:#x}")?;
        }
        Ok(())
    }
}

/// Which private interrupt each device raises.
pub const INTIDS: [(Levels, u32); 3] =
    [(Levels::VTIMER, intid::VTIMER), (Levels::PTIMER, intid::PTIMER), (Levels::PMU, intid::PMU)];

/// What becomes of the levels of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    /// Nothing: the lines are driven by hand, or not at all.
    Ignore,
    /// Straight to the CPU: any asserted level raises the IRQ line.
    Wire,
    /// Into the GIC, and the GIC's outputs to the CPU.
    Gic,
}

/// A CPU input that userspace drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// KVM_ARM_IRQ_CPU_IRQ.
    Irq,
    /// KVM_ARM_IRQ_CPU_FIQ.
    Fiq,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Line::Irq => "IRQ",
            Line::Fiq => "FIQ",
        })
    }
}

/// The `irq` argument of KVM_IRQ_LINE for a CPU line ([KVM-API/4.25]): type CPU (0) in bits 27:24, the vCPU's low
/// eight bits in 23:16 and its higher ones (vcpu2_index) in 31:28, the line in 15:0.
pub fn irq_line_id(vcpu: u32, line: Line) -> u32 {
    let number = match line {
        Line::Irq => 0,
        Line::Fiq => 1,
    };
    (vcpu >> 8) << 28 | (vcpu & 0xff) << 16 | number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_irq_line_id_splits_the_vcpu_number_as_the_kernel_wants_it() {
        assert_eq!(irq_line_id(0, Line::Irq), 0);
        assert_eq!(irq_line_id(5, Line::Fiq), 0x0005_0001);
        assert_eq!(irq_line_id(0x1ff, Line::Irq), 0x10ff_0000);
    }

    #[test]
    fn levels_are_named_and_unknown_bits_shown() {
        assert_eq!(Levels(0).to_string(), "-");
        assert_eq!(Levels(3).to_string(), "vtimer+ptimer");
        assert_eq!(Levels(0x11).to_string(), "vtimer+unknown 0x10");
        assert_eq!(Levels(1 << 40).to_string(), "unknown 0x10000000000");
    }
}
