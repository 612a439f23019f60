//! The one thread that lets happen what is due in devices.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::GuestRun;
use crate::kvm::{Context, Error};
use vtick_machine::Deadlines;

/// The thread, as long as this lives.
pub(super) struct Timer {
    deadlines: Arc<Deadlines>,
    thread: Option<JoinHandle<()>>,
}

impl Timer {
    /// Starts it.
    pub(super) fn start(run: &Arc<GuestRun>) -> Result<Timer, Error> {
        let (run, deadlines) = (Arc::clone(run), Arc::clone(run.machine.bus.deadlines()));
        let body = {
            let deadlines = Arc::clone(&deadlines);
            move || {
                while let Some(device) = deadlines.wait() {
                    let moved = run.machine.bus.elapse(device, &run.machine.controller);
                    // A line that cannot be driven is found out by the vCPUs' threads too, which can say so.
                    let _ = run.settle(moved);
                }
            }
        };
        let thread = std::thread::Builder::new().name("timer".to_owned()).spawn(body).call("starting a thread")?;
        Ok(Timer { deadlines, thread: Some(thread) })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.deadlines.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
