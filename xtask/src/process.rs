//! External commands: started so that none outlives this process, awaited so that Ctrl-C is heard, and quoted with
//! their last words when they fail.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::guard::Guarded;
use crate::progress::{self, Step};

/// How many of a failed command's last lines are quoted.
const QUOTED_LINES: usize = 20;
/// How often a wait looks whether somebody has pressed Ctrl-C.
pub(crate) const ATTENTION: Duration = Duration::from_millis(50);

/// The error of a run that was stopped from outside, by this signal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupted(i32);

impl Interrupted {
    /// By a person.
    #[cfg(test)]
    pub(crate) const BY_CTRL_C: Self = Self(SIGINT);

    /// The status that a shell gives a program which a signal ended.
    pub(crate) fn status(self) -> i32 {
        128 + self.0
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The first signal that wanted this to end; 0: none has.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Turns the signals that end a program into an error that every wait in this file returns. A second one ends it at
/// once; its children go with it all the same.
pub(crate) fn catch_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    // In a thread and not in a handler, where a terminal could not be given its settings back.
    std::thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            if SIGNAL.swap(signal, Ordering::Relaxed) != 0 {
                vtick_shell::terminal::restore();
                std::process::exit(Interrupted(signal).status());
            }
        }
    })?;
    Ok(())
}

/// An error if somebody wants this to end.
pub(crate) fn check_interrupted() -> Result<()> {
    match SIGNAL.load(Ordering::Relaxed) {
        0 => Ok(()),
        signal => Err(Interrupted(signal).into()),
    }
}

/// A word of a command as one would type it.
pub(crate) fn quote_word(word: &std::ffi::OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%~".contains(c);
    let word = word.to_string_lossy();
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command as one would type it.
pub(crate) fn quote(command: &Command) -> String {
    let word = quote_word;
    let settings = command.get_envs().filter_map(|(name, value)| Some(format!("{}={}", name.display(), word(value?))));
    settings.chain([word(command.get_program())]).chain(command.get_args().map(word)).collect::<Vec<_>>().join(" ")
}

/// Shows a command, if that is wanted.
pub(crate) fn show(command: &Command) {
    if progress::verbose() {
        eprintln!("+ {}", quote(command));
    }
}

/// A running command that is killed, with all it started, and reaped when dropped; or by the guard, if this process is
/// killed before.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child, #[expect(dead_code, reason = "dropping it is what it is for")] Guarded);

/// Starts `command` in a process group of its own, so that a Ctrl-C reaches only this process, which then decides.
#[expect(unsafe_code, reason = "what runs between fork and exec can't be expressed safely")]
pub(crate) fn spawn(command: &mut Command) -> Result<Running> {
    show(command);
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe functions may be called: this is one system call.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    match command.spawn() {
        Ok(child) => {
            let guarded = Guarded::new(child.id());
            Ok(Running(child, guarded))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{} is not installed", command.get_program().display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot run `{}`", quote(command))),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After the leader has been reaped its group may be gone, which is what is wanted.
        if let Ok(None) = self.0.try_wait() {
            let _already_gone = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _already_gone = self.0.wait();
        }
    }
}

/// Runs `command` to its end with this process's own input and output.
pub(crate) fn run_in_view(command: &mut Command) -> Result<ExitStatus> {
    let mut running = spawn(command.stdin(Stdio::null()))?;
    loop {
        if let Some(status) = running.0.try_wait()? {
            return Ok(status);
        }
        check_interrupted()?;
        std::thread::sleep(ATTENTION / 5);
    }
}

/// What a command printed, as far as it is kept.
#[derive(Debug)]
pub(crate) struct Captured {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// All of its standard output.
    pub(crate) stdout: String,
    /// The lines of both its outputs, standard error last: which came first can't be known of two pipes, and what went
    /// wrong is what the last lines shall say.
    pub(crate) said: Vec<String>,
}

