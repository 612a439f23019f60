//! The guest's console on the terminal, or on whatever standard input and output are.

mod input;
mod output;

pub use input::Input;
pub use output::Output;
