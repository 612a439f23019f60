//! What the kernel says of how a thread ran, and where it may run.

use std::time::Instant;

use crate::latency::Conditions;

/// Watches the thread that makes it.
pub(super) struct Watch {
    started: Instant,
    switches: u64,
    delay: Option<u64>,
    pinned: Option<usize>,
}

impl Watch {
    /// Pins this thread to the `index`th of the CPUs it may run on, if there are at least `threads` of them and more than
    /// one, and watches it from now on.
    pub(super) fn start(index: usize, threads: usize) -> Watch {
        let pinned = pin(index, threads);
        Watch { started: Instant::now(), switches: involuntary_switches(), delay: run_delay(), pinned }
    }

    /// What happened since.
    pub(super) fn stop(self) -> Conditions {
        Conditions {
            involuntary_switches: involuntary_switches() - self.switches,
            run_delay: run_delay().zip(self.delay).map(|(now, before)| now - before),
            elapsed: self.started.elapsed().as_nanos() as u64,
            pinned: self.pinned.into_iter().collect(),
        }
    }
}

fn involuntary_switches() -> u64 {
    // SAFETY: an all-zero rusage is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the struct it is given.
    match unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) } {
        0 => usage.ru_nivcsw as u64,
        _ => 0,
    }
}

/// Second field of schedstat (Linux, Documentation/scheduler/sched-stats.rst): time spent waiting on a runqueue.
fn run_delay() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

fn pin(index: usize, threads: usize) -> Option<usize> {
    // SAFETY: an all-zero set is a valid, empty one.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the set it is given, of the size it is told.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed) } != 0 {
        return None;
    }
    // SAFETY: every number asked for is below the size of a set.
    let is_allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &allowed) };
    let cpus: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(is_allowed).collect();
    if cpus.len() < threads.max(2) {
        return None;
    }
    // The last ones: the first CPUs are where most of a host's own interrupts go.
    let cpu = cpus[cpus.len() - threads + index];
    // SAFETY: as above.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `cpu` is below the size of a set.
    unsafe { libc::CPU_SET(cpu, &mut one) };
    // SAFETY: the kernel reads the set it is given, of the size it is told.
    (unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one) } == 0).then_some(cpu)
}
