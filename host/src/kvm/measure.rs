//! Runs a latency measurement: the vCPUs, their interrupt controller, and the loop that is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kvm_ioctls::DeviceFd;
use vtick_abi::layout::{MAILBOX_BASE, MEASURE_BASE, records_base};
use vtick_abi::mailbox;
use vtick_abi::measure::{Config, MAX_SAMPLES, Sample};

use super::companion::Companion;
use super::conditions::Watch;
use super::irqchip::{Bare, Kernel, User};
use super::kick::Kick;
use super::vcpu::Vcpu;
use super::vgic::{self, Vgic};
use super::vm::{Vm, bytes_of};
use super::{Context, Error, clock, guest, irqchip};
use crate::contract::Ending;
use crate::controller::Controller;
use crate::exit::Exit;
use crate::latency::{Irqchip, Ledger, Measurement, Scenario, Stamp};
use crate::lines::{Levels, Routing};

/// Samples the guest keeps before it hands them over.
const BATCH: u64 = 1024;
const _: () = assert!(BATCH <= MAX_SAMPLES);
/// Stamps kept between two handovers: more than a batch of samples brings.
const STAMPS: usize = 2 * BATCH as usize;

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
}

/// What the threads of a measurement share.
struct Run {
    vm: Vm,
    controller: Controller,
    kicks: Vec<Kick>,
    irqchip: Irqchip,
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
    vm.write(MEASURE_BASE, bytes_of(std::slice::from_ref(&config)))?;
    let vcpus = (0..scenario.vcpus).map(|index| vm.vcpu(index, false)).collect::<Result<Vec<_>, _>>()?;
    let (vcpus, kicks): (Vec<Vcpu>, Vec<Kick>) = vcpus.into_iter().unzip();
    let vgic = match irqchip {
        Irqchip::User | Irqchip::Bare => None,
        Irqchip::Vgicv2 => Some(vgic::create(&vm.fd, Vgic::V2)?),
        Irqchip::Vgicv3 => Some(vgic::create(&vm.fd, Vgic::V3)?),
    };
    let run = Arc::new(Run {
        vm,
        controller: Controller::new(scenario.vcpus, Routing::Gic),
        kicks,
        irqchip,
        intid: scenario.stimulus.intid().unwrap_or(0),
        plant,
        progress: AtomicU64::new(0),
        running: AtomicUsize::new(scenario.vcpus),
        _vgic: vgic,
    });
    let beside = Companion::start(scenario.beside)?;
    let threads = start(&run, scenario, vcpus)?;
    let ended = watch(&run, threads, &config);
    drop(beside);

    let mut all = Measurement::new(scenario, irqchip);
    for (ending, measurement) in ended? {
        match ending? {
            Ending::Done => all.merge(&measurement),
            other => {
                return Err(MeasureError::Ended {
                    scenario: scenario.name.to_string(),
                    samples: measurement.seen(),
                    ending: crate::contract::diagnose(&other),
                });
            }
        }
    }
    Ok(all)
}

