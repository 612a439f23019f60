//! Threads that take the CPUs from those of a program, at instants and for durations drawn from a seed: on a deterministic
//! host the same seed makes the same run.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use super::super::clock::{self, cntfrq, counter};
use super::super::{Context, Error, affinity};
use super::{Placement, ProgramRun};
use vtick_contract::{Disturbance, Event};

/// Bounds of what is drawn, in microseconds: how long one is quiet, and how long busy. Short ones are drawn as often as
/// ones ten times as long.
const QUIET: (u64, u64) = (50, 6_400);
const BUSY: (u64, u64) = (5, 20_000);
/// Higher than the helper's.
const REAL_TIME: i32 = 2;

/// What disturbs a program, as long as this lives.
pub(super) struct Disturber {
    /// Dropped: the threads end.
    stop: Vec<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<Vec<Event>>>,
}

impl Disturber {
    /// Starts a thread on each CPU that this process may use; none without a seed.
    pub(super) fn start(seed: Option<u64>, run: &Arc<ProgramRun>) -> Result<Disturber, Error> {
        let mut disturber = Disturber { stop: Vec::new(), threads: Vec::new() };
        let Some(seed) = seed else { return Ok(disturber) };
        // Not in every run: no long sleep would ever be seen to its end.
        let signals = Random(seed).below(3) == 0;
        for (index, &cpu) in affinity::allowed().iter().enumerate() {
            let (stop, stopped) = mpsc::channel();
            let own = Own {
                random: Random(seed.wrapping_add(index as u64)),
                cpu,
                signals,
                run: Arc::downgrade(run),
                stopped,
            };
            let thread = std::thread::Builder::new().name("disturb".to_owned()).spawn(move || own.disturb());
            disturber.threads.push(thread.call("starting a thread that disturbs")?);
            disturber.stop.push(stop);
        }
        Ok(disturber)
    }

    /// Ends the threads, and says what they did.
    pub(super) fn stop(mut self) -> Vec<Event> {
        self.stop.clear();
        self.threads.drain(..).flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

/// One thread's.
struct Own {
    random: Random,
    cpu: usize,
    signals: bool,
    run: Weak<ProgramRun>,
    stopped: mpsc::Receiver<()>,
}

impl Own {
    fn disturb(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        // Where it may not be pinned it disturbs whatever is where it happens to be.
        let _ = affinity::pin(self.cpu);
        loop {
            let quiet = ticks(self.random.between(QUIET));
            match self.stopped.recv_timeout(clock::duration(quiet)) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return events,
            }
            let what = match self.random.below(16) {
                0 if self.signals => self.signal(),
                1 | 2 => self.migrate(),
                kind => Some(self.busy(kind % 2 == 0)),
            };
            events.extend(what.map(|what| Event::Disturbed { at: counter(), what }));
        }
    }

    /// Keeps this CPU busy.
    fn busy(&mut self, real_time: bool) -> Disturbance {
        let until = counter() + ticks(self.random.between(BUSY));
        let began = counter();
        set_real_time(real_time.then_some(REAL_TIME));
        while counter() < until && self.stopped.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            std::hint::spin_loop();
        }
        set_real_time(None);
        Disturbance::Busy { cpu: self.cpu, ticks: counter() - began, real_time }
    }

    /// A signal to a vCPU's thread, which ends its KVM_RUN and means nothing.
    fn signal(&mut self) -> Option<Disturbance> {
        let run = self.run.upgrade()?;
        let vcpu = self.random.below(run.kicks.len() as u64) as usize;
        run.kicks[vcpu].signal();
        Some(Disturbance::Signal { vcpu })
    }

    /// A vCPU's thread goes to another CPU, where it is not to be on a certain one.
    fn migrate(&mut self) -> Option<Disturbance> {
        let run = self.run.upgrade().filter(|run| run.placement == Placement::Anywhere)?;
        let cpus = affinity::allowed();
        let vcpu = self.random.below(run.kicks.len() as u64) as usize;
        let cpu = cpus[self.random.below(cpus.len() as u64) as usize];
        let moved = cpus.len() > 1 && affinity::pinned().is_empty() && run.kicks[vcpu].move_to(cpu);
        moved.then_some(Disturbance::Moved { vcpu, cpu })
    }
}

/// Microseconds as ticks.
fn ticks(us: u64) -> u64 {
    us * cntfrq() / 1_000_000
}

/// This thread's priority: real-time, where that is permitted, or ordinary.
fn set_real_time(priority: Option<i32>) {
    let policy = if priority.is_some() { libc::SCHED_FIFO } else { libc::SCHED_OTHER };
    let parameters = libc::sched_param { sched_priority: priority.unwrap_or(0) };
    // SAFETY: concerns only this thread; the parameters are read during the call.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
}

/// Numbers that look random, the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 0 to `bound` - 1.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Between two bounds, evenly on a scale of powers of two.
    fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        let octave = self.below(u64::from((most / least).ilog2()) + 1);
        let from = least << octave;
        (from + self.below(from)).min(most)
    }
}
