//! A machine whose time is counted in instructions and which executes next to none any more.
//!
//! A CPU whose exception vectors themselves take an exception goes round for ever without executing anything: a guest at
//! EL1 can do that, and the host's clock, by which a guest that hangs is found, hardly ticks on. Only from outside can it
//! be told from a machine that is busy.

use std::fmt::{Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;

use crate::qmp::Qmp;

/// Silence after which a look is worth it.
const QUIET: Duration = Duration::from_secs(10);
/// From one look to the next.
const EVERY: Duration = Duration::from_secs(3);
/// How much of a processor's time a machine may take while its own advances by less than a fiftieth of that: the slowest
/// that it does, switching between host and guest all the time, is a twentieth.
const WORK: Duration = Duration::from_secs(20);
const LEAST_PACE: u32 = 50;
/// In how many looks at least every register must have been the same.
const LOOKS: u32 = 5;

/// A machine that stands still: how much of a processor's time that has taken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standstill {
    work: Duration,
    places: String,
}

impl Display for Standstill {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Standstill { work, places } = self;
        write!(
            f,
            "the emulated host's time, which is counted in instructions, stands still: in {} s of work it has executed next to \
             none; {places}: its exception vectors take an exception themselves",
            work.as_secs()
        )
    }
}

/// What is seen of a machine in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sample {
    registers: String,
    /// The machine's own time in milliseconds, from an arbitrary beginning: it may be far ahead of this machine's, where
    /// idle time is skipped.
    time: i64,
    /// What it has taken of this machine's processors.
    work: Duration,
}

/// A machine's monitor, which is connected to once.
enum Monitor {
    Untried(PathBuf),
    Open(Qmp),
    /// There is none, or it did not answer.
    None,
}

/// Looks at a silent machine now and then.
pub(super) struct Watch {
    process: u32,
    monitor: Monitor,
    started: Instant,
    looked: Instant,
    /// The first of several looks that have shown the same registers, and how many.
    first: Option<(Sample, u32)>,
}

impl Watch {
    /// Of the machine that is this process and has its monitor, if it has one, behind this socket.
    pub(super) fn new(process: u32, socket: Option<PathBuf>) -> Watch {
        let now = Instant::now();
        let monitor = socket.map_or(Monitor::None, Monitor::Untried);
        Watch { process, monitor, started: now, looked: now, first: None }
    }

    /// Looks, if the machine has been silent for long enough and it is time. A machine that does not answer is not
    /// judged.
    pub(super) fn look(&mut self, silent: Duration) -> Option<Standstill> {
        if silent < QUIET {
            self.first = None;
            return None;
        }
        if self.looked.elapsed() < EVERY {
            return None;
        }
        self.looked = Instant::now();
        let now = self.sample();
        self.judge(now)
    }

    fn judge(&mut self, now: Option<Sample>) -> Option<Standstill> {
        match (&mut self.first, now) {
            (Some((first, looks)), Some(now)) if first.registers == now.registers => {
                *looks += 1;
                let (work, time) = (now.work.saturating_sub(first.work), now.time - first.time);
                let least = (work / LEAST_PACE).as_millis() as i64;
                let still = *looks >= LOOKS && work >= WORK && time < least;
                still.then(|| Standstill { work, places: places(&now.registers) })
            }
            (first, now) => {
                *first = now.map(|now| (now, 1));
                None
            }
        }
    }

    /// What the machine has taken of this machine's processors so far; zero if that cannot be known any more.
    pub(super) fn work(&self) -> Duration {
        work(self.process).unwrap_or_default()
    }

    /// Where the machine's CPUs are now, if it answers.
    pub(super) fn places(&mut self) -> Option<String> {
        self.ask("info registers -a").map(|registers| places(&registers))
    }

    fn sample(&mut self) -> Option<Sample> {
        let registers = self.ask("info registers -a")?;
        let ahead = -behind(&self.ask("info jit")?)?;
        let time = self.started.elapsed().as_millis() as i64 + ahead;
        Some(Sample { registers, time, work: work(self.process)? })
    }

    fn ask(&mut self, question: &str) -> Option<String> {
        if let Monitor::Untried(socket) = &self.monitor {
            self.monitor = Qmp::connect(socket).map_or(Monitor::None, Monitor::Open);
        }
        let Monitor::Open(qmp) = &mut self.monitor else { return None };
        let answer = qmp.human(question).ok();
        if answer.is_none() {
            self.monitor = Monitor::None;
        }
        answer
    }
}

