//! The thread that does what the host is asked to do later.

use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use super::super::clock::{self, counter};
use super::super::{Context, Error};
use super::{Run, actions};
use crate::kvm::lock;
use vtick_contract::{Action, Event};

/// Something another thread shall do at a time.
pub(super) struct Chore {
    /// Host counter.
    pub(super) at: u64,
    /// Index of the action.
    pub(super) action: usize,
}

/// Starts the thread. It ends with the run.
pub(super) fn spawn(run: &Arc<Run>, chores: mpsc::Receiver<Chore>) -> Result<(), Error> {
    let (ready, started) = mpsc::channel();
    let run = Arc::downgrade(run);
    let body = move || {
        prefer_this_thread();
        let _ = ready.send(());
        serve(&run, chores);
    };
    std::thread::Builder::new().name("helper".to_owned()).spawn(body).call("starting a helper thread")?;
    // Not before it has its priority: the first chore may come while a vCPU keeps the only CPU busy.
    let _ = started.recv_timeout(Duration::from_secs(1));
    Ok(())
}

/// Does the chores of a run until that ends. Weak: the run holds the sender of the chores, and must not be kept alive by
/// their receiver.
pub(super) fn serve(run: &Weak<Run>, chores: mpsc::Receiver<Chore>) {
    for chore in chores {
        clock::sleep_until(chore.at);
        let Some(run) = run.upgrade() else { return };
        let mut helped = lock(&run.helped);
        let result = match run.actions[chore.action] {
            Action::LineAfter { vcpu, line, level, .. } => {
                let driven = run.line(vcpu, line, level, true);
                actions::status(driven, Some(vcpu), &mut helped)
            }
            Action::SpiAfter { intid, level, .. } => {
                let driven = run.spi(None, intid, level, &mut helped);
                actions::status(driven, None, &mut helped)
            }
            Action::SignalAfter { vcpu, .. } => {
                run.kicks[vcpu].signal();
                0
            }
            _ => continue,
        };
        helped.push(Event::Action { at: counter(), action: chore.action, due: Some(chore.at), result });
    }
}

/// Real-time priority, where it is permitted: on a host with one CPU the helper has to get in while a vCPU spins. Where
/// it is not, the scheduler's time slices do, later.
pub(super) fn prefer_this_thread() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: concerns this thread alone; the parameters are read during the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}
