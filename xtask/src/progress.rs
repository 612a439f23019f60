//! What a person sees while something takes long. All of it goes to standard error; a pipe gets no animation.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

/// After so long a step is worth a line where there is no terminal, and again each time so much more has passed: silence
/// would look like a hang.
const LONG: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(60);

/// Something under way: a spinner with a text on a terminal. Gone when dropped.
pub(crate) struct Step {
    bar: ProgressBar,
    what: String,
    started: Instant,
    worth_a_line: bool,
    /// Lines that it has said.
    told: AtomicU64,
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
        Self { bar, what, started: Instant::now(), worth_a_line: false, told: AtomicU64::new(0) }
    }

    /// A step that nobody is to see.
    pub(crate) fn hidden() -> Self {
        let (bar, told) = (ProgressBar::hidden(), AtomicU64::new(u64::MAX / 2));
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
        match self.told.fetch_add(1, Ordering::Relaxed) {
            0 => eprintln!("{} ...", self.what),
            minutes => eprintln!("{} ({minutes} min) ...", self.what),
        }
    }

    /// It goes on. Where there is no terminal, that is said now and then.
    pub(crate) fn alive(&self) {
        let told = self.told.load(Ordering::Relaxed);
        let due = if told == 0 { LONG } else { AGAIN * u32::try_from(told).unwrap_or(u32::MAX) };
        if self.bar.is_hidden() && !verbose() && self.started.elapsed() > due {
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
