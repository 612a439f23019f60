//! The terminal in raw mode: every key goes to a guest, Ctrl-C too.
//!
//! However the program ends, the terminal gets its settings back: [`Raw`] does that when it is dropped, a panic does, and
//! [`restore`] is for a way out on which nothing is dropped. Whoever makes a terminal raw catches signals first.

use std::io::{IsTerminal, stdin};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The settings to give back.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// As long as this lives, the terminal is in raw mode.
#[derive(Debug)]
pub struct Raw(());

/// The bytes that programs write to a raw terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// They go out as they are: another program has prepared them for a terminal.
    AsTheyAre,
    /// As before raw mode: a line's end also goes back to the first column.
    AsBefore,
}

impl Raw {
    /// Puts standard input into raw mode; `None`: it is no terminal.
    pub fn enter(written: Written) -> std::io::Result<Option<Raw>> {
        let terminal = stdin();
        if !terminal.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        if written == Written::AsBefore {
            raw.output_modes = before.output_modes;
        }
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let guard = Raw(());
        // A panic in another thread may end the program before anything is dropped.
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            usual(info);
        }));
        // Keys that were typed before stay: they are for the guest, too.
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Some(guard))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal its settings back, if they were taken.
pub fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Whoever took the terminal away has it.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}
