//! Which host CPU a thread runs on.

use std::sync::OnceLock;

use super::{Context, Error};
use vtick_latency::place;

/// The CPUs that this process might run on when it started.
static ALLOWED: OnceLock<Vec<usize>> = OnceLock::new();

/// The CPUs that this process may run on, as it was when this was first called.
pub(super) fn allowed() -> &'static [usize] {
    ALLOWED.get_or_init(|| {
        // SAFETY: all zeroes is an empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: writes at most the size given to `set`.
        let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
        if result != 0 {
            return Vec::new();
        }
        // SAFETY: `cpu` lies in the set.
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
    })
}

/// Moves the calling thread, the `index`th of `threads`, to a CPU of its own; where there are fewer CPUs, to one that it
/// shares with as few as possible. `None`: there is only one CPU, or it could not be done.
pub(super) fn spread(index: usize, threads: usize) -> Option<usize> {
    let cpu = named(index).or_else(|| place(allowed(), index, threads))?;
    pin(cpu).ok().map(|()| cpu)
}

/// The CPUs that were named for vCPUs; empty: none.
static PINNED: OnceLock<Vec<usize>> = OnceLock::new();

/// Names the CPUs that vCPUs run on: the first for the first, and so on, and from the beginning again.
pub(super) fn pin_vcpus(cpus: Vec<usize>) -> Result<(), Error> {
    for &cpu in &cpus {
        if cpu >= libc::CPU_SETSIZE as usize {
            return Err(std::io::Error::from_raw_os_error(libc::EINVAL)).call("pinning to a CPU that cannot be");
        }
        // Tried on a thread that is gone afterwards: this one stays where it is.
        let tried = std::thread::spawn(move || pin(cpu)).join();
        tried.map_err(|_| std::io::Error::other("panicked")).call("trying a CPU")??;
    }
    PINNED.get_or_init(|| cpus);
    Ok(())
}

/// The CPUs that were named for vCPUs.
pub(super) fn pinned() -> &'static [usize] {
    PINNED.get().map_or(&[], Vec::as_slice)
}

/// The CPU that was named for this vCPU, if one was.
pub(super) fn named(index: usize) -> Option<usize> {
    let cpus = pinned();
    cpus.get(index % cpus.len().max(1)).copied()
}

/// Moves the calling thread to this CPU. It is there when this returns.
pub(super) fn pin(cpu: usize) -> Result<(), Error> {
    pin_thread(0, cpu)
}

/// Moves a thread of this process, by its kernel id, to this CPU; 0: the calling one.
pub(super) fn pin_thread(thread: libc::pid_t, cpu: usize) -> Result<(), Error> {
    restrict(thread, &[cpu])
}

/// Lets the calling thread run wherever this process might when it started.
pub(super) fn unpin() -> Result<(), Error> {
    restrict(0, allowed())
}

/// Has a thread of this process, by its kernel id, run on these CPUs only; 0: the calling one.
fn restrict(thread: libc::pid_t, cpus: &[usize]) -> Result<(), Error> {
    // SAFETY: all zeroes is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the CPUs come from `allowed`, or were tried, and so lie in the set.
    cpus.iter().for_each(|&cpu| unsafe { libc::CPU_SET(cpu, &mut set) });
    // SAFETY: concerns the scheduling of one thread; reads the size given of `set`.
    match unsafe { libc::sched_setaffinity(thread, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).call("sched_setaffinity"),
    }
}
