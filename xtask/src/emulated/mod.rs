//! Runs one command in the emulated host, from power-on to power-off.

mod code_log;
mod death;
mod handover;
mod heard;
mod saved;
mod standstill;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use vtick_frame::{Decoder, Exit, Input, Job};

pub(crate) use self::code_log::CodeLog;
use self::death::Stopped;
pub(crate) use self::death::{By, Died};
use self::handover::{Agent, handed};
use self::heard::{Heard, Stage};
pub(crate) use self::saved::Patch;
use self::saved::Saved;
use self::standstill::Watch;
use crate::initramfs::Initramfs;
use crate::kernel::Kernel;
use crate::keyboard::Keyboard;
use crate::process::{ATTENTION, Interrupted, Running, check_interrupted, spawn};
use crate::progress::{self, Step};
use crate::qemu::{Clock, Machine};
use vtick_shell::terminal::{Raw, Written};

/// Settling time of the host before a measurement, in its own time, which costs none here.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);

/// How much time of this machine's processors a host took for its boot, and how long that lasted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Boot {
    lasted: Duration,
    work: Duration,
}

impl Boot {
    /// The longest silence after a note `brief`: a multiple of the boot, so that whatever else this machine is busy with
    /// slows down both.
    fn brief(self) -> Duration {
        (4 * self.lasted).max(Duration::from_secs(10))
    }

    /// The most work in such a silence. Work does not depend on what else this machine is busy with.
    fn brief_work(self) -> Duration {
        (self.work / 2).max(Duration::from_secs(1))
    }
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
    /// Lines that the command prints with this in front are notes: kept, and not shown. The note
    /// `brief` says that the next comes soon.
    pub(crate) notes: Option<char>,
    /// Who is told of each note as it comes.
    pub(crate) follower: Option<Follower>,
    /// What else it prints is not passed on.
    pub(crate) mute: bool,
    /// Nor what it complains of, nor what the run is doing.
    pub(crate) hush: bool,
    /// Files to put there besides, each with its path.
    pub(crate) files: Files,
    /// The longest that may pass without a word from there.
    pub(crate) silence: Duration,
    /// The most work of this machine's processors without a word from there, if there is a limit.
    pub(crate) silent_work: Option<Duration>,
    /// The longest that all of it may take, and the option that says so.
    pub(crate) timeout: Duration,
    pub(crate) timeout_option: &'static str,
    /// Where the kernel log goes.
    pub(crate) log: PathBuf,
    /// Where the code that runs is logged, if it is: without the boot of a host that was saved.
    pub(crate) code_log: Option<CodeLog>,
    /// Which saved host the run may resume.
    pub(crate) saving: Saving,
    /// Instructions to be changed before a saved host resumes.
    pub(crate) patches: Vec<Patch>,
}

/// Which saved host a run resumes. Where a host cannot be saved, the run boots one, unless `required`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saving {
    /// The host that an earlier run has left in the cache, if there is one. Otherwise one is booted and saved for this run only.
    pub(crate) kept: bool,
    /// Only a saved host will do.
    pub(crate) required: bool,
}

/// A saved host that a run resumes.
struct Resumed {
    agent: Agent,
    saved: Saved,
    /// The archive that it was booted with.
    initramfs: Vec<u8>,
    /// The job and its files, as the agent takes them.
    handed: Vec<u8>,
}

/// Files from the emulated host: where each was, and all of it.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// Who is told of each note of a command as it comes.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// Takes the notes. One that is gone misses them.
    pub(crate) notes: Sender<String>,
    /// What a note says of how far the command has come, for a person who waits.
    pub(crate) progress: fn(&str) -> Option<String>,
}

