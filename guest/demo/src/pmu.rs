//! The performance counters: what `perf stat -e cycles` and `perf record` do, without either.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use perf_event::Builder;
use perf_event::events::Hardware;

use crate::interrupts::{Row, rows, sum};

/// Where the kernel lists what counts, and what the CPU's own counters are called there, with or without a number behind.
const SOURCES: &str = "/sys/bus/event_source/devices";
const PMU: &str = "armv8_pmuv3";
/// Cycles between two samples, and how many of those there are to be.
const PERIOD: u64 = 1_000_000;
const SAMPLES: u64 = 20;
/// Bytes of the ring in which the samples wait: more than these take.
const RING: usize = 32 << 10;
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts cycles, and takes samples, each of which takes an interrupt.
pub(crate) fn counts() -> io::Result<()> {
    let sources = fs::read_dir(SOURCES)?.filter_map(Result::ok);
    if !sources.into_iter().any(|source| source.file_name().to_string_lossy().starts_with(PMU)) {
        println!("demo: this guest has no performance counters");
        return Ok(());
    }
    let mut cycles = Builder::new(Hardware::CPU_CYCLES).build()?;
    cycles.enable()?;
    spin(PERIOD);
    cycles.disable()?;
    let counted = cycles.read()?;
    println!("demo: {PERIOD} turns of a loop took {counted} cycles");
    if counted == 0 {
        return Err(io::Error::other("the cycle counter stands still"));
    }

    let before: u64 = sum(&rows()?, Row::is_pmu).iter().sum();
    let mut sampler = Builder::new(Hardware::CPU_CYCLES).sample_period(PERIOD).build()?.sampled(RING)?;
    sampler.enable()?;
    let (start, mut samples) = (Instant::now(), 0);
    while samples < SAMPLES && start.elapsed() < PATIENCE {
        spin(PERIOD / 10);
        while sampler.next_record().is_some() {
            samples += 1;
        }
    }
    sampler.disable()?;
    let interrupts = sum(&rows()?, Row::is_pmu).iter().sum::<u64>() - before;
    println!("demo: {samples} samples of the cycle counter, {interrupts} interrupts");
    if samples < SAMPLES || interrupts < samples {
        return Err(io::Error::other(format!("{SAMPLES} samples were due, with an interrupt each")));
    }
    Ok(())
}

fn spin(turns: u64) {
    (0..turns).for_each(|turn| {
        std::hint::black_box(turn);
    });
}
