//! The terminal of the person in front of it, raw while a guest has it: every key goes there, Ctrl-C too.
//!
//! However this program ends, the terminal gets its settings back: [`Raw`] does that when it is dropped, and
//! [`restore`] is called on the two ways out on which nothing is dropped.

use std::io::{IsTerminal, stdin};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The settings to give back.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// A terminal that is raw until this is dropped.
#[derive(Debug)]
pub(crate) struct Raw(());

impl Raw {
    /// Makes standard input raw, which is a terminal.
    pub(crate) fn new() -> Result<Self> {
        let settings = tcgetattr(stdin())?;
        let mut raw = settings.clone();
        raw.make_raw();
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
        let made = Self(());
        // A panic in another thread ends the program before anything is dropped.
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |what| {
            restore();
            usual(what);
        }));
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(made)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether a person sits at standard input.
pub(crate) fn is_there() -> bool {
    stdin().is_terminal()
}

/// Gives the terminal its settings back, if they were taken.
pub(crate) fn restore() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(settings) = saved {
        let _gone_with_its_window = tcsetattr(stdin(), OptionalActions::Now, &settings);
    }
}
