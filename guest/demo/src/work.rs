//! Work for timers and inter-processor interrupts.

use std::io;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// Long enough that a CPU with nothing else to do goes to sleep.
const NAP: Duration = Duration::from_millis(1);

/// On every CPU at once, so many naps: a timer interrupt there for each.
pub(crate) fn timers(cpus: usize, rounds: u32) -> io::Result<()> {
    let nap = |cpu| on(cpu, move || (0..rounds).for_each(|_| std::thread::sleep(NAP)));
    let naps = (0..cpus).map(nap).collect::<io::Result<Vec<_>>>()?;
    naps.into_iter().try_for_each(join)
}

/// Between each CPU and the next, so many wake-ups there and back: whoever is woken sleeps on its CPU, which takes an
/// interrupt from the other.
pub(crate) fn wake_ups(cpus: usize, rounds: u32) -> io::Result<()> {
    for cpu in 0..cpus {
        let (there, their_end) = channel();
        let (back, our_end) = channel();
        let other = on((cpu + 1) % cpus, move || {
            while let Ok(round) = their_end.recv() {
                if back.send(round).is_err() {
                    break;
                }
            }
        })?;
        let one = on(cpu, move || {
            for round in 0..rounds {
                // The other one has to be asleep again, or it needs no waking.
                std::thread::sleep(NAP);
                if there.send(round).is_err() || our_end.recv() != Ok(round) {
                    break;
                }
            }
        })?;
        join(one)?;
        join(other)?;
    }
    Ok(())
}

/// A thread that stays on one CPU.
fn on(cpu: usize, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<io::Result<()>>> {
    Builder::new().spawn(move || {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set)?;
        work();
        Ok(())
    })
}

fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed")))
}