/// By how many milliseconds the machine's time is behind this machine's, as QEMU tells of a machine that counts
/// instructions.
fn behind(told: &str) -> Option<i64> {
    let milliseconds =
        told.lines().find_map(|line| line.strip_prefix("Host - Guest clock")?.trim().strip_suffix(" ms"));
    milliseconds?.parse().ok()
}

/// What a process has taken of the processors so far, system calls included (proc_pid_stat(5), utime and stime).
pub(super) fn work(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let field = |number: usize| fields.split_whitespace().nth(number - 3)?.parse::<u64>().ok();
    Some(Duration::from_millis((field(14)? + field(15)?) * 1000 / clock_ticks_per_second()))
}

/// `CPU 0 at PC 0x41000200 in EL1h, ...` of what QEMU says of all registers.
fn places(registers: &str) -> String {
    let cpus = registers.split("CPU#").skip(1).map(|cpu| {
        let number = cpu.split_whitespace().next().unwrap_or("?");
        let value = |name: &str| cpu.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
        let pc = value(" PC=").and_then(|pc| u64::from_str_radix(pc, 16).ok());
        let pc = pc.map_or_else(|| "?".to_owned(), |pc| format!("{pc:#x}"));
        let level = cpu.split_whitespace().find(|word| word.starts_with("EL") && word.len() == 4).unwrap_or("EL?");
        format!("CPU {number} at PC {pc} in {level}")
    });
    cpus.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(std::process::id(), Some(PathBuf::from("/nowhere/qmp")))
    }

    fn sample(pc: u64, time: i64, work: u64) -> Option<Sample> {
        let registers = format!("\r\nCPU#0\r\n PC={pc:016x} X00=0\r\nPSTATE=600003c5 -ZC- EL1h    FPU disabled\r\n");
        Some(Sample { registers, time, work: Duration::from_secs(work) })
    }

    #[test]
    fn a_machine_that_works_and_gets_nowhere_stands_still_and_says_where() {
        let mut watch = watch();
        let looks =
            (0..=10).map(|n| watch.judge(sample(0x4100_0200, n as i64 * 30 - 5_000_000, n * 3))).collect::<Vec<_>>();
        assert!(looks[..7].iter().all(Option::is_none), "not before {WORK:?}: {looks:?}");
        assert!(looks[7].as_ref().unwrap().to_string().contains("CPU 0 at PC 0x41000200 in EL1h"), "{looks:?}");
    }

    #[test]
    fn one_that_moves_in_any_way_does_not() {
        // A loop of one instruction, at a twentieth of this machine's time; one that sleeps; one that goes about.
        let mut loops = watch();
        assert!((0..=20).all(|n| loops.judge(sample(0x4008_0000, n as i64 * 150, n * 3)).is_none()));
        let mut sleeps = watch();
        assert!((0..=20).all(|_| sleeps.judge(sample(0x4008_0000, 0, 1)).is_none()));
        let mut goes = watch();
        assert!((0..=20).all(|n| goes.judge(sample(0x4008_0000 + n / 4, n as i64 * 30, n * 3)).is_none()));
    }

    #[test]
    fn one_that_does_not_answer_is_not_judged() {
        let mut watch = watch();
        watch.looked -= EVERY;
        assert_eq!((watch.look(Duration::from_secs(3600)), watch.places()), (None, None));
        assert!((0..=20).all(|n| watch.judge(sample(0, 0, n * 3).filter(|_| n % 3 > 0)).is_none()));
    }

    #[test]
    fn what_qemu_and_the_kernel_tell_is_read() {
        let told = "TLB full flushes    0\r\n[TCG profiler not compiled]\r\nHost - Guest clock  13341 ms\r\nMax guest delay     NA\r\n";
        assert_eq!((behind(told), behind("Host - Guest clock  -5000 ms\r\n")), (Some(13_341), Some(-5_000)));
        assert_eq!(behind("TLB full flushes    0\r\n"), None);
        assert!(work(std::process::id()).is_some());
        let cpus = "CPU#0\r\n PC=0000000041000200 X00=0\r\nPSTATE=600003c5 -ZC- EL1h\r\n\
                    CPU#1\r\n PC=ffff800080010000 X00=0\r\nPSTATE=000003c9 ---- EL2h\r\n";
        assert_eq!(places(cpus), "CPU 0 at PC 0x41000200 in EL1h, CPU 1 at PC 0xffff800080010000 in EL2h");
    }
}
