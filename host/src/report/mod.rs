//! One versioned record of a run; everything that is printed is a view of it.

mod record;
pub mod terminal;

pub use record::{CheckRecord, Host, Record, Unit};
