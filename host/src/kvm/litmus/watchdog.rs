//! Stops a vCPU whose program runs on this very thread, when it takes too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::super::clock::{self, counter};
use super::super::kick::Kick;
use super::super::{Context, Error};

/// Nothing to watch.
const IDLE: u64 = u64::MAX;
/// The deadline has passed, and the vCPUs are being told to stop.
const STOPPING: u64 = u64::MAX - 1;
/// They were told, and have not said yet that they did.
const STOPPED: u64 = u64::MAX - 2;
/// How often a vCPU is told to stop before it is given up.
const MOST_STOPS: u32 = 100;

/// The thread that watches.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Host counter at which the program has taken too long, or one of [`IDLE`], [`STOPPING`] and [`STOPPED`].
    deadline: AtomicU64,
    over: AtomicBool,
}

impl Watchdog {
    /// Starts it; it looks every `period` ticks.
    pub(super) fn start(kicks: Arc<[Kick]>, period: u64) -> Result<Watchdog, Error> {
        let shared = Arc::new(Shared { deadline: AtomicU64::new(IDLE), over: AtomicBool::new(false) });
        let watched = Arc::clone(&shared);
        let body = move || {
            super::helper::prefer_this_thread();
            watched.watch(&kicks, period);
        };
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(body);
        Ok(Watchdog { shared, thread: Some(thread.call("starting a watchdog thread")?) })
    }

    /// A program starts that may take until the host's counter reaches `deadline`.
    pub(super) fn arm(&self, deadline: u64) {
        self.shared.deadline.store(deadline, Ordering::Release);
    }

    /// It has ended. No vCPU is told to stop behind this: that would stop the next program.
    pub(super) fn disarm(&self) {
        let deadline = &self.shared.deadline;
        while deadline
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now != STOPPING).then_some(IDLE))
            .is_err()
        {
            std::thread::yield_now();
        }
    }
}

impl Shared {
    fn watch(&self, kicks: &[Kick], period: u64) {
        let mut stops = 0;
        while !self.over.load(Ordering::Acquire) {
            let now = counter();
            let deadline = self.deadline.load(Ordering::Acquire);
            if deadline > now && deadline != STOPPED {
                stops = 0;
                clock::sleep_until(deadline.min(now + period));
                continue;
            }
            if self.deadline.compare_exchange(deadline, STOPPING, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // The program has just ended.
                continue;
            }
            kicks.iter().for_each(Kick::stop);
            self.deadline.store(STOPPED, Ordering::Release);
            stops += 1;
            if stops > MOST_STOPS {
                // Its thread is this process's main one: nobody is left who could go on.
                eprintln!("error: {}", Error::Stuck(0));
                std::process::exit(2);
            }
            clock::sleep_until(counter() + period);
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}
