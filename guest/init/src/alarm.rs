//! The real-time clock's alarm, which has to wake a system that sleeps.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::interrupts::{Row, rows, sum};

const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";
const SLEEP: &str = "/sys/power/state";
/// Whole seconds until the alarm: the first of them may be over at once.
const AHEAD: &str = "+2";
/// How long it may be late.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sets the alarm, puts the system to sleep where it can (suspend-to-idle), and sees that the alarm's interrupt came.
pub(crate) fn wakes() -> io::Result<()> {
    if !Path::new(ALARM).exists() {
        println!("demo: this kernel has no real-time clock with an alarm");
        return Ok(());
    }
    let before = taken()?;
    fs::write(ALARM, AHEAD)?;
    let freezes =
        fs::read_to_string(SLEEP).is_ok_and(|states| states.split_whitespace().any(|state| state == "freeze"));
    if freezes {
        fs::write(SLEEP, "freeze")?;
    }
    let start = Instant::now();
    while taken()? == before {
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other("the alarm of the real-time clock never came"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("demo: the alarm of the real-time clock {}", if freezes { "ended the system's sleep" } else { "came" });
    Ok(())
}

fn taken() -> io::Result<u64> {
    Ok(sum(&rows()?, Row::is_rtc).iter().sum())
}
