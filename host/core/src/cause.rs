//! A known fault of the kernel.

use serde::Serialize;

/// A known fault of the kernel that a transcript matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
            None => write!(f, "{}; not fixed in any kernel", self.what),
        }
    }
}

/// A vCPU in WFI, in PSCI CPU_SUSPEND or suspended by userspace is not woken by its timer.
pub const WFI_NEVER_WAKES: Cause = Cause {
    fixed_by: Some("4ce98bf0865c"),
    what: "KVM: arm64: wake-up from WFI when irqchip is in userspace (broken by b57de4ffd7c6, about v5.19)",
};