impl Follower {
    fn follow(&self, note: &str, step: &Step) {
        let _ = self.notes.send(note.to_owned());
        if let Some(progress) = (self.progress)(note) {
            step.detail(&progress);
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How the command ended.
    pub(crate) exit: Exit,
    /// The files that the job asked for, as far as there were any.
    pub(crate) files: Files,
    /// The notes that the command printed.
    pub(crate) notes: Vec<String>,
    /// The most work of this machine's processors without a word from the emulated one.
    pub(crate) silent_work: Duration,
}

impl Run<'_> {
    /// Boots or resumes a host, runs, collects, and leaves nothing behind, whatever happens. What the command prints is
    /// passed on as it comes.
    pub(crate) fn run(&self) -> Result<Outcome> {
        let scratch = tempfile::tempdir()?;
        let resumed = self.resumed()?;
        let archive = scratch.path().join("initramfs");
        match &resumed {
            Some(resumed) => fs::write(&archive, &resumed.initramfs)?,
            None => fs::write(&archive, self.initramfs(true)?)?,
        }
        let mut command = self.machine.command(&self.kernel.image, &archive, scratch.path())?;
        command.args(self.code_log.iter().flat_map(CodeLog::arguments));
        command.args(resumed.iter().flat_map(|resumed| resumed.saved.arguments(scratch.path())));
        let input = if self.job.input == Input::None { Stdio::null() } else { Stdio::piped() };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());

        let verb = if resumed.is_some() { "Resuming" } else { "Booting" };
        let step = if self.hush { Step::hidden() } else { Step::new(format!("{verb} {}", self.kernel.name)) };
        let mut heard = Heard::new(step, self.notes, self.mute);
        heard.follower.clone_from(&self.follower);
        heard.hush = self.hush;
        let mut qemu = spawn(&mut command)?;
        if let Some(Resumed { agent, handed, .. }) = &resumed {
            agent.hand_over(Saved::load(&mut qemu, scratch.path(), &self.patches)?, handed)?;
        }
        let mut watch = Watch::new(qemu.0.id(), Machine::monitor(scratch.path()));
        let saved = resumed.as_ref().map(|resumed| &resumed.saved);
        let ended = self.listen(&mut qemu, &mut heard, &mut watch, saved);
        // One that stands still has said where.
        let places = match &ended {
            Ok(Some(why)) if !matches!(why, Stopped::Still(_)) => watch.places(),
            _ => None,
        };
        drop(qemu);
        heard.step.clear();
        self.keep_log(&heard.log)?;
        match (ended?, heard.exit) {
            (None, Some(exit)) if heard.stage == Stage::Complete => {
                for trouble in &heard.trouble {
                    eprintln!("warning: in the emulated host: {trouble}");
                }
                Ok(Outcome { exit, files: heard.files, notes: heard.noted, silent_work: heard.silent_work })
            }
            (why, _) => Err(self.died(heard, why, places).into()),
        }
    }

    /// The saved host that the run resumes. `None`: the run boots a host.
    fn resumed(&self) -> Result<Option<Resumed>> {
        let plain = self.machine.clock == Clock::Instructions && !self.machine.waits && self.job.settle == SETTLE;
        let agent = if plain && self.machine.cpus == 1 { Agent::read(&self.agent)? } else { None };
        let handed = handed(&self.job, &self.files);
        let agent = agent.filter(|agent| agent.has_room_for(&handed));
        let Some(agent) = agent else {
            ensure!(!self.saving.required, "this host cannot be saved: it has to have one CPU");
            return Ok(None);
        };
        let initramfs = self.initramfs(false)?;
        match Saved::obtain(self, &agent, &initramfs) {
            Ok(saved) => Ok(Some(Resumed { agent, saved, initramfs, handed })),
            Err(error) if error.is::<Interrupted>() || self.saving.required => Err(error),
            // A host that cannot be saved can still be booted; a host that does not boot is named then.
            Err(error) => {
                if progress::verbose() {
                    eprintln!("the host is not saved: {error:#}");
                }
                Ok(None)
            }
        }
    }