fn start(run: &Arc<Run>, scenario: &Scenario, vcpus: Vec<Vcpu>) -> Result<Vec<Thread>, Error> {
    let mut threads = Vec::new();
    for (cpu, vcpu) in vcpus.into_iter().enumerate() {
        let (run, mut measurement) = (Arc::clone(run), Measurement::new(scenario, run.irqchip));
        let watcher = std::thread::current();
        let body = move || {
            run.kicks[cpu].here_i_am();
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
fn watch(run: &Run, threads: Vec<Thread>, config: &Config) -> Result<Vec<Ended>, Error> {
    let batch = BATCH * (4 * config.delay.max(config.period) + clock::cntfrq() / 5_000);
    let patience = clock::duration(batch * threads.len() as u64 + 2 * clock::cntfrq());
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

/// What one vCPU's thread keeps between two handovers.
struct Books<'a> {
    measurement: &'a mut Measurement,
    stamps: Vec<Stamp>,
    ledger: Ledger,
    /// The guest's virtual counter is so far behind the host's.
    offset: u64,
}

impl Run {
    fn run_vcpu(&self, cpu: usize, vcpu: Vcpu, measurement: &mut Measurement) -> Result<Ending, Error> {
        let seen = Levels::NONE;
        match self.irqchip {
            Irqchip::User => self.run_loop(cpu, vcpu, User { controller: &self.controller, cpu, seen }, measurement),
            Irqchip::Bare => self.run_loop(cpu, vcpu, Bare { cpu, intid: self.intid, seen }, measurement),
            Irqchip::Vgicv2 | Irqchip::Vgicv3 => self.run_loop(cpu, vcpu, Kernel, measurement),
        }
    }

    /// The loop that is measured: nothing in it allocates, prints or asks the kernel for anything but KVM_RUN and
    /// KVM_IRQ_LINE.
    fn run_loop<C: irqchip::Irqchip>(
        &self,
        cpu: usize,
        mut vcpu: Vcpu,
        mut chip: C,
        measurement: &mut Measurement,
    ) -> Result<Ending, Error> {
        let stamps = Vec::with_capacity(STAMPS);
        let mut books = Books { measurement, stamps, ledger: Ledger::default(), offset: 0 };
        loop {
            let exit = vcpu.run();
            let returned = clock::stamp();
            let levels = vcpu.levels();
            let changed = levels.0 ^ chip.seen().0;
            if self.plant != 0 && changed & levels.0 != 0 {
                waste(self.plant);
            }
            let answer = chip.step(&self.vm, levels, exit, &mut books.ledger.lines)?;
            let raised = clock::stamp();
            match (exit, answer) {
                (Exit::Interrupted, _) => {
                    books.ledger.level_exits += u64::from(changed != 0);
                    books.ledger.other_interrupts += u64::from(changed == 0);
                    if changed == 0 && self.kicks[cpu].must_stop() {
                        return guest::stopped(&self.vm, &vcpu, levels).map(Ending::Stopped);
                    }
                }
                (Exit::MmioRead { .. }, Some(answer)) => {
                    books.ledger.gic_reads += 1;
                    books.ledger.coalesced += u64::from(changed != 0);
                    vcpu.answer(answer);
                }
                (Exit::MmioWrite { .. }, Some(_)) => {
                    books.ledger.gic_writes += 1;
                    books.ledger.coalesced += u64::from(changed != 0);
                }
                _ => {
                    books.ledger.coalesced += u64::from(changed != 0);
                    if let Some(ending) = self.mailbox(cpu, &mut vcpu, exit, &mut books)? {
                        return Ok(ending);
                    }
                }
            }
            // A full ring keeps what it has: nothing here allocates.
            if changed & levels.0 != 0 && books.stamps.len() < STAMPS {
                books.stamps.push(Stamp { returned, raised, entered: clock::stamp() });
            }
        }
    }

    /// An exit that is for the mailbox. `Some`: it was the last.
    fn mailbox(&self, cpu: usize, vcpu: &mut Vcpu, exit: Exit, books: &mut Books<'_>) -> Result<Option<Ending>, Error> {
        let register = exit.address().and_then(|a| a.checked_sub(MAILBOX_BASE));
        match (register, exit) {
            (Some(mailbox::SCRATCH), Exit::MmioRead { .. }) => {
                books.ledger.traffic += 1;
                vcpu.answer(mailbox::SCRATCH_VALUE);
            }
            (Some(mailbox::SINK), Exit::MmioWrite { .. }) => books.ledger.traffic += 1,
            (Some(mailbox::COMMAND), Exit::MmioRead { .. }) => vcpu.answer(mailbox::COMMAND_MEASURE),
            (Some(mailbox::HELLO), Exit::MmioWrite { value: mailbox::HELLO_MAGIC, .. }) => {}
            (Some(mailbox::OFFSET), Exit::MmioWrite { value, .. }) => books.offset = value,
            (Some(mailbox::SAMPLES), Exit::MmioWrite { value, .. }) => self.hand_over(cpu, value, books)?,
            (Some(mailbox::DONE), Exit::MmioWrite { value, .. }) => {
                self.hand_over(cpu, value, books)?;
                return Ok(Some(Ending::Done));
            }
            (Some(mailbox::EXCEPTION), Exit::MmioWrite { value, .. }) => {
                return guest::exception(&self.vm, value).map(Some);
            }
            (Some(mailbox::PANIC), Exit::MmioWrite { value, .. }) => return guest::panic(&self.vm, value).map(Some),
            _ => return Ok(Some(Ending::Failed { exit, pc: self.vm.symbolize(vcpu.pc()) })),
        }
        Ok(None)
    }

    /// Takes `count` samples out of the guest's memory, and what was noted in their time.
    fn hand_over(&self, cpu: usize, count: u64, books: &mut Books<'_>) -> Result<(), Error> {
        books.ledger.handovers += 1;
        let mut failed = None;
        let samples = (0..count.min(MAX_SAMPLES)).map_while(|index| {
            let address = records_base(cpu) + index * size_of::<Sample>() as u64;
            // SAFETY: `Sample` is plain integers.
            unsafe { self.vm.read_record::<Sample>(address) }.map_err(|error| failed = Some(error)).ok()
        });
        books.measurement.batch(samples, &books.stamps, books.offset, std::mem::take(&mut books.ledger));
        books.stamps.clear();
        self.progress.fetch_add(1, Ordering::Relaxed);
        failed.map_or(Ok(()), Err)
    }
}

/// Executes `instructions` instructions, rounded down to an even number.
#[cold]
#[inline(never)]
fn waste(instructions: u64) {
    let turns = instructions / 2;
    if turns > 0 {
        // SAFETY: counts a register down to zero.
        unsafe {
            std::arch::asm!("0: subs {0}, {0}, #1", "b.ne 0b", inout(reg) turns => _, options(nomem, nostack));
        }
    }
}
