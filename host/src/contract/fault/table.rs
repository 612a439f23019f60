//! The faults by name, and the checks that must catch each.

use super::Behaviour;

/// A fault that can be injected.
pub struct Fault {
    /// Its name: lower case, words joined by `-`.
    pub name: &'static str,
    /// What the kernel does wrong.
    pub what: &'static str,
    /// How that is played.
    pub behaviour: Behaviour,
    /// The checks that must turn violated.
    pub caught_by: &'static [&'static str],
}

/// All faults that can be injected.
pub const FAULTS: &[Fault] = &[];

/// Checks that no injected fault can violate, and why.
pub const NOT_INJECTABLE: &[(&str, &str)] = &[];
