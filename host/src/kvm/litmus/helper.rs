//! The thread that does what the host is asked to do later: one of a run ([`spawn`]), or one for run after run
//! ([`Agenda`]).

use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::Duration;

use super::super::clock::{self, counter};
use super::super::{Context, Error};
use super::{ProgramRun, actions};
use crate::kvm::lock;
use vtick_contract::{Action, Event};

/// Who does the chores of a run.
pub(super) enum Helper {
    /// Its own thread.
    Own(mpsc::Sender<Chore>),
    /// A thread that does those of one run after the other.
    Shared(Arc<Agenda>),
}

impl Helper {
    /// Asks it to do a chore. It ends with the run, not before it.
    pub(super) fn ask(&self, chore: Chore) {
        match self {
            Helper::Own(chores) => drop(chores.send(chore)),
            Helper::Shared(agenda) => agenda.add(chore),
        }
    }
}

/// Something another thread shall do at a time.
pub(super) struct Chore {
    /// Host counter.
    pub(super) at: u64,
    /// Index of the action.
    pub(super) action: usize,
}

/// Starts the thread. It ends with the run.
pub(super) fn spawn(run: &Arc<ProgramRun>, chores: mpsc::Receiver<Chore>) -> Result<(), Error> {
    let run = Arc::downgrade(run);
    start(move || serve(&run, chores))
}

/// Starts a thread that does `work`. It has its priority when this returns: the first chore may come while a vCPU keeps the
/// only CPU busy.
fn start(work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let (ready, started) = mpsc::channel();
    let body = move || {
        prefer_this_thread();
        let _ = ready.send(());
        work();
    };
    std::thread::Builder::new().name("helper".to_owned()).spawn(body).call("starting a helper thread")?;
    let _ = started.recv_timeout(Duration::from_secs(1));
    Ok(())
}

/// Does the chores of a run until that ends. Weak: the run holds the sender of the chores, and must not be kept alive by
/// their receiver.
fn serve(run: &Weak<ProgramRun>, chores: mpsc::Receiver<Chore>) {
    for chore in chores {
        clock::sleep_until(chore.at);
        let Some(run) = run.upgrade() else { return };
        run.help(&chore);
    }
}

impl ProgramRun {
    /// Does a chore, and notes it.
    fn help(&self, chore: &Chore) {
        let mut helped = lock(&self.helped);
        let result = match self.actions[chore.action] {
            Action::LineAfter { vcpu, line, level, .. } => {
                let driven = self.line(vcpu, line, level, true);
                actions::status(driven, Some(vcpu), &mut helped)
            }
            Action::SpiAfter { intid, level, .. } => {
                let driven = self.spi(None, intid, level, &mut helped);
                actions::status(driven, None, &mut helped)
            }
            Action::SignalAfter { vcpu, .. } => {
                self.kicks[vcpu].signal();
                0
            }
            _ => return,
        };
        helped.push(Event::Action { at: counter(), action: chore.action, due: Some(chore.at), result });
    }
}

/// What one thread does for run after run. The thread sleeps on a timer that whoever adds a chore sets: a chore wakes it
/// once, when it is due.
pub(super) struct Agenda {
    timer: std::fs::File,
    due: Mutex<Due>,
}

#[derive(Default)]
struct Due {
    /// The run whose chores these are.
    run: Option<Arc<ProgramRun>>,
    chores: Vec<Chore>,
    over: bool,
}

impl Agenda {
    /// Starts its thread.
    pub(super) fn start() -> Result<Arc<Agenda>, Error> {
        // SAFETY: takes numbers, and returns a descriptor or -1.
        let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) };
        if timer < 0 {
            return Err(std::io::Error::last_os_error()).call("timerfd_create");
        }
        // SAFETY: it was just made, and is nobody else's.
        let timer = unsafe { OwnedFd::from_raw_fd(timer) }.into();
        let agenda = Arc::new(Agenda { timer, due: Mutex::default() });
        let served = Arc::clone(&agenda);
        start(move || served.serve())?;
        Ok(agenda)
    }

    /// The chores from now on are this run's.
    pub(super) fn begin(&self, run: &Arc<ProgramRun>) {
        lock(&self.due).run = Some(Arc::clone(run));
    }

    /// The run is over: none of its chores is done from now on, nor is one under way.
    pub(super) fn end(&self) {
        let mut due = lock(&self.due);
        (due.run, _) = (None, due.chores.clear());
    }

    /// The thread ends.
    pub(super) fn close(&self) {
        *lock(&self.due) = Due { over: true, ..Due::default() };
        self.wake_in(Duration::ZERO);
    }

    fn add(&self, chore: Chore) {
        let mut due = lock(&self.due);
        let first = due.chores.iter().all(|other| chore.at < other.at);
        let at = chore.at;
        due.chores.push(chore);
        if first {
            self.wake_at(at);
        }
    }

    fn wake_at(&self, at: u64) {
        self.wake_in(clock::duration(at.saturating_sub(counter())));
    }

    fn wake_in(&self, time: Duration) {
        // Zero would turn it off.
        let time = time.max(Duration::from_nanos(1));
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let value = libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        let timer = libc::itimerspec { it_interval: never, it_value: value };
        // SAFETY: the kernel reads `timer` during the call, which fails only for a wrong time or descriptor.
        unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), 0, &raw const timer, std::ptr::null_mut()) };
    }

    fn serve(&self) {
        let mut expirations = [0; 8];
        while (&self.timer).read(&mut expirations).is_ok() {
            let mut due = lock(&self.due);
            if due.over {
                return;
            }
            while let Some(first) = (0..due.chores.len()).min_by_key(|&index| due.chores[index].at) {
                if due.chores[first].at > counter() {
                    self.wake_at(due.chores[first].at);
                    break;
                }
                let chore = due.chores.remove(first);
                // Still locked: who ends the run waits for this.
                if let Some(run) = &due.run {
                    run.help(&chore);
                }
            }
        }
    }
}

/// Real-time priority, where it is permitted: on a host with one CPU the helper has to get in while a vCPU spins. Where
/// it is not, the scheduler's time slices do, later.
pub(super) fn prefer_this_thread() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: concerns only this thread; the parameters are read during the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}
