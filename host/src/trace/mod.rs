//! What happened at the boundary between a guest and its host, event by event.
//!
//! Each thread of a run writes to a [`Tape`] of its own: an array made beforehand, into which an event is copied as it
//! is. No lock, no allocation, no formatting, so that it can stay on. Whoever wants to look at it makes a [`Trace`] of
//! the tapes when the run is over, and of that a view; [`chrome`] is the one for ui.perfetto.dev.
//!
//! Times are ticks of the generic timer's counter. Nothing in here knows of KVM or reads a clock.

#[cfg(test)]
mod checker;
pub mod chrome;
mod event;
mod interrupt;
mod tape;
mod turn;

pub use event::{Event, Reason, Record};
pub use interrupt::{Interrupt, interrupts};
pub use tape::{Source, Tape, Trace};
