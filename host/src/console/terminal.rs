//! The terminal in raw mode: every key goes to the guest, Ctrl-C too.

use std::io::{IsTerminal, Stdin, stdin};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// How the terminal was before; where a panic, which ends the process without unwinding, finds it too.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// As long as this lives, the terminal is in raw mode.
pub struct Raw(());

impl Raw {
    /// Puts standard input into raw mode, if it is a terminal; `None` if it is not.
    pub fn enter() -> std::io::Result<Option<Raw>> {
        let terminal: Stdin = stdin();
        if !terminal.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        // What the runner itself prints still goes to the start of the next line.
        raw.output_modes = before.output_modes;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let guard = Raw(());
        let panicked = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            panicked(info);
        }));
        tcsetattr(&terminal, OptionalActions::Flush, &raw)?;
        Ok(Some(guard))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Whoever took the terminal away has it.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}