    /// The archive that the kernel unpacks: with the job and its files, or for a host that is given them by hand.
    fn initramfs(&self, with_job: bool) -> Result<Vec<u8>> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut archive = Initramfs::new()?;
        archive.file("init", 0o755, &read(&self.agent)?)?;
        let until_then = Job { settle: self.job.settle, ..Job::default() };
        let (job, files) = if with_job { (&self.job, &self.files[..]) } else { (&until_then, &[][..]) };
        archive.file(Job::PATH.trim_start_matches('/'), 0o644, &job.encode())?;
        for (path, contents) in files {
            archive.file(path.trim_start_matches('/'), 0o644, contents)?;
        }
        for program in &self.programs {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            archive.file(&format!("bin/{name}"), 0o755, &read(program)?)?;
        }
        Ok(archive.finish()?)
    }

    /// Takes in what comes until the machine is off or has to be stopped.
    fn listen(
        &self,
        qemu: &mut Running,
        heard: &mut Heard,
        watch: &mut Watch,
        saved: Option<&Saved>,
    ) -> Result<Option<Stopped>> {
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
        if let Some(saved) = saved {
            heard.boot = saved.boot;
            decoder.feed(&saved.serial).into_iter().try_for_each(|event| heard.take(event))?;
        }
        let started = Instant::now();
        let mut last_word = Instant::now();
        let mut worked = watch.work();
        loop {
            let come = receiver.recv_timeout(ATTENTION);
            let work = watch.work();
            match come {
                Ok(bytes) => {
                    last_word = Instant::now();
                    heard.silent_work = heard.silent_work.max(work.saturating_sub(worked));
                    worked = work;
                    decoder.feed(&bytes).into_iter().try_for_each(|event| heard.take(event))?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            check_interrupted()?;
            if heard.stage == Stage::Running
                && let Some(host) = input.take()
            {
                let raw = if self.job.input == Input::Terminal { Raw::enter(Written::AsTheyAre)? } else { None };
                attended = Some((Keyboard::start(host)?, raw));
            }
            if heard.stage > Stage::Running {
                attended = None;
            }
            if attended.as_ref().is_some_and(|(keyboard, _)| keyboard.left_in_vain()) {
                return Ok(Some(Stopped::Left));
            }
            if heard.fresh {
                return Ok(Some(Stopped::Fresh));
            }
            if started.elapsed() > self.timeout {
                return Ok(Some(Stopped::TooLong));
            }
            if heard.stage == Stage::Booting {
                heard.boot = Boot { lasted: started.elapsed(), work };
            }
            let limit = heard.brief.then(|| heard.boot.brief_work()).into_iter().chain(self.silent_work).min();
            let silent_work = work.saturating_sub(worked);
            if limit.is_some_and(|limit| silent_work > limit) {
                return Ok(Some(Stopped::Busy(silent_work)));
            }
            let patience = if heard.brief { heard.boot.brief().min(self.silence) } else { self.silence };
            if last_word.elapsed() > patience {
                return Ok(Some(Stopped::Silent(patience)));
            }
            if let Some(standstill) = watch.look(last_word.elapsed()) {
                return Ok(Some(Stopped::Still(standstill)));
            }
        }
        decoder.finish().into_iter().try_for_each(|event| heard.take(event))?;
        let status = qemu.0.wait()?;
        let complaints = complaints.join().map_err(|_| anyhow!("the thread that reads QEMU's complaints failed"))?;
        if let Some(how) = killed(status.signal(), &complaints) {
            return Ok(Some(Stopped::Killed(how)));
        }
        if !status.success() {
            bail!(refused(&complaints, status));
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
}

/// How somebody else ended QEMU, if somebody did: some signals it takes for a wish to end well, and says so.
fn killed(signal: Option<i32>, complaints: &str) -> Option<String> {
    let told = complaints.lines().find(|line| line.contains("terminating on signal"));
    let told = told.map(|line| line.split_once(": ").map_or(line, |(_, what)| what));
    match (signal, told) {
        (Some(signal), _) => Some(format!("QEMU was killed by signal {signal}")),
        (None, Some(told)) => Some(format!("QEMU was ended ({told})")),
        (None, None) => None,
    }
}

/// What QEMU says of a machine that it does not want, in one line.
fn refused(complaints: &str, status: ExitStatus) -> String {
    let lines: Vec<&str> = complaints.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = lines.iter().find(|line| line.starts_with("qemu-system")).or(lines.last());
    let told = told.map_or("it says nothing", |line| line.split_once(": ").map_or(line, |(_, what)| what));
    format!("QEMU does not run this machine ({status}): {told}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qemu_that_somebody_killed_is_told_from_one_that_ended() {
        assert_eq!(killed(Some(9), "").as_deref(), Some("QEMU was killed by signal 9"));
        let told = "qemu-system-aarch64: terminating on signal 15 from pid 12 (kill)\n";
        assert_eq!(killed(None, told).as_deref(), Some("QEMU was ended (terminating on signal 15 from pid 12 (kill))"));
        assert_eq!(killed(None, "qemu-system-aarch64: warning: something\n"), None);
    }

    #[test]
    fn what_qemu_complains_of_is_one_line() {
        let said = "qemu-system-aarch64: unable to find CPU model 'x'\nUse -cpu help\n";
        let line = refused(said, ExitStatus::from_raw(256));
        assert_eq!(line, "QEMU does not run this machine (exit status: 1): unable to find CPU model 'x'");
        assert!(refused("", ExitStatus::from_raw(256)).ends_with("it says nothing"));
    }
}
