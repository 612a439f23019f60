//! Known kernel faults, by what they look like from outside.

use serde::Serialize;

use super::transcript::{Ending, Transcript};
use crate::lines::Levels;

/// A known fault of the kernel that a transcript matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The commit that repairs it.
    pub fixed_by: &'static str,
    /// What it is.
    pub what: &'static str,
}

/// The known fault that a violated check's transcript looks like.
pub(super) fn recognise(transcript: &Transcript) -> Option<Cause> {
    let overslept = transcript.endings.iter().any(|ending| match ending {
        Ending::Stopped(s) => {
            let expired = s.cntv_ctl & 3 == 1 && s.cntvct.wrapping_sub(s.cntv_cval) as i64 >= 0;
            s.in_wfi && expired && !s.levels.contains(Levels::VTIMER)
        }
        _ => false,
    });
    overslept.then_some(Cause {
        fixed_by: "4ce98bf0865c",
        what: "KVM: arm64: wake-up from WFI when irqchip is in userspace (broken by b57de4ffd7c6, about v5.19)",
    })
}
