//! What an interrupt costs: scenarios, samples, and what they add up to. Pure: `crate::kvm` brings the samples.

mod distribution;
mod measurement;
mod scenario;

pub use distribution::{Distribution, Summary};
pub use measurement::{Counts, Ledger, Measurement, Outcome};
pub use scenario::{SCENARIOS, Scenario, Span, Wait};
