//! What both of the project's programs do for a person at a shell. It knows neither of KVM nor of QEMU.

mod escape;
mod files;
pub mod say;
pub mod terminal;
pub mod values;

pub use escape::{Escape, Typed};
pub use files::{
    MOST, MOST_OF_KERNEL, MOST_OF_TEXT, check_writable, open_regular, open_writable, read_regular, read_text,
};
