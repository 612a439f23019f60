//! What an interrupt costs: scenarios, samples, and what they add up to. Pure: `crate::kvm` brings the samples.

mod conditions;
mod distribution;
mod hops;
mod ledger;
mod measurement;
mod scenario;

pub use conditions::{Conditions, Fitness};
pub use distribution::{Distribution, Summary};
pub use hops::{Hop, Stamp};
pub use ledger::Ledger;
pub use measurement::{Counts, HopSummary, Measurement, Outcome};
pub use scenario::{Beside, Irqchip, SCENARIOS, Scenario, Span, Stimulus, Wait};