/// Runs `command` to its end out of sight, except that `step` shows its latest line.
pub(crate) fn capture(command: &mut Command, step: Option<&Step>) -> Result<Captured> {
    let mut running = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let lines = lines(&mut running.0);
    let mut stdout = String::new();
    let mut said = Vec::new();
    let mut complaints = Vec::new();
    loop {
        match lines.recv_timeout(ATTENTION) {
            Ok((from_stdout, line)) => {
                // A warning that is not shown whole would only alarm.
                if let Some(step) = step.filter(|_| !line.trim_start().starts_with("warning")) {
                    step.detail(&line);
                }
                if from_stdout {
                    stdout.push_str(&line);
                    stdout.push('\n');
                    said.push(line);
                } else {
                    complaints.push(line);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                check_interrupted()?;
                step.into_iter().for_each(Step::alive);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    said.append(&mut complaints);
    let status = running.0.wait()?;
    check_interrupted()?;
    Ok(Captured { status, stdout, said })
}

/// The same, for a command that has to succeed: its standard output.
pub(crate) fn run(command: &mut Command, step: Option<&Step>) -> Result<String> {
    let captured = capture(command, step)?;
    if !captured.status.success() {
        bail!(failure(command, &captured));
    }
    Ok(captured.stdout)
}

/// A failed command, how it ended and its last lines.
pub(crate) fn failure(command: &Command, captured: &Captured) -> String {
    quote_failure(command, captured, QUOTED_LINES)
}

/// The same with all its lines, for a compiler, whose first words are the ones that matter.
pub(crate) fn failure_in_full(command: &Command, captured: &Captured) -> String {
    quote_failure(command, captured, usize::MAX)
}

fn quote_failure(command: &Command, captured: &Captured, lines: usize) -> String {
    let how = match captured.status.signal() {
        Some(signal) => format!("was killed by signal {signal}"),
        None => format!("failed with status {}", captured.status.code().unwrap_or(-1)),
    };
    let said = &captured.said[captured.said.len().saturating_sub(lines)..];
    let said = if said.is_empty() { "(it printed nothing)".to_owned() } else { said.join("\n  | ") };
    format!("`{}` {how}:\n  | {said}", quote(command))
}

/// The lines of both outputs as they come, each with whether it is of standard output.
fn lines(child: &mut Child) -> Receiver<(bool, String)> {
    let (sender, receiver) = channel();
    let stdout = child.stdout.take().map(|end| (true, Box::new(end) as Box<dyn Read + Send>));
    let stderr = child.stderr.take().map(|end| (false, Box::new(end) as Box<dyn Read + Send>));
    for (from_stdout, end) in stdout.into_iter().chain(stderr) {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut end = BufReader::new(end);
            let mut line = Vec::new();
            while matches!(end.read_until(b'\n', &mut line), Ok(length) if length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                line.clear();
                if sender.send((from_stdout, text)).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failed_command_is_quoted_with_its_status_and_its_last_lines() {
        let error = run(&mut shell("seq 30; echo it broke >&2; exit 7"), None).unwrap_err().to_string();
        assert!(error.starts_with("`sh -c 'seq 30; echo it broke >&2; exit 7'` failed with status 7:\n"), "{error}");
        assert!(error.contains("  | it broke"), "{error}");
        assert!(!error.contains("  | 9\n"), "more than the last lines: {error}");
    }

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let error = run(&mut Command::new("no-such-command-anywhere"), None).unwrap_err().to_string();
        assert_eq!(error, "no-such-command-anywhere is not installed");
    }

    #[test]
    fn a_command_killed_by_a_signal_says_so() {
        let error = run(&mut shell("kill -SEGV $$"), None).unwrap_err().to_string();
        assert!(error.contains("was killed by signal 11"), "{error}");
    }

    #[test]
    fn a_dropped_command_is_gone_with_everything_it_started() {
        let mut running = spawn(shell("sleep 60 & echo $!; wait").stdout(Stdio::piped())).unwrap();
        let mut grandchild = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut grandchild).unwrap();
        let grandchild = std::path::PathBuf::from(format!("/proc/{}", grandchild.trim()));
        assert!(grandchild.exists());
        drop(running);
        // Whoever inherits it may take a moment to reap it.
        let deadline = Instant::now() + Duration::from_secs(5);
        let alive = || std::fs::read_to_string(grandchild.join("stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while alive() {
            assert!(Instant::now() < deadline, "{} is still there", grandchild.display());
            std::thread::sleep(ATTENTION);
        }
    }

    #[test]
    fn a_signal_has_the_status_that_shells_give_it() {
        assert_eq!([SIGHUP, SIGINT, SIGTERM].map(|signal| Interrupted(signal).status()), [129, 130, 143]);
    }
}
