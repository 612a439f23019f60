//! What a person sees while something takes long. All of it goes to standard error; a pipe gets no animation.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

static VERBOSE: AtomicBool = AtomicBool::new(false);

/// From now on every external command is shown.
pub(crate) fn be_verbose() {
    VERBOSE.store(true, Ordering::Relaxed);
}

/// Whether `--verbose` was given.
pub(crate) fn verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Whether somebody sees a spinner.
pub(crate) fn watched() -> bool {
    std::io::stderr().is_terminal() && !verbose()
}

/// After so long a step is worth a line where there is no terminal: silence would look like a hang.
const LONG: Duration = Duration::from_secs(5);

/// Something under way: a spinner with a text on a terminal. Gone when dropped.
pub(crate) struct Step {
    bar: ProgressBar,
    what: String,
    started: Instant,
    worth_a_line: bool,
    /// It has said its line.
    told: AtomicBool,
}

impl Step {
    /// A step that is only visible while it lasts, and only on a terminal.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        let what = what.into();
        // With every command shown, a spinner between the lines would only be in the way.
        let bar = if std::io::stderr().is_terminal() && !verbose() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}").expect("a constant template");
        bar.set_style(style);
        bar.set_message(what.clone());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, what, started: Instant::now(), worth_a_line: false, told: AtomicBool::new(false) }
    }

    /// A step that nobody is to see.
    pub(crate) fn hidden() -> Self {
        let (bar, told) = (ProgressBar::hidden(), AtomicBool::new(true));
        Self { bar, what: String::new(), started: Instant::now(), worth_a_line: false, told }
    }

    /// A step that changes what is installed or cached: it leaves a line, even where nobody watches.
    pub(crate) fn essential(what: impl Into<String>) -> Self {
        let mut step = Self::new(what);
        step.worth_a_line = true;
        if step.bar.is_hidden() {
            step.tell();
        }
        step
    }

    fn tell(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            eprintln!("{} ...", self.what);
        }
    }

    /// It goes on. Where there is no terminal, that is said once.
    pub(crate) fn alive(&self) {
        if self.bar.is_hidden() && !verbose() && self.started.elapsed() > LONG {
            self.tell();
        }
    }

    /// The latest word from whatever does the work.
    pub(crate) fn detail(&self, detail: &str) {
        self.bar.set_message(format!("{}: {}", self.what, detail.trim()));
    }

    /// Writes something else, with the spinner out of the way for so long.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the spinner away for good, because something else is going to write.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let on_terminal = !self.bar.is_hidden();
        self.clear();
        if self.worth_a_line && on_terminal && !std::thread::panicking() {
            eprintln!("{} ({:.1} s)", self.what, self.started.elapsed().as_secs_f64());
        }
    }
}
