//! Runs one command in the emulated host, from power-on to power-off.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use vtick_frame::{Decoder, Event, Exit, Input, Job, Message};

use crate::initramfs::Initramfs;
use crate::kernel::Kernel;
use crate::keyboard::Keyboard;
use crate::process::{ATTENTION, Running, check_interrupted, spawn};
use crate::progress::{self, Step};
use crate::qemu::Machine;
use crate::terminal::Raw;

/// How many of the kernel log's last lines are shown when a run dies.
const LOG_LINES: usize = 30;
/// Settling time of the host before a measurement, in its own time, which costs none here.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);

/// The note of a command whose next word comes soon: what it does until then takes far less than the host's boot did.
const BRIEF: &str = "brief";

/// The longest silence behind [`BRIEF`], on a machine that took so long to boot the host: a multiple, so that whatever
/// else this machine is busy with slows down both.
fn brief(boot: Duration) -> Duration {
    (4 * boot).max(Duration::from_secs(10))
}

/// One run.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// The kernel of the emulated host.
    pub(crate) kernel: &'a Kernel,
    /// The machine it runs on.
    pub(crate) machine: Machine,
    /// Its first process.
    pub(crate) agent: PathBuf,
    /// Programs to put into its /bin.
    pub(crate) programs: Vec<PathBuf>,
    /// What to run there.
    pub(crate) job: Job,
    /// Lines that the command prints with this in front are notes: kept, and not shown. The note [`BRIEF`] says that
    /// the next comes soon.
    pub(crate) notes: Option<char>,
    /// Files to put there besides, each with its path.
    pub(crate) files: Files,
    /// The longest that may pass without a word from there.
    pub(crate) silence: Duration,
    /// The longest that all of it may take.
    pub(crate) timeout: Duration,
    /// Where the kernel log goes.
    pub(crate) log: PathBuf,
}

/// Files from the emulated host: where each was, and all of it.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How the command ended.
    pub(crate) exit: Exit,
    /// The files that the job asked for, as far as there were any.
    pub(crate) files: Files,
}

/// A host that did not live to the end of its job.
#[derive(Debug)]
pub(crate) struct Died {
    /// How, in one line.
    pub(crate) how: String,
    /// The last line of its kernel log, if it left any.
    pub(crate) last_line: Option<String>,
    /// The end of its kernel log, and where all of it is.
    pub(crate) last_words: String,
    /// The notes that the command had printed.
    pub(crate) notes: Vec<String>,
}

impl std::error::Error for Died {}

impl std::fmt::Display for Died {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.how, self.last_words)
    }
}

/// How far a run has come; in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Booting,
    Settling,
    Running,
    Ended,
    Complete,
}

/// Why a run was not left to come to its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// For so long.
    Silent(Duration),
    TooLong,
    /// Somebody wanted to leave.
    Left,
    /// It ended, but this part of what it sent never arrived.
    Lost(u32),
}

/// What has been heard so far.
struct Heard {
    stage: Stage,
    exit: Option<Exit>,
    files: Files,
    trouble: Vec<String>,
    log: Vec<u8>,
    step: Step,
    notes: Option<char>,
    noted: Vec<String>,
    /// The command has said that its next word comes soon.
    brief: bool,
    /// How long the host took to boot.
    boot: Duration,
    /// A line of the command that has not ended yet, where notes have to be told from the rest.
    unended: Vec<u8>,
}

