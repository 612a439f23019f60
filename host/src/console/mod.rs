//! The guest's console on the terminal, or on whatever standard input and output are.

mod input;
mod output;
mod terminal;

pub use input::Input;
pub use output::Output;
pub use terminal::Raw;
