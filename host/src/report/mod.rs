//! One versioned record of a run; everything that is printed is a view of it.

pub mod atlas;
mod compare;
mod damage;
pub mod html;
pub mod latency;
pub mod lines;
mod meaning;
pub mod rates;
mod record;
mod statistics;
pub mod terminal;
pub mod verdicts;

pub use compare::{CompareError, Comparison, Confidence, Difference, compare};
pub use meaning::{Meaning, Overall, Tally};
pub use record::{CheckRecord, Host, Measured, Record, Unit};
