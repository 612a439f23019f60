//! The machine that a run is made on, and the unit of its counter.

use serde::{Deserialize, Serialize};

/// What a tick of the counter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// One instruction of an instruction-counted emulator. Never to be read as time.
    #[default]
    Instructions,
    /// The counter's period, on silicon, converted to nanoseconds.
    Nanoseconds,
}

impl Unit {
    /// For a person.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Instructions => "instructions",
            Unit::Nanoseconds => "ns",
        }
    }
}

/// The machine a run was made on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Host {
    /// uname -r.
    pub kernel: String,
    /// uname -v.
    pub build: String,
    /// "VHE", "nVHE", "protected" or "unknown".
    pub kvm_mode: String,
    /// Whether only the kernel's log says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mode_by_log: bool,
    /// The host's interrupt controller.
    pub gic: String,
    /// CPU model.
    pub cpu: String,
    /// CPUs this process may run on.
    pub cpus: usize,
    /// Counter frequency in Hz.
    pub cntfrq: u64,
    /// What a tick is.
    pub unit: Unit,
    /// The CPU frequency governor and the idle states that are on, as far as the kernel says: they move figures on
    /// silicon.
    pub power: String,
    /// What of its settings moves the figures of every system call.
    #[serde(default)]
    pub settings: String,
    /// What the kernel was told when it booted that changes how it behaves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// The CPUs that were named for vCPUs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<usize>,
    /// Whether two runs print the same digits.
    pub deterministic: bool,
}

/// No time is longer, in nanoseconds: 36 years.
const LONGEST: u64 = 1 << 60;

impl Host {
    /// Ticks in the unit of this host.
    pub fn in_unit(&self, ticks: u64) -> u64 {
        match self.unit {
            Unit::Instructions => ticks,
            Unit::Nanoseconds => {
                // Bounded for sums' sake: a slow counter's ticks are long.
                let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(self.cntfrq.max(1));
                u64::try_from(nanoseconds).map_or(LONGEST, |nanoseconds| nanoseconds.min(LONGEST))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_never_converted_to_time() {
        let host = |unit| Host { cntfrq: 25_000_000, unit, ..Host::default() };
        assert_eq!(host(Unit::Instructions).in_unit(7277), 7277);
        assert_eq!(host(Unit::Nanoseconds).in_unit(7277), 291_080);
        assert_eq!(Host { cntfrq: 0, unit: Unit::Nanoseconds, ..Host::default() }.in_unit(u64::MAX), LONGEST);
    }
}
