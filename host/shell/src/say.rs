//! Standard output, which may fail: on a disk that is full the command ends with one line and its status, and where the
//! reader has gone (`vtick report A | head`) it ends like any program whose reader has gone.
//!
//! `println!` of the standard library panics instead. Only what a command prints goes this way; a guest's console has a
//! writer of its own.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// What a shell calls the status of a program that SIGPIPE ended (128 + 13).
const READER_HAS_GONE: i32 = 141;
/// Status of a run that could not go on.
const CANNOT_RUN: i32 = 2;

/// Prints to standard output.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::say::say(format_args!($($text)*)) };
}

/// Prints a line to standard output.
#[macro_export]
macro_rules! println {
    () => { $crate::say::say(format_args!("\n")) };
    ($($text:tt)*) => { $crate::say::say(format_args!("{}\n", format_args!($($text)*))) };
}

pub use crate::{print, println};

/// What the macros come to.
pub fn say(text: Arguments<'_>) {
    #[cfg(any(test, feature = "captured"))]
    if captured::take(text) {
        return;
    }
    check(anstream::stdout().lock().write_fmt(text));
}

/// Everything that was printed is out when this returns.
pub fn flush() {
    check(anstream::stdout().lock().flush());
}

/// Ends the program if its output came to nothing.
pub fn check(written: std::io::Result<()>) {
    let Err(error) = written else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        eprintln!("error: cannot write to standard output: {error}");
    }
    std::process::exit(status(&error));
}

/// The status of a program whose output failed like this.
fn status(error: &std::io::Error) -> i32 {
    if error.kind() == ErrorKind::BrokenPipe { READER_HAS_GONE } else { CANNOT_RUN }
}

/// What tests see of it.
#[cfg(any(test, feature = "captured"))]
pub mod captured {
    use std::cell::RefCell;
    use std::fmt::{Arguments, Write};

    thread_local! {
        static TEXT: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    /// Takes what this thread prints, if it is to be kept.
    pub(super) fn take(text: Arguments<'_>) -> bool {
        TEXT.with_borrow_mut(|kept| kept.as_mut().map(|kept| kept.write_fmt(text))).is_some()
    }

    /// What `work` prints on this thread, and what it returns.
    pub fn of<R>(work: impl FnOnce() -> R) -> (String, R) {
        TEXT.set(Some(String::new()));
        let result = work();
        (TEXT.take().unwrap_or_default(), result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_looked_at_and_has_its_line_ends() {
        let (text, ()) = captured::of(|| {
            print!("{}", 1);
            println!(" and {:>3}", 2);
            println!();
        });
        assert_eq!(text, "1 and   2\n\n");
    }

    #[test]
    fn a_reader_who_has_gone_is_told_from_an_output_that_fails() {
        assert_eq!(status(&ErrorKind::BrokenPipe.into()), 141);
        assert_eq!(status(&ErrorKind::StorageFull.into()), 2);
    }
}
