//! The one clock of every measurement: the generic timer's counter, readable from EL0.

use std::time::Duration;

/// CNTVCT_EL0, after ISB: not read ahead of what came before.
#[inline(always)]
pub(super) fn counter() -> u64 {
    let value: u64;
    // SAFETY: reads a register that Linux lets EL0 read; touches no memory.
    unsafe { std::arch::asm!("isb", "mrs {0}, cntvct_el0", out(reg) value, options(nostack)) };
    value
}

/// CNTVCT_EL0 in one instruction. Right after a system call, whose return synchronises the CPU, it is exact; elsewhere it
/// may be read a few instructions early on silicon.
#[inline(always)]
pub(super) fn stamp() -> u64 {
    let value: u64;
    // SAFETY: reads a register that Linux lets EL0 read. Not `nomem`: it stays where it is among system calls.
    unsafe { std::arch::asm!("mrs {0}, cntvct_el0", out(reg) value, options(nostack)) };
    value
}

/// CNTFRQ_EL0: ticks of the counter per second.
pub(super) fn cntfrq() -> u64 {
    let value: u64;
    // SAFETY: reads a register that Linux lets EL0 read; touches no memory.
    unsafe { std::arch::asm!("mrs {0}, cntfrq_el0", out(reg) value, options(nomem, nostack)) };
    value
}

/// Ticks as a duration.
pub(super) fn duration(ticks: u64) -> Duration {
    let frequency = cntfrq();
    Duration::from_secs(ticks / frequency) + Duration::from_nanos((ticks % frequency) * 1_000_000_000 / frequency)
}

/// Nanoseconds as ticks.
pub(super) fn ticks(nanoseconds: u64) -> u64 {
    (u128::from(nanoseconds) * u128::from(cntfrq()) / 1_000_000_000) as u64
}

/// Sleeps until the counter reaches `tick`.
pub(super) fn sleep_until(tick: u64) {
    loop {
        let left = tick.wrapping_sub(counter()) as i64;
        if left <= 0 {
            return;
        }
        std::thread::sleep(duration(left as u64));
    }
}

/// How long this process has had a CPU, its guests included. Where time is counted in instructions a nanosecond is one.
pub fn cpu_time() -> Duration {
    time_of(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// How long this thread has had a CPU, its guest included.
pub(super) fn thread_cpu_time() -> Duration {
    time_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn time_of(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the struct it is given.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Whether the counter counts instructions, as that of an instruction-counted emulator does: then a hundred NOPs take
/// exactly a hundred ticks more than none, every time. No silicon does that.
pub(super) fn counts_instructions() -> bool {
    fn bare() -> u64 {
        let (before, after): (u64, u64);
        // SAFETY: reads the counter twice.
        unsafe {
            std::arch::asm!("mrs {0}, cntvct_el0", "mrs {1}, cntvct_el0", out(reg) before, out(reg) after,
                options(nostack));
        }
        after.wrapping_sub(before)
    }
    fn nops() -> u64 {
        let (before, after): (u64, u64);
        // SAFETY: reads the counter twice, with NOPs between.
        unsafe {
            std::arch::asm!("mrs {0}, cntvct_el0", ".rept 100", "nop", ".endr", "mrs {1}, cntvct_el0",
                out(reg) before, out(reg) after, options(nostack));
        }
        after.wrapping_sub(before)
    }
    // A host interrupt may come between in some of them, hardly in most.
    let exact = (0..32).filter(|_| nops().wrapping_sub(bare()) == 100 && bare() == 1).count();
    exact > 24
}
