//! Time for devices: a clock that they are given, and the instants at which something happens in one by itself.
//!
//! No device waits: it says when something is due ([`Device::due`](super::Device::due)), and one thread for the whole
//! machine lets it happen then. There is an entry for each such device and no more, and who is late is not late for the
//! guest: a device that is accessed looks at its clock first.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A clock: ticks that never go back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: fn() -> u64,
    /// Ticks per second.
    frequency: u64,
}

impl Clock {
    /// The clock that `now` reads, with so many ticks per second.
    pub fn new(now: fn() -> u64, frequency: u64) -> Clock {
        Clock { now, frequency: frequency.max(1) }
    }

    /// The tick that it is.
    pub fn now(&self) -> u64 {
        (self.now)()
    }

    /// Ticks per second.
    pub fn frequency(&self) -> u64 {
        self.frequency
    }

    /// So many ticks as a duration.
    fn duration(&self, ticks: u64) -> Duration {
        let part = u128::from(ticks % self.frequency) * 1_000_000_000 / u128::from(self.frequency);
        Duration::new(ticks / self.frequency, part as u32)
    }
}

/// When something is due in which device.
pub struct Deadlines {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// A tick for each device.
    due: Vec<Option<u64>>,
    closed: bool,
}

impl Deadlines {
    /// No devices yet.
    pub fn new(clock: Clock) -> Deadlines {
        Deadlines { clock, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more device: its number.
    pub(super) fn add(&self) -> usize {
        let mut state = self.lock();
        state.due.push(None);
        state.due.len() - 1
    }

    /// When something is due in a device, if anything is.
    pub(super) fn set(&self, device: usize, due: Option<u64>) {
        self.lock().due[device] = due;
        self.changed.notify_one();
    }

    /// Waits until something is due in a device: its number. `None`: it was closed.
    pub fn wait(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let earliest = state.due.iter().enumerate().filter_map(|(device, due)| Some(((*due)?, device))).min();
            state = match earliest {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some((due, device)) => match due.checked_sub(self.clock.now()).filter(|&left| left > 0) {
                    None => {
                        // The device is about to say what is next.
                        state.due[device] = None;
                        return Some(device);
                    }
                    Some(left) => {
                        let left = self.clock.duration(left);
                        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                    }
                },
            };
        }
    }

    /// Ends every [`wait`](Deadlines::wait).
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// A clock for tests, which stands still until it is put forward.
#[cfg(test)]
pub(super) mod manual {
    use std::cell::Cell;

    use super::Clock;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    /// Ticks per second.
    pub(crate) const FREQUENCY: u64 = 1_000_000_000;

    /// Of this thread, that is, of this test.
    pub(crate) fn clock() -> Clock {
        Clock::new(|| NOW.get(), FREQUENCY)
    }

    pub(crate) fn forward(ticks: u64) {
        NOW.set(NOW.get() + ticks);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_what_is_not_due_waits() {
        let deadlines = Deadlines::new(manual::clock());
        let (first, second, third) = (deadlines.add(), deadlines.add(), deadlines.add());
        deadlines.set(first, Some(200));
        deadlines.set(third, Some(100));
        deadlines.set(second, Some(u64::MAX));
        manual::forward(200);
        assert_eq!((deadlines.wait(), deadlines.wait()), (Some(third), Some(first)));
        deadlines.close();
        assert_eq!(deadlines.wait(), None);
    }

    #[test]
    fn a_deadline_that_is_moved_nearer_ends_the_wait_and_so_does_the_end() {
        let start = Instant::now();
        // Ticks of a clock that does not go: only being told ends the wait.
        let deadlines = Arc::new(Deadlines::new(Clock::new(|| 1000, 1)));
        let device = deadlines.add();
        deadlines.set(device, Some(1_000_000));
        let waiting = {
            let deadlines = Arc::clone(&deadlines);
            std::thread::spawn(move || (deadlines.wait(), deadlines.wait()))
        };
        deadlines.set(device, Some(999));
        deadlines.close();
        let waited = waiting.join().unwrap();
        assert!(waited == (Some(device), None) || waited == (None, None), "{waited:?}");
        assert!(start.elapsed() < Duration::from_secs(100));
    }
}
