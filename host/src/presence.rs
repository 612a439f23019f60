//! A thread that others may reach only as long as it is there.
//!
//! A thread's id is worth nothing once the thread has ended: the kernel gives it to another, and a C library may follow
//! it into memory that is gone. So the id is only lent out under a lock that the thread takes, too, before it ends.

use std::sync::{Mutex, PoisonError};

/// What others need to reach a thread: `None` before it has come and after it has left.
#[derive(Debug)]
pub struct Presence<T>(Mutex<Option<T>>);

impl<T> Default for Presence<T> {
    fn default() -> Presence<T> {
        Presence(Mutex::new(None))
    }
}

/// The thread is there as long as this is.
#[derive(Debug)]
pub struct Here<'a, T>(&'a Presence<T>);

impl<T> Presence<T> {
    /// Called by the thread itself: from now on it can be reached by `handle`, until what is returned is dropped.
    pub fn enter(&self, handle: T) -> Here<'_, T> {
        self.set(Some(handle));
        Here(self)
    }

    /// Does `reach` with the handle, if the thread is there; it does not leave meanwhile.
    pub fn reach<R>(&self, reach: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(reach)
    }

    fn set(&self, handle: Option<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }
}

impl<T> Drop for Here<'_, T> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_thread_is_not_reached_before_it_has_come_or_after_it_has_left() {
        let presence = Presence::default();
        assert_eq!(presence.reach(|handle| *handle), None);
        let here = presence.enter(7);
        assert_eq!(presence.reach(|handle| *handle), Some(7));
        drop(here);
        assert_eq!(presence.reach(|handle| *handle), None);
    }

    #[test]
    fn a_thread_does_not_end_while_it_is_reached() {
        let presence = Presence::default();
        let alive = AtomicBool::new(false);
        for _ in 0..200 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    alive.store(true, Ordering::SeqCst);
                    drop(presence.enter(()));
                    alive.store(false, Ordering::SeqCst);
                });
                scope.spawn(|| {
                    for _ in 0..50 {
                        presence.reach(|()| {
                            std::thread::yield_now();
                            assert!(alive.load(Ordering::SeqCst), "it was reached, and had ended");
                        });
                    }
                });
            });
        }
    }
}
