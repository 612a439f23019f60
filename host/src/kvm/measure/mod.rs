//! Runs a latency measurement: the VM, its vCPUs' threads, and who watches them.

mod accesses;
mod companion;
mod run_loop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kvm_ioctls::DeviceFd;
use vtick_abi::layout::MEASURE_BASE;
use vtick_abi::mailbox;
use vtick_abi::measure::{Config, MAX_SAMPLES};

use companion::{Companion, hog};

use super::conditions::Watch;
use super::kick::Kick;
use super::vcpu::Vcpu;
use super::vm::Vm;
use super::{Context, Error, clock, vgic};
use vtick_contract::Ending;
use vtick_core::Vgic;
use vtick_core::controller::Controller;
use vtick_core::lines::Routing;
use vtick_latency::{Beside, Irqchip, Measurement, SCENARIOS, Scenario};

/// Samples the guest keeps before it hands them over.
const BATCH: u64 = 1024;
const _: () = assert!(BATCH <= MAX_SAMPLES);

pub(super) use accesses::accesses;

/// Why a measurement came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The guest could not be run.
    #[error(transparent)]
    Run(#[from] Error),
    /// The guest stopped before its end.
    #[error("{scenario}: the guest did not come to its end after {samples} interrupts: {ending}")]
    Ended {
        /// Which scenario.
        scenario: String,
        /// Interrupts measured by then.
        samples: u64,
        /// What it was doing.
        ending: String,
    },
    /// What has to run beside the guest did not run to the end.
    #[error("{scenario}: what runs beside the guest came to its end too early: {why}")]
    Beside {
        /// Which scenario.
        scenario: String,
        /// How that came.
        why: Box<MeasureError>,
    },
}

impl MeasureError {
    /// Whether this host has no in-kernel GIC for the VM beside the guest, which is no fault of anything.
    pub fn lacks_neighbour(&self) -> bool {
        let MeasureError::Beside { why, .. } = self else { return false };
        matches!(**why, MeasureError::Run(Error::NoVgic(_)))
    }
}

/// What the threads of a measurement share.
struct MeasuredRun {
    vm: Vm,
    controller: Controller,
    kicks: Vec<Kick>,
    irqchip: Irqchip,
    /// What the guest is to do.
    command: u64,
    intid: u64,
    plant: u64,
    /// Handovers so far. A counter and not a channel: the vCPUs' threads make no system call for it, and nobody wakes.
    progress: AtomicU64,
    /// Threads of vCPUs that have not come to their end.
    running: AtomicUsize,
    _vgic: Option<DeviceFd>,
}

/// One vCPU's thread, as long as it runs.
type Thread = JoinHandle<Ended>;
/// What it brings back.
type Ended = (Result<Ending, Error>, Measurement);

