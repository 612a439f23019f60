//! A thread that runs beside a measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::kvm::{Context, Error, affinity};

/// A thread that runs until this is finished or dropped.
pub(super) struct Companion<E> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), E>>>,
}

impl<E: Send + 'static> Companion<E> {
    /// Starts a thread that does `work`, which ends when its argument is true.
    pub(super) fn start(work: fn(&AtomicBool) -> Result<(), E>) -> Result<Companion<E>, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("beside".to_owned()).spawn(move || work(&stopped));
        Ok(Companion { stop, thread: Some(thread.call("starting a thread")?) })
    }
}

impl<E> Companion<E> {
    /// Ends it. The error is why it had ended before, and did not disturb what was measured to its end.
    pub(super) fn finish(mut self) -> Result<(), E> {
        self.end()
    }

    fn end(&mut self) -> Result<(), E> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map_or(Ok(()), |thread| thread.join().expect("the thread beside does not panic"))
    }
}

impl<E> Drop for Companion<E> {
    fn drop(&mut self) {
        // Something else has failed, which is said.
        let _ = self.end();
    }
}

/// The work of a thread that only takes CPU time.
pub(super) fn hog<E>(stop: &AtomicBool) -> Result<(), E> {
    // Where the first vCPU's thread is: anywhere else it would disturb nothing.
    affinity::spread(0, 1);
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
    Ok(())
}
