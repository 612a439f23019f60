//! What happened at the boundary between a guest and its host, event by event.
//!
//! Each thread of a run writes to a [`Tape`] of its own: an array made beforehand, into which an event is copied as it
//! is. No lock, no allocation, no formatting, so that it can stay on. When the run is over, the tapes
//! become a [`Trace`], of which `vtick-report` makes the view for ui.perfetto.dev.
//!
//! Times are ticks of the generic timer's counter. Nothing in here knows of KVM or reads a clock.

mod event;
mod interrupt;
mod tape;

pub use event::{Event, Reason, TimedEvent, register};
pub use interrupt::{Interrupt, interrupts};
pub use tape::{Source, Tape, Trace};
