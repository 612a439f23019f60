//! A system call that the kernel refused.

use serde::{Deserialize, Serialize};

use crate::verdict::{Unheld, not_exercised, violated};
use vtick_core::register_id;

/// A system call that the kernel refused while a program ran, or before it could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    /// Host counter when it came back.
    pub at: u64,
    /// The vCPU it was about; `None`: the VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpu: Option<usize>,
    /// Its name, and what it was for.
    pub call: String,
    /// The register, by its id for ONE_REG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<u64>,
    /// The value that was to be set, as far as it is one of 64 bits at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// Why: the errno.
    pub errno: i32,
    /// Whether the guest had not run yet.
    pub before_the_guest: bool,
}

impl Refusal {
    /// What it means for a claim about a guest that runs: before the guest ran, the claim was not put to the test.
    pub(crate) fn judged<T>(&self, others: usize) -> Result<T, Unheld> {
        let more = match others {
            0 => String::new(),
            1 => ", and one call more".to_owned(),
            others => format!(", and {others} calls more"),
        };
        if self.before_the_guest {
            return not_exercised(format!("{self}{more}"));
        }
        violated(format!("{self}{more}"))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the kernel refused {}", self.call)?;
        self.register.map_or(Ok(()), |id| write!(f, " of {}", register_id::describe(id)))?;
        self.value.map_or(Ok(()), |value| write!(f, " := {value:#x}"))?;
        write!(f, ": {}", std::io::Error::from_raw_os_error(self.errno))
    }
}
