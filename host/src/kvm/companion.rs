//! What runs beside a measurement, to disturb it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::measure::{MeasureError, measure};
use super::vgic::Vgic;
use super::{Context, Error, affinity};
use crate::latency::{Beside, Irqchip, SCENARIOS, Scenario};

/// A thread that runs as long as this lives.
pub(super) struct Companion {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Companion {
    /// Starts it; `None` if nothing is to run.
    pub(super) fn start(beside: Beside) -> Result<Option<Companion>, Error> {
        let body: fn(&AtomicBool) = match beside {
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

impl Drop for Companion {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn hog(stop: &AtomicBool) {
    // Where the first vCPU's thread is: anywhere else it would disturb nothing.
    affinity::spread(0, 1);
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

/// One short-lived VM after the other, with whichever in-kernel GIC the host has. Without any there is no neighbour.
fn neighbour(stop: &AtomicBool) {
    let plain = SCENARIOS.iter().find(|scenario| scenario.name == "vtimer-wfi").expect("a scenario of that name");
    let short = Scenario { warm_up: 0, interrupts: 100, ..plain.clone() };
    let mut chip = Irqchip::Vgicv3;
    while !stop.load(Ordering::Relaxed) {
        match measure(&short, chip, 0) {
            Ok(_) => {}
            Err(MeasureError::Run(Error::NoVgic(Vgic::V3))) => chip = Irqchip::Vgicv2,
            Err(_) => return,
        }
    }
}