/// Measures `scenario` with `irqchip`.
pub(super) fn measure(scenario: &Scenario, irqchip: Irqchip, plant: u64) -> Result<Measurement, MeasureError> {
    let vm = Vm::new()?;
    let config = Config {
        stimulus: scenario.stimulus.abi(),
        wait: scenario.wait.abi(),
        chip: irqchip.abi(),
        reserved: 0,
        warm_up: scenario.warm_up.min(BATCH),
        interrupts: scenario.interrupts,
        delay: scenario.delay.ticks(clock::cntfrq()),
        spread: scenario.spread.ticks(clock::cntfrq()),
        period: scenario.period.ticks(clock::cntfrq()),
        patience: clock::cntfrq(),
        batch: BATCH,
    };
    vm.write_records(MEASURE_BASE, &[config])?;
    let vcpus = (0..scenario.vcpus).map(|index| vm.vcpu(index)).collect::<Result<Vec<_>, _>>()?;
    let (vcpus, kicks): (Vec<Vcpu>, Vec<Kick>) = vcpus.into_iter().unzip();
    let vgic = match irqchip {
        Irqchip::User | Irqchip::Bare => None,
        Irqchip::Vgicv2 => Some(vgic::create(&vm.fd, Vgic::V2)?),
        Irqchip::Vgicv3 => Some(vgic::create(&vm.fd, Vgic::V3)?),
    };
    let run = Arc::new(MeasuredRun {
        vm,
        controller: Controller::new(scenario.vcpus, Routing::Gic),
        kicks,
        irqchip,
        command: mailbox::COMMAND_MEASURE,
        intid: scenario.stimulus.intid().unwrap_or(0),
        plant,
        progress: AtomicU64::new(0),
        running: AtomicUsize::new(scenario.vcpus),
        _vgic: vgic,
    });
    let beside = match scenario.beside {
        Beside::Nothing => None,
        Beside::Hog => Some(Companion::start(hog)?),
        Beside::Neighbour => Some(Companion::start(neighbour)?),
    };
    let threads = start(&run, scenario, vcpus)?;
    let ended = watch(&run, threads, &config);
    if let Some(beside) = beside {
        beside.finish().map_err(|why| MeasureError::Beside { scenario: scenario.name.to_string(), why: why.into() })?;
    }

    let mut all = Measurement::new(scenario, irqchip);
    for (ending, measurement) in ended? {
        match ending? {
            Ending::Done => all.merge(&measurement),
            other => {
                return Err(MeasureError::Ended {
                    scenario: scenario.name.to_string(),
                    samples: measurement.seen(),
                    ending: vtick_contract::diagnose(&other),
                });
            }
        }
    }
    Ok(all)
}

fn start(run: &Arc<MeasuredRun>, scenario: &Scenario, vcpus: Vec<Vcpu>) -> Result<Vec<Thread>, Error> {
    let mut threads = Vec::new();
    for (cpu, vcpu) in vcpus.into_iter().enumerate() {
        let (run, mut measurement) = (Arc::clone(run), Measurement::new(scenario, run.irqchip));
        let watcher = std::thread::current();
        let body = move || {
            let _here = run.kicks[cpu].here_i_am();
            let watch = Watch::start(cpu, run.kicks.len());
            let ending = run.run_vcpu(cpu, vcpu, &mut measurement);
            measurement.conditions(watch.stop());
            run.running.fetch_sub(1, Ordering::Release);
            watcher.unpark();
            (ending, measurement)
        };
        threads
            .push(std::thread::Builder::new().name(format!("vcpu{cpu}")).spawn(body).call("starting a vCPU thread")?);
    }
    Ok(threads)
}

/// Waits for the vCPUs' threads to end. Those that hand over no samples for too long are stopped.
fn watch(run: &MeasuredRun, threads: Vec<Thread>, config: &Config) -> Result<Vec<Ended>, Error> {
    let batch = BATCH * (4 * config.delay.max(config.period) + clock::cntfrq() / 5_000);
    // Where the clock counts instructions, nobody else takes the CPU; and a second of a guest that hangs is a minute of
    // emulation.
    let pause = if clock::counts_instructions() { clock::cntfrq() / 10 } else { 2 * clock::cntfrq() };
    let patience = clock::duration(batch * threads.len() as u64 + pause);
    let mut stops = 0;
    let mut seen = 0;
    while run.running.load(Ordering::Acquire) != 0 {
        let started = clock::counter();
        let patience = if stops == 0 { patience } else { Duration::from_millis(100) };
        std::thread::park_timeout(patience);
        let now = run.progress.load(Ordering::Relaxed);
        if clock::duration(clock::counter() - started) < patience || std::mem::replace(&mut seen, now) != now {
            continue;
        }
        if stops == 10 {
            return Err(Error::Stuck(threads.iter().position(|thread| !thread.is_finished()).unwrap_or(0)));
        }
        stops += 1;
        let running = threads.iter().zip(&run.kicks).filter(|(thread, _)| !thread.is_finished());
        running.for_each(|(_, kick)| kick.stop());
    }
    Ok(threads.into_iter().map(|thread| thread.join().expect("a vCPU's thread does not panic")).collect())
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
