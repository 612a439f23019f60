//! The command's standard input: what is typed outside, from the console to a pipe or a terminal of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use vtick_frame::{Input, InputDecoder};

/// The most that is kept for a command that does not read: then the console is left alone until it does.
const MOST_WAITING: usize = 64 * 1024;

/// From the console to the command.
pub(crate) struct Keyboard {
    console: File,
    decoder: InputDecoder,
    /// The command's end of it; `None` once nothing follows.
    to: Option<File>,
    waiting: Vec<u8>,
    ended: bool,
}

impl Keyboard {
    /// What the command gets as its standard input, and what feeds that.
    pub(crate) fn open(input: Input) -> io::Result<(Stdio, Option<Self>)> {
        let (stdin, to) = match input {
            Input::None => return Ok((Stdio::null(), None)),
            Input::Pipe => pipe()?,
            Input::Terminal => terminal()?,
        };
        // Opened once more, because not to block is a matter of the open file, and whoever writes there shall block.
        let flags = flags(OFlags::NOCTTY | OFlags::NONBLOCK)?;
        let console = OpenOptions::new().read(true).custom_flags(flags).open("/dev/console")?;
        let (decoder, to) = (InputDecoder::default(), Some(File::from(to)));
        Ok((stdin.into(), Some(Self { console, decoder, to, waiting: Vec::new(), ended: false })))
    }

    /// What to wait for: room for what waits, or else something typed.
    pub(crate) fn poll(&self) -> Option<PollFd<'_>> {
        let to = self.to.as_ref()?;
        Some(match self.waiting.is_empty() {
            true => PollFd::new(&self.console, PollFlags::IN),
            false => PollFd::new(to, PollFlags::OUT),
        })
    }

    /// Moves what can be moved.
    pub(crate) fn pass_on(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while self.waiting.len() < MOST_WAITING && !self.ended {
            match self.console.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => {
                    let typed = self.decoder.feed(&bytes[..length]);
                    self.waiting.extend(typed.bytes);
                    self.ended = typed.ended;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let Some(to) = &mut self.to else { return Ok(()) };
        while !self.waiting.is_empty() {
            match to.write(&self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // It has closed its input: nothing that follows is of use to anybody.
                Err(_) => {
                    self.waiting.clear();
                    self.ended = true;
                }
            }
        }
        if self.ended {
            self.to = None;
        }
        Ok(())
    }
}

fn flags(flags: OFlags) -> io::Result<i32> {
    i32::try_from(flags.bits()).map_err(io::Error::other)
}

/// Both ends: the command's, and ours, which never blocks.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&ours, rustix::fs::fcntl_getfl(&ours)? | OFlags::NONBLOCK)?;
    Ok((theirs, ours))
}

/// The same of a terminal that changes nothing of what passes: the one outside has its own settings.
fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?.to_string_lossy().into_owned();
    let theirs = OpenOptions::new().read(true).write(true).custom_flags(flags(OFlags::NOCTTY)?).open(name)?;
    let mut settings = tcgetattr(&theirs)?;
    settings.make_raw();
    tcsetattr(&theirs, OptionalActions::Now, &settings)?;
    rustix::fs::fcntl_setfl(&ours, rustix::fs::fcntl_getfl(&ours)? | OFlags::NONBLOCK)?;
    Ok((theirs.into(), ours))
}
