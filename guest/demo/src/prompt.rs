//! A prompt: a few commands, typed on the console.

use std::fs;
use std::io::{self, BufRead, Write};

use crate::{alarm, kernel_log, verdict};

const HELP: &str = "\
interrupts   the kernel's count of them
work [N]     timers and inter-processor interrupts on every CPU
warnings     what the kernel warned of
echo TEXT    the text
sleep STATE  sleep until the clock's alarm; /sys/power/state names the states
fail         end as after a failure
reboot       start the machine again
off          switch it off";

/// How the machine is to be left.
pub(crate) enum Next {
    /// Switched off.
    PowerOff,
    /// Started again.
    Restart,
}

/// Answers until somebody wants to leave, or nobody can be heard any more.
pub(crate) fn run() -> io::Result<Next> {
    println!("demo: type help");
    let mut lines = io::stdin().lock().lines();
    loop {
        print!("demo> ");
        io::stdout().flush()?;
        let Some(line) = lines.next() else { return Ok(Next::PowerOff) };
        let line = line?;
        let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match command {
            "" => {}
            "help" => println!("{HELP}"),
            "interrupts" => print!("{}", fs::read_to_string("/proc/interrupts")?),
            "work" => match verdict::reach(rest.parse().unwrap_or(50)) {
                Ok(()) => println!("demo: all is well"),
                Err(error) => println!("demo: {error}"),
            },
            "warnings" => kernel_log::warnings()?.iter().for_each(|warning| println!("{}", warning.text)),
            "echo" => println!("{rest}"),
            "fail" => return Err(io::Error::other("somebody wanted it to")),
            "sleep" => match alarm::sleep(rest) {
                Ok(()) => println!("demo: awake again"),
                Err(error) => println!("demo: {error}"),
            },
            "reboot" => return Ok(Next::Restart),
            "off" => return Ok(Next::PowerOff),
            other => println!("there is no command {other}; help lists them"),
        }
    }
}
