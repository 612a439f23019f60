//! Standard input on its way into the emulated host.

use std::io::Write;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Builder;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use vtick_frame::{encode_end_of_input, encode_input};
use vtick_shell::{Escape, Typed};

use crate::process::ATTENTION;

/// How long the guest's runner may take to leave: the keys for that are handed on to it like all others.
const PATIENCE: Duration = Duration::from_secs(5);

/// A thread that hands on what is typed, until this is dropped; a little longer if the host does not read.
pub(crate) struct Keyboard(Arc<Shared>);

struct Shared {
    started: Instant,
    stop: AtomicBool,
    /// When leaving was asked for: milliseconds since `started`; 0 is never.
    left: AtomicU64,
}

impl Keyboard {
    /// Starts to read standard input and to write to `host`.
    pub(crate) fn start(host: ChildStdin) -> Result<Self> {
        let shared =
            Arc::new(Shared { started: Instant::now(), stop: AtomicBool::new(false), left: AtomicU64::new(0) });
        let theirs = Arc::clone(&shared);
        Builder::new().spawn(move || theirs.hand_on(host))?;
        Ok(Self(shared))
    }

    /// Whether somebody wanted to leave, and nothing came of it for too long.
    pub(crate) fn left_in_vain(&self) -> bool {
        let left = Duration::from_millis(self.0.left.load(Ordering::Relaxed));
        !left.is_zero() && self.0.started.elapsed() > left + PATIENCE
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn hand_on(&self, mut host: ChildStdin) {
        let stdin = std::io::stdin();
        let mut escape = Escape::default();
        let mut bytes = [0; 1024];
        while !self.stop.load(Ordering::Relaxed) {
            let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
            let attention = ATTENTION.try_into().expect("a short time");
            match poll(&mut waiting, Some(&attention)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(_) => return,
            }
            // Not through the standard library's buffer: what it keeps, `poll` does not see.
            let sent = match rustix::io::read(&stdin, &mut bytes) {
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Ok(0) | Err(_) => {
                    let _gone = host.write_all(&encode_end_of_input());
                    return;
                }
                Ok(length) => {
                    let typed = &bytes[..length];
                    if escape.filter(&mut typed.to_vec()) == Typed::Quit {
                        let now = self.started.elapsed().as_millis().max(1);
                        self.left.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
                    }
                    host.write_all(&encode_input(typed))
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}
