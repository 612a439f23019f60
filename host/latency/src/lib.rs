//! What an interrupt costs: scenarios, samples, and what they add up to. Pure: the `vtick` crate brings the samples.

mod access;
mod conditions;
mod distribution;
mod hops;
mod ledger;
mod measurement;
mod outcome;
mod power;
mod samples;
mod scenario;
mod settings;

pub use access::{AccessCost, AccessCosts, BOUND, Register, program as access_program};
pub use conditions::{Conditions, Fitness, place};
pub use distribution::{Distribution, Summary};
pub use hops::{Hop, Stamp};
pub use ledger::Ledger;
pub use measurement::Measurement;
pub use outcome::{Counts, HopSummary, Outcome};
pub use power::power;
pub use samples::{MOST_SAMPLES, Raw, Samples};
pub use scenario::{Beside, Irqchip, SCENARIOS, Scenario, Span, Stimulus, Wait};
pub use settings::settings;
