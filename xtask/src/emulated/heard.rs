//! What has been heard from the emulated host so far, and what of it is passed on.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use vtick_frame::{Event, Exit, Message};

use super::{Boot, Files, Follower};
use crate::progress::Step;
use crate::say::say;

/// The note of a command whose next word comes soon: what it does until then takes far less than the host's boot did.
const BRIEF: &str = "brief";

/// The note of a command that cannot go on in this host, and wants another.
const FRESH: &str = "fresh";

/// How far a run has come; in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Booting,
    Settling,
    Running,
    Ended,
    Complete,
}

/// What has been heard so far.
pub(super) struct Heard {
    pub(super) stage: Stage,
    pub(super) exit: Option<Exit>,
    pub(super) files: Files,
    pub(super) trouble: Vec<String>,
    pub(super) log: Vec<u8>,
    /// How much of the log came before the command started.
    pub(super) log_before: usize,
    pub(super) step: Step,
    notes: Option<char>,
    mute: bool,
    pub(super) noted: Vec<String>,
    /// The command has said that its next word comes soon.
    pub(super) brief: bool,
    /// The command has asked for a fresh host to go on in.
    pub(super) fresh: bool,
    /// What the host took to boot.
    pub(super) boot: Boot,
    /// Who is told of each note as it comes.
    pub(super) follower: Option<Follower>,
    /// The most work of this machine's processors without a word.
    pub(super) silent_work: Duration,
    /// Complaints are not passed on.
    pub(super) hush: bool,
    /// A line of the command that has not ended yet, where notes have to be told from the rest.
    unended: Vec<u8>,
}

impl Heard {
    /// Nothing yet. What the command prints with `notes` in front is a note; of the rest nothing is shown if `mute`.
    pub(super) fn new(step: Step, notes: Option<char>, mute: bool) -> Heard {
        Heard {
            stage: Stage::Booting,
            exit: None,
            files: Vec::new(),
            trouble: Vec::new(),
            log: Vec::new(),
            log_before: 0,
            step,
            notes,
            mute,
            noted: Vec::new(),
            brief: false,
            fresh: false,
            boot: Boot::default(),
            follower: None,
            silent_work: Duration::ZERO,
            hush: false,
            unended: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Log(line) => {
                self.log.extend_from_slice(&line);
                self.log.push(b'\n');
            }
            Event::Message(message) => self.message(message)?,
        }
        Ok(())
    }

    /// What of the command's output is for a person. Notes are taken out, and an unended line waits for its end.
    fn without_notes(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(mark) = self.notes else { return bytes };
        self.unended.extend(bytes);
        let whole = self.unended.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = self.unended.split_off(whole);
        let lines = std::mem::replace(&mut self.unended, rest);
        let mut shown = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            match String::from_utf8_lossy(line) {
                note if note.starts_with(mark) => {
                    let note = note.trim_end();
                    self.brief = note.strip_prefix(mark) == Some(BRIEF);
                    self.fresh |= note.strip_prefix(mark) == Some(FRESH);
                    if let Some(follower) = &self.follower {
                        follower.follow(note, &self.step);
                    }
                    self.noted.push(note.to_owned());
                }
                _ => shown.extend_from_slice(line),
            }
        }
        shown
    }

    fn message(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Hello(release) => {
                self.stage = Stage::Settling;
                self.step.detail(&format!("Linux {release} is up"));
            }
            Message::Start => {
                self.stage = Stage::Running;
                self.log_before = self.log.len();
                self.step.detail("running");
            }
            Message::Stdout(bytes) => {
                let shown = self.without_notes(bytes);
                if self.mute {
                    return Ok(());
                }
                if self.follower.is_none() {
                    self.step.clear();
                }
                self.step.aside(|| say(&shown))?;
            }
            Message::Stderr(_) if self.hush => {}
            Message::Stderr(bytes) => {
                self.step.clear();
                std::io::stderr().lock().write_all(&bytes).context("cannot write to standard error")?;
            }
            Message::KernelLog(text) => self.log.extend_from_slice(&text),
            Message::File { path, contents } => self.files.push((path, contents)),
            Message::Trouble(text) => self.trouble.push(text),
            Message::Exit(exit) => {
                self.stage = Stage::Ended;
                self.exit = Some(exit);
            }
            Message::End => self.stage = Stage::Complete,
        }
        Ok(())
    }
}
