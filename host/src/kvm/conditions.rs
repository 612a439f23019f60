//! What the kernel says of how a thread ran, and where it may run.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::affinity;
use vtick_latency::Conditions;

/// Watches the thread that makes it.
pub(super) struct Watch {
    started: Instant,
    switches: u64,
    delay: Option<u64>,
    pinned: Option<usize>,
}

impl Watch {
    /// Gives this thread, the `index`th of `threads`, its CPU, if there are several, and watches it from now on.
    pub(super) fn start(index: usize, threads: usize) -> Watch {
        let pinned = affinity::spread(index, threads);
        Watch { started: Instant::now(), switches: involuntary_switches(), delay: run_delay(), pinned }
    }

    /// What happened since.
    pub(super) fn stop(self) -> Conditions {
        Conditions {
            involuntary_switches: involuntary_switches() - self.switches,
            run_delay: run_delay().zip(self.delay).map(|(now, before)| now - before),
            elapsed: self.started.elapsed().as_nanos() as u64,
            pinned: self.pinned.into_iter().collect(),
            memory: Vec::new(),
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

/// How long the thread that opened it has been ready to run and did not, read again and again.
pub(super) struct RunDelay(Option<File>);

impl RunDelay {
    /// Of the calling thread.
    pub(super) fn open() -> RunDelay {
        RunDelay(File::open("/proc/thread-self/schedstat").ok())
    }

    /// In nanoseconds; 0: the kernel does not say.
    pub(super) fn read(&self) -> u64 {
        let mut text = [0; 64];
        let Some(Ok(length)) = self.0.as_ref().map(|file| file.read_at(&mut text, 0)) else { return 0 };
        std::str::from_utf8(&text[..length]).ok().and_then(delay_of).unwrap_or(0)
    }
}

/// How long this thread has been ready to run and did not, in nanoseconds; `None`: the kernel does not say.
fn run_delay() -> Option<u64> {
    run_delay_in("/proc/thread-self/schedstat")
}

/// The same of a thread of this process, by its kernel id.
pub(super) fn run_delay_of(thread: libc::pid_t) -> Option<u64> {
    run_delay_in(&format!("/proc/self/task/{thread}/schedstat"))
}

/// Where a thread of this process is, by its kernel id: proc(5), /proc/pid/task/tid/{stat,wchan,syscall,stack}.
pub(super) fn place_of(thread: libc::pid_t) -> String {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/task/{thread}/{file}")).ok();
    // stat: the state stands behind the name in parentheses, which may hold anything.
    let state = read("stat").and_then(|stat| Some(stat.rsplit_once(')')?.1.trim_start().chars().next()?.to_string()));
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let known = [("state", state), ("wchan", read("wchan")), ("syscall", read("syscall")), ("stack", read("stack"))];
    let told = known.into_iter().filter_map(|(what, text)| Some(format!("{what} {}", one_line(text?))));
    let told: Vec<String> = told.filter(|text| !text.ends_with(' ')).collect();
    if told.is_empty() { "the host does not say where its thread is".to_owned() } else { told.join(", ") }
}

/// Second field of schedstat (Linux, Documentation/scheduler/sched-stats.rst): time spent waiting on a runqueue.
fn run_delay_in(schedstat: &str) -> Option<u64> {
    delay_of(&std::fs::read_to_string(schedstat).ok()?)
}

fn delay_of(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

/// Resident memory of this process in KiB (proc(5), /proc/pid/statm: second field, in pages); 0: the kernel does not say.
pub(super) fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0);
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * u64::try_from(size).unwrap_or(0) / 1024
}
