//! Runs the command, and hands on what it writes as it writes it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use vtick_frame::{Exit, Job, Message};

use crate::input::Keyboard;
use crate::wire::Wire;

/// The most that is read before it is sent: a command that never stops writing must still be heard.
const AT_ONCE: u64 = 64 * 1024;

/// Runs `job`'s command to its end.
pub(crate) fn run(job: &Job, wire: &mut Wire) -> io::Result<Exit> {
    let (program, arguments) = job.argv.split_first().ok_or_else(|| io::Error::other("the job names no command"))?;
    let (stdin, mut keyboard) = Keyboard::open(job.input)?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(job.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/tmp")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run {program}: {error}")))?;
    let mut stdout = Pipe::new(child.stdout.take().map(OwnedFd::from))?;
    let mut stderr = Pipe::new(child.stderr.take().map(OwnedFd::from))?;
    // Its end is awaited by descriptor, beside the pipes: what it leaves behind may hold those open for ever.
    let pid = Pid::from_child(&child);
    let ended = pidfd_open(pid, PidfdFlags::empty())?;

    loop {
        let mut descriptors = vec![PollFd::new(&ended, PollFlags::IN)];
        descriptors.extend([&stdout, &stderr].into_iter().filter_map(Pipe::poll));
        descriptors.extend(keyboard.iter().filter_map(Keyboard::poll));
        match poll(&mut descriptors, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let over = !descriptors[0].revents().is_empty();
        let spoke = stdout.pass_on(wire, Message::Stdout)? | stderr.pass_on(wire, Message::Stderr)?;
        if let Some(keyboard) = &mut keyboard {
            keyboard.pass_on()?;
        }
        if over {
            return Ok(exit(child.wait()?));
        }
        if spoke {
            wire.send_kernel_log();
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        (None, signal) => Exit::Signal(u8::try_from(signal.unwrap_or(0)).unwrap_or(0)),
    }
}

/// The reading end of one of the command's output pipes; `None` once it is closed.
struct Pipe(Option<File>);

impl Pipe {
    fn new(end: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(end) = &end {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(Self(end.map(File::from)))
    }

    fn poll(&self) -> Option<PollFd<'_>> {
        self.0.as_ref().map(|end| PollFd::new(end, PollFlags::IN))
    }

    /// Sends everything that can be read now, and says whether there was anything.
    fn pass_on(&mut self, wire: &mut Wire, message: fn(Vec<u8>) -> Message) -> io::Result<bool> {
        let Some(end) = &mut self.0 else { return Ok(false) };
        let mut bytes = Vec::new();
        match end.take(AT_ONCE).read_to_end(&mut bytes) {
            Ok(length) if length as u64 == AT_ONCE => {}
            Ok(_) => self.0 = None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let spoke = !bytes.is_empty();
        if spoke {
            wire.send(&message(bytes));
        }
        Ok(spoke)
    }
}
