//! One versioned record of a run; everything that is printed is a view of it.

pub mod atlas;
pub mod chrome;
mod compare;
mod damage;
pub mod html;
pub mod latency;
pub mod lines;
pub mod rates;
mod record;
#[cfg(feature = "schema")]
mod schema;
mod statistics;
pub mod terminal;
pub mod verdicts;

pub use compare::{CompareError, Comparison, Confidence, Difference, compare};
pub use record::{Measured, Record};
#[cfg(feature = "schema")]
pub use schema::schema;
