//! Hosts that did not live to the end of their job: how that came.

use std::time::Duration;

use super::Run;
use super::heard::{Heard, Stage};
use super::standstill::Standstill;

/// How many of the kernel log's last lines are shown when a run dies.
const LOG_LINES: usize = 30;

/// A host that did not live to the end of its job.
#[derive(Debug)]
pub(crate) struct Died {
    /// How, in one line.
    pub(crate) how: String,
    /// Its time was up, and nothing else was wrong.
    pub(crate) too_long: bool,
    /// The last line of its kernel log, if it left any.
    pub(crate) last_line: Option<String>,
    /// The end of its kernel log, and where all of it is.
    pub(crate) last_words: String,
    /// The notes that the command had printed.
    pub(crate) notes: Vec<String>,
    /// Whether it was stopped from here, because it was silent, took too long or stood still.
    pub(crate) stopped: bool,
    /// Whose doing it was.
    pub(crate) by: By,
}

/// Whose doing a host's death is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Its own, or that of what it ran.
    Itself,
    /// Something else's on this machine: it was killed, or what it sent was lost.
    Others,
    /// The command's wish: it goes on in a fresh host, and nothing is to blame.
    Command,
    /// This program's, which was told how long to wait, or to stop.
    Us,
}

impl std::error::Error for Died {}

impl std::fmt::Display for Died {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.how, self.last_words)
    }
}

/// Why a run was not left to come to its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// For so long.
    Silent(Duration),
    /// For as long as this work of this machine's processors took.
    Busy(Duration),
    TooLong,
    /// Time stands still there, where it is counted in instructions.
    Still(Standstill),
    /// Somebody wanted to leave.
    Left,
    /// The command wants another host to go on in.
    Fresh,
    /// It ended, but this part of what it sent never arrived.
    Lost(u32),
    /// QEMU was ended by somebody else.
    Killed(String),
}

impl Run<'_> {
    /// What is said of a run without a result; `places`: where its CPUs were when it was stopped.
    pub(super) fn died(&self, heard: Heard, why: Option<Stopped>, places: Option<String>) -> Died {
        let log = String::from_utf8_lossy(&heard.log);
        let panic = log.lines().rev().find(|line| line.contains("Kernel panic"));
        let when = match heard.stage {
            Stage::Booting => "before its first process ran",
            Stage::Settling => "before the command started",
            Stage::Running => "while the command ran",
            Stage::Ended | Stage::Complete => "after the command had ended",
        };
        let mut how = match (panic, &why) {
            (Some(panic), _) => format!("the emulated host died {when}: {}", panic.trim()),
            (None, Some(Stopped::Silent(silence))) => {
                let bound = if *silence < self.silence { "much longer than it took to boot" } else { "--silence" };
                format!("the emulated host was silent for {} s {when} ({bound}), and was stopped", silence.as_secs())
            }
            (None, Some(Stopped::Busy(work))) => {
                let (work, boot) = (work.as_secs_f64(), heard.boot.work.as_secs_f64());
                format!(
                    "the emulated host was silent {when} for {work:.1} s of work (its boot took {boot:.1} s), and was stopped"
                )
            }
            (None, Some(Stopped::TooLong)) => {
                let (limit, option) = (self.timeout.as_secs(), self.timeout_option);
                format!("the emulated host was stopped {when}, after {limit} s ({option})")
            }
            (None, Some(Stopped::Still(standstill))) => standstill.to_string(),
            (None, Some(Stopped::Left)) => {
                format!("the emulated host did not end {when} as Ctrl-A x wants, and was stopped")
            }
            (None, Some(Stopped::Fresh)) => "the command cannot go on in this host".to_owned(),
            (None, Some(Stopped::Killed(how))) => format!("{how}, {when}"),
            (None, Some(Stopped::Lost(part))) => {
                format!("part {part} of what the emulated host sent was lost for good")
            }
            (None, None) if heard.trouble.is_empty() => format!("the emulated host went down {when}"),
            (None, None) => format!("in the emulated host: {}", heard.trouble.join("; ")),
        };
        if heard.stage == Stage::Booting && matches!(why, Some(Stopped::Silent(_))) && log.trim().is_empty() {
            how.push_str("; a kernel needs CONFIG_SERIAL_AMBA_PL011_CONSOLE=y to be heard at all");
        }
        // The boot is of interest only if nothing came after it.
        let since = String::from_utf8_lossy(&heard.log[heard.log_before..]);
        let lines: Vec<_> = if since.trim().is_empty() { log.lines() } else { since.lines() }.collect();
        let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
        let mut last_words = String::new();
        if let Some(places) = places {
            last_words = format!("when it was stopped: {places}\n");
        }
        if !tail.is_empty() {
            last_words.push_str(&format!("the end of its kernel log:\n  | {}\n", tail.join("\n  | ")));
        }
        last_words.push_str(&format!("its whole kernel log is in {}", self.log.display()));
        let by = match (panic, &why) {
            (Some(_), _) => By::Itself,
            (None, Some(Stopped::Killed(_) | Stopped::Lost(_))) => By::Others,
            (None, Some(Stopped::Fresh)) => By::Command,
            (None, Some(Stopped::TooLong | Stopped::Left)) => By::Us,
            (None, Some(Stopped::Silent(_) | Stopped::Busy(_) | Stopped::Still(_)) | None) => By::Itself,
        };
        let (too_long, stopped) = (why == Some(Stopped::TooLong), why.is_some() && panic.is_none());
        let last_line = lines.last().map(|line| (*line).to_owned());
        Died { how, by, too_long, stopped, last_line, last_words, notes: heard.noted }
    }
}
