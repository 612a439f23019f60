//! The real-time clock's alarm, which has to wake a system that sleeps.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::interrupts::{Row, rows, sum};

const NAME: &str = "/sys/class/rtc/rtc0/name";
/// The driver of the clock that the machine has. Under firmware the first clock is the firmware's, which has no alarm.
const DRIVER: &str = "rtc-pl031";
const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";
const STATES: &str = "/sys/power/state";
/// What the state "mem" is: "deep" is the firmware's (PSCI SYSTEM_SUSPEND), otherwise it is "freeze" by another name.
const MEM: &str = "/sys/power/mem_sleep";
/// Whole seconds until the alarm: the first of them may be over at once.
const AHEAD: &str = "+2";
/// How long it may be late.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sleeps in every way there is, and has the alarm end each.
pub(crate) fn wakes() -> io::Result<()> {
    let is_ours = fs::read_to_string(NAME).is_ok_and(|name| name.starts_with(DRIVER));
    if !is_ours || !Path::new(ALARM).exists() {
        println!("demo: this kernel has no real-time clock with an alarm");
        return Ok(());
    }
    // A file that is not there has no words.
    let says = |file: &str, word: &str| {
        fs::read_to_string(file)
            .is_ok_and(|words| words.split_whitespace().any(|one| one.trim_matches(['[', ']']) == word))
    };
    let deep = says(MEM, "deep");
    for (state, possible) in [("freeze", says(STATES, "freeze")), ("mem", deep)] {
        if possible {
            sleep(state)?;
            println!("demo: the alarm of the real-time clock ended the state {state:?}");
        }
    }
    Ok(())
}

/// Goes into a state of /sys/power/state until the alarm, and sees that its interrupt came.
pub(crate) fn sleep(state: &str) -> io::Result<()> {
    let before = taken()?;
    fs::write(ALARM, AHEAD)?;
    fs::write(STATES, state)?;
    let start = Instant::now();
    while taken()? == before {
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other("the alarm of the real-time clock never came"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn taken() -> io::Result<u64> {
    Ok(sum(&rows()?, Row::is_rtc).iter().sum())
}
