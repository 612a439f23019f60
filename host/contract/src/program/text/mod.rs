//! The language that programs are written and printed in (docs/litmus.md): `.litmus` files.
//!
//! One table says of each kind of line how it reads ([`form::Form`]): the printer and the parser both go by it, so what
//! is printed can be read back. Lengths of time are printed in microseconds of the counter where they are whole ones.

mod actions;
mod error;
mod expectations;
mod form;
mod limits;
mod names;
mod operations;
mod parse;
mod print;
mod setup;
mod slot;
mod token;

pub use error::SyntaxError;
pub use parse::parse;

#[cfg(test)]
mod tests;

/// A program with what its file says of it.
#[derive(Debug)]
pub struct Litmus {
    /// The claim that the program puts to the test, as a sentence; empty: the file makes none.
    pub claim: String,
    /// The clause that the claim is about.
    pub clause: Option<String>,
    /// The program, with what its transcript must show.
    pub program: super::Program,
}

/// How lengths of time are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Units {
    /// As ticks of the counter: in timelines, whose times are ticks.
    Ticks,
    /// In microseconds of a counter of so many ticks a second, where they are whole ones.
    Micros(u64),
}
