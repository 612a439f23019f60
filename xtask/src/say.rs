//! Standard output, which may fail: an error like any other, and none at all to tell of where the reader has gone.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// What a shell calls the status of a program that SIGPIPE ended (128 + 13).
pub(crate) const READER_HAS_GONE: i32 = 141;

/// Prints to standard output, at once.
pub(crate) fn say(text: impl AsRef<[u8]>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Whether an error is that nobody reads what is printed.
pub(crate) fn reader_has_gone(error: &anyhow::Error) -> bool {
    let of_output = |cause: &std::io::Error| cause.kind() == ErrorKind::BrokenPipe;
    error.downcast_ref::<std::io::Error>().is_some_and(of_output)
}
