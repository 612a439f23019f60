//! What the host did between two KVM_RUNs, as a slice.

use serde_json::{Map, Value};

use vtick_core::lines::Levels;
use vtick_trace::{Event, Reason, register};

/// What the host did between two KVM_RUNs.
pub(super) struct Turn {
    /// From when, in ticks.
    pub(super) since: u64,
    /// Why KVM_RUN had returned.
    pub(super) reason: Reason,
    /// What goes with that.
    pub(super) detail: u32,
    /// What levels it had reported.
    pub(super) levels: Levels,
    /// The guest's access that was served, if it was one.
    pub(super) access: Option<Event>,
}

impl Turn {
    /// What the slice is called: so that one search finds every access to a register.
    pub(super) fn name(&self) -> String {
        match self.access {
            Some(Event::Access { address, write, .. }) => {
                let what = register(address).map_or_else(|| format!("{address:#x}"), str::to_owned);
                format!("{} {what}", if write { "write" } else { "read" })
            }
            _ => self.reason.name().to_owned(),
        }
    }

    /// What is shown of the slice that is selected.
    pub(super) fn args(&self) -> Map<String, Value> {
        let mut args = Map::new();
        args.insert("levels".to_owned(), self.levels.to_string().into());
        if let Some(Event::Access { address, value, len, .. }) = self.access {
            args.insert("address".to_owned(), format!("{address:#x}").into());
            args.insert("value".to_owned(), format!("{value:#x}").into());
            args.insert("bytes".to_owned(), len.into());
        }
        if self.detail != 0 {
            args.insert("detail".to_owned(), self.detail.into());
        }
        args
    }
}