impl Run<'_> {
    /// Boots, runs, collects, and leaves nothing behind, whatever happens. What the command prints is passed on as it
    /// comes.
    pub(crate) fn run(&self) -> Result<Outcome> {
        let scratch = tempfile::tempdir()?;
        let initramfs = scratch.path().join("initramfs");
        fs::write(&initramfs, self.initramfs()?)?;
        let mut command = self.machine.command(&self.kernel.image, &initramfs, scratch.path())?;
        let input = if self.job.input == Input::None { Stdio::null() } else { Stdio::piped() };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());

        let mut heard = Heard {
            stage: Stage::Booting,
            exit: None,
            files: Vec::new(),
            trouble: Vec::new(),
            log: Vec::new(),
            step: Step::new(format!("Booting {}", self.kernel.name)),
            notes: self.notes,
            noted: Vec::new(),
            brief: false,
            boot: Duration::ZERO,
            unended: Vec::new(),
        };
        let mut qemu = spawn(&mut command)?;
        let ended = self.listen(&mut qemu, &mut heard);
        drop(qemu);
        heard.step.clear();
        self.keep_log(&heard.log)?;
        match (ended, heard.exit) {
            (Err(error), _) => Err(error),
            (Ok(None), Some(exit)) if heard.stage == Stage::Complete => {
                for trouble in &heard.trouble {
                    eprintln!("warning: in the emulated host: {trouble}");
                }
                Ok(Outcome { exit, files: heard.files })
            }
            (Ok(why), _) => {
                let (how, last_words) = self.diagnosis(&heard, why);
                let last_line = String::from_utf8_lossy(&heard.log).lines().next_back().map(str::to_owned);
                Err(Died { how, last_line, last_words, notes: heard.noted }.into())
            }
        }
    }

    fn initramfs(&self) -> Result<Vec<u8>> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut archive = Initramfs::new()?;
        archive.file("init", 0o755, &read(&self.agent)?)?;
        archive.file(Job::PATH.trim_start_matches('/'), 0o644, &self.job.encode())?;
        for (path, contents) in &self.files {
            archive.file(path.trim_start_matches('/'), 0o644, contents)?;
        }
        for program in &self.programs {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            archive.file(&format!("bin/{name}"), 0o755, &read(program)?)?;
        }
        Ok(archive.finish()?)
    }

    /// Takes in what comes until the machine is off or has to be stopped.
    fn listen(&self, qemu: &mut Running, heard: &mut Heard) -> Result<Option<Stopped>> {
        let (sender, receiver) = channel();
        let mut serial = qemu.0.stdout.take().context("QEMU has no output")?;
        let mut complaints = qemu.0.stderr.take().context("QEMU has no error output")?;
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(length @ 1..) = serial.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let complaints = std::thread::spawn(move || {
            let mut text = String::new();
            let _what_there_is = complaints.read_to_string(&mut text);
            text
        });

        // What is typed before the command runs waits in the terminal.
        let mut input = qemu.0.stdin.take();
        let mut attended: Option<(Keyboard, Option<Raw>)> = None;
        let mut decoder = Decoder::default();
        let started = Instant::now();
        let mut last_word = Instant::now();
        loop {
            match receiver.recv_timeout(ATTENTION) {
                Ok(bytes) => {
                    last_word = Instant::now();
                    decoder.feed(&bytes).into_iter().try_for_each(|event| heard.take(event))?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            check_interrupted()?;
            if heard.stage == Stage::Running
                && let Some(host) = input.take()
            {
                let raw = if self.job.input == Input::Terminal { Some(Raw::new()?) } else { None };
                attended = Some((Keyboard::start(host)?, raw));
            }
            if heard.stage > Stage::Running {
                attended = None;
            }
            if attended.as_ref().is_some_and(|(keyboard, _)| keyboard.left_in_vain()) {
                return Ok(Some(Stopped::Left));
            }
            if started.elapsed() > self.timeout {
                return Ok(Some(Stopped::TooLong));
            }
            if heard.stage == Stage::Booting {
                heard.boot = started.elapsed();
            }
            let patience = if heard.brief { brief(heard.boot).min(self.silence) } else { self.silence };
            if last_word.elapsed() > patience {
                return Ok(Some(Stopped::Silent(patience)));
            }
        }
        decoder.finish().into_iter().try_for_each(|event| heard.take(event))?;
        let status = qemu.0.wait()?;
        let complaints = complaints.join().map_err(|_| anyhow!("the thread that reads QEMU's complaints failed"))?;
        if !status.success() {
            bail!("QEMU failed ({status}):\n  | {}", complaints.trim_end().replace('\n', "\n  | "));
        }
        Ok(decoder.missing().map(Stopped::Lost))
    }

    fn keep_log(&self, log: &[u8]) -> Result<()> {
        let folder = self.log.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // Two runs at once may share the name: each one's log is whole, and the last one stays.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(log)?;
        file.persist(&self.log)?;
        if progress::verbose() {
            eprintln!("kernel log: {}", self.log.display());
        }
        Ok(())
    }

    /// Why a run without a result has none: in one line, and the last that was heard.
    fn diagnosis(&self, heard: &Heard, why: Option<Stopped>) -> (String, String) {
        let log = String::from_utf8_lossy(&heard.log);
        let panic = log.lines().rev().find(|line| line.contains("Kernel panic"));
        let when = match heard.stage {
            Stage::Booting => "before its first process ran",
            Stage::Settling => "before the command started",
            Stage::Running => "while the command ran",
            Stage::Ended | Stage::Complete => "after the command had ended",
        };
        let mut what = match (panic, why) {
            (Some(panic), _) => format!("the emulated host died {when}: {}", panic.trim()),
            (None, Some(Stopped::Silent(silence))) => {
                let bound = if silence < self.silence { "much longer than it took to boot" } else { "--silence" };
                format!("the emulated host was silent for {} s {when} ({bound}), and was stopped", silence.as_secs())
            }
            (None, Some(Stopped::TooLong)) => {
                format!("the emulated host was stopped {when}, after {} s (--timeout)", self.timeout.as_secs())
            }
            (None, Some(Stopped::Left)) => {
                format!("the emulated host did not end {when} as Ctrl-A x wants, and was stopped")
            }
            (None, Some(Stopped::Lost(part))) => {
                format!("part {part} of what the emulated host sent was lost for good")
            }
            (None, None) if heard.trouble.is_empty() => format!("the emulated host went down {when}"),
            (None, None) => format!("in the emulated host: {}", heard.trouble.join("; ")),
        };
        if heard.stage == Stage::Booting && matches!(why, Some(Stopped::Silent(_))) && log.trim().is_empty() {
            what.push_str("; a kernel needs CONFIG_SERIAL_AMBA_PL011_CONSOLE=y to be heard at all");
        }
        let lines: Vec<_> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
        let mut last_words = String::new();
        if !tail.is_empty() {
            last_words = format!("the end of its kernel log:\n  | {}\n", tail.join("\n  | "));
        }
        last_words.push_str(&format!("all of it is in {}", self.log.display()));
        (what, last_words)
    }
}

impl Heard {
    fn take(&mut self, event: Event) -> Result<()> {
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
                self.step.detail("running");
            }
            Message::Stdout(bytes) => {
                self.step.clear();
                let shown = self.without_notes(bytes);
                let mut out = std::io::stdout().lock();
                out.write_all(&shown).and_then(|()| out.flush()).context("cannot write to standard output")?;
            }
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
