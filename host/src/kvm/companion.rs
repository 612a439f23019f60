//! What runs beside a measurement, to disturb it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::measure::{MeasureError, measure};
use super::vgic::Vgic;
use super::{Context, Error, affinity};
use vtick_latency::{Beside, Irqchip, SCENARIOS, Scenario};

/// A thread that runs until this is finished or dropped.
pub(super) struct Companion {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), MeasureError>>>,
}

impl Companion {
    /// Starts it; `None` if nothing is to run.
    pub(super) fn start(beside: Beside) -> Result<Option<Companion>, Error> {
        let body: fn(&AtomicBool) -> Result<(), MeasureError> = match beside {
            Beside::Nothing => return Ok(None),
            Beside::Hog => hog,
            Beside::Neighbour => neighbour,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("beside".to_owned()).spawn(move || body(&stopped));
        Ok(Some(Companion { stop, thread: Some(thread.call("starting a thread")?) }))
    }
}

impl Companion {
    /// Ends it. The error is why it had ended before, and did not disturb what was measured to its end.
    pub(super) fn finish(mut self) -> Result<(), MeasureError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), MeasureError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map_or(Ok(()), |thread| thread.join().expect("the thread beside does not panic"))
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // Something else has failed, which is said.
        let _ = self.end();
    }
}

fn hog(stop: &AtomicBool) -> Result<(), MeasureError> {
    // Where the first vCPU's thread is: anywhere else it would disturb nothing.
    affinity::spread(0, 1);
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
    Ok(())
}

/// One short-lived VM after the other, with whichever in-kernel GIC the host has.
fn neighbour(stop: &AtomicBool) -> Result<(), MeasureError> {
    let plain = SCENARIOS.iter().find(|scenario| scenario.name == "vtimer-wfi").expect("a scenario of that name");
    let short = Scenario { warm_up: 0, interrupts: 100, ..plain.clone() };
    let mut chip = Irqchip::Vgicv3;
    while !stop.load(Ordering::Relaxed) {
        match measure(&short, chip, 0) {
            Ok(_) => {}
            Err(MeasureError::Run(Error::NoVgic(Vgic::V3))) => chip = Irqchip::Vgicv2,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
