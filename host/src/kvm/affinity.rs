//! Which host CPU a thread runs on.

use std::sync::OnceLock;

use super::{Context, Error};
use crate::latency::place;

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
    let cpu = place(allowed(), index, threads)?;
    pin(cpu).ok().map(|()| cpu)
}

/// Moves the calling thread to this CPU. It is there when this returns.
pub(super) fn pin(cpu: usize) -> Result<(), Error> {
    // SAFETY: all zeroes is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the CPU comes from `allowed`, and so lies in the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: concerns this thread alone; reads the size given of `set`.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).call("sched_setaffinity"),
    }
}
