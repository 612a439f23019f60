//! Programs that nobody thought of: all short ones ([`enumerate`]), long ones at random ([`random`]), and one with its
//! event moved over every moment of KVM_RUN's path ([`sweep`]). The model of the contract judges them; a program that it
//! objects to is made as small as it can be ([`shrink`]).
//!
//! Pure: programs are made, compared and shrunk here on any machine, and run by the `vtick` crate.

pub mod alphabet;
pub mod compare;
pub mod enumerate;
pub mod random;
pub mod shrink;
pub mod sketch;
pub mod sweep;

pub use alphabet::{ALPHABET, Operation, Scale};
pub use enumerate::Space;
pub use sketch::Sketch;
