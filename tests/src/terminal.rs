//! A command in front of a terminal, and somebody who types.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// The longest that anything is waited for: something may have to be built first.
const PATIENCE: Duration = Duration::from_secs(600);

/// A terminal with a command in front of it, which is killed with all it started when this is dropped.
pub struct Terminal {
    keyboard: File,
    /// The command's end, to look at its settings.
    theirs: File,
    screen: Receiver<Vec<u8>>,
    child: Child,
    seen: Vec<u8>,
    /// How much of that has been waited for.
    passed: usize,
}

impl Terminal {
    /// Starts `command` in front of a terminal.
    pub fn start(mut command: Command) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal that can be opened");
        let name = ptsname(&ours, Vec::new()).expect("a terminal with a name").into_string().expect("a plain name");
        let theirs = OpenOptions::new().read(true).write(true).open(name).expect("its other end");
        let end = || theirs.try_clone().expect("one more of it");
        command.process_group(0);
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the command can be started");
        let keyboard = File::from(ours);
        let mut reader = keyboard.try_clone().expect("one more of it");
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { keyboard, theirs, screen, child, seen: Vec::new(), passed: 0 }
    }

    /// Waits until `what` is on the screen, behind what was waited for before.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait_for(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let new = &self.seen[self.passed..];
            if let Some(at) = new.windows(what.len()).position(|window| window == what.as_bytes()) {
                self.passed += at + what.len();
                return;
            }
            match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(_) => panic!("{what:?} was due on the screen\n{}", self.all()),
            }
        }
    }

    /// Types.
    pub fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("it can be typed");
    }

    /// Whether every key goes to the command as it is: no echo, no lines, no signals.
    pub fn is_raw(&self) -> bool {
        let settings = tcgetattr(&self.theirs).expect("the terminal's settings");
        !settings.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits for the command's end: its status; `None` if a signal ended it.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                self.seen.extend(self.screen.try_iter().flatten());
                return status.code();
            }
            assert!(Instant::now() < deadline, "the command's end was due\n{}", self.all());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that was on the screen.
    pub fn all(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _gone = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _reaped = self.child.wait();
        }
    }
}
