//! Runs a latency measurement: one vCPU, our GIC, the virtual timer.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use vtick_abi::layout::{MAILBOX_BASE, MEASURE_BASE, records_base};
use vtick_abi::mailbox;
use vtick_abi::measure::{Config, MAX_SAMPLES, Sample};

use super::clock;
use super::kick::Kick;
use super::vcpu::Vcpu;
use super::vm::{Vm, bytes_of};
use super::{Context, Error, guest};
use crate::contract::Ending;
use crate::controller::{Access, Controller};
use crate::exit::Exit;
use crate::latency::{Ledger, Measurement, Scenario};
use crate::lines::{Levels, Routing};

/// Samples the guest keeps before it hands them over.
const BATCH: u64 = 1024;
const _: () = assert!(BATCH <= MAX_SAMPLES);

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
        scenario: &'static str,
        /// Interrupts measured by then.
        samples: u64,
        /// What it was doing.
        ending: String,
    },
}

struct Run {
    vm: Vm,
    controller: Controller,
    kick: Kick,
}

/// Progress of the vCPU's thread.
enum Progress {
    /// Samples were handed over.
    Alive,
    /// It ended.
    Ended(Box<(Result<Ending, Error>, Measurement)>),
}

/// Measures `scenario`.
pub(super) fn measure(scenario: &Scenario) -> Result<Measurement, MeasureError> {
    let vm = Vm::new()?;
    let config = Config {
        wait: scenario.wait.abi(),
        reserved: 0,
        interrupts: scenario.warm_up + scenario.interrupts,
        delay: scenario.delay.ticks(clock::cntfrq()),
        patience: clock::cntfrq(),
        batch: BATCH,
    };
    vm.write(MEASURE_BASE, bytes_of(std::slice::from_ref(&config)))?;
    let (vcpu, kick) = vm.vcpu(0, false)?;
    let run = Arc::new(Run { vm, controller: Controller::new(1, Routing::Gic), kick });
    let measurement = Measurement::new(scenario);

    let (progress, reports) = mpsc::channel();
    let thread = Arc::clone(&run);
    let body = move || {
        thread.kick.here_i_am();
        let mut measurement = measurement;
        let ending = thread.run_vcpu(vcpu, &mut measurement, &progress);
        let _ = progress.send(Progress::Ended(Box::new((ending, measurement))));
    };
    std::thread::Builder::new().name("vcpu0".to_owned()).spawn(body).call("starting a vCPU thread")?;

    // A vCPU that hands over no samples for so long is stopped.
    let patience = clock::duration(BATCH * 4 * config.delay + clock::cntfrq());
    let mut stops = 0;
    loop {
        let patience = if stops == 0 { patience } else { Duration::from_millis(100) };
        match reports.recv_timeout(patience) {
            Ok(Progress::Alive) => {}
            Ok(Progress::Ended(ended)) => {
                let (ending, measurement) = *ended;
                return match ending? {
                    Ending::Done => Ok(measurement),
                    other => Err(MeasureError::Ended {
                        scenario: scenario.name,
                        samples: measurement.seen(),
                        ending: crate::contract::diagnose(&other),
                    }),
                };
            }
            Err(_) if stops < 10 => {
                stops += 1;
                run.kick.stop();
            }
            Err(_) => return Err(Error::Stuck(0).into()),
        }
    }
}

impl Run {
    /// The loop that is measured: nothing in it allocates, prints or asks the kernel for anything but KVM_RUN and
    /// KVM_IRQ_LINE.
    fn run_vcpu(
        &self,
        mut vcpu: Vcpu,
        measurement: &mut Measurement,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<Ending, Error> {
        let mut seen = Levels::NONE;
        let mut ledger = Ledger::default();
        loop {
            let exit = vcpu.run();
            let levels = vcpu.levels();
            let access = match exit {
                Exit::MmioRead { address, len } => Access::at(address, len, None),
                Exit::MmioWrite { address, len, value } => Access::at(address, len, Some(value)),
                _ => None,
            };
            let (answer, changed) = self.controller.update(0, &mut seen, levels, access);
            if changed != 0 {
                self.controller.settle(changed, 0, levels, |cpu, line, level| {
                    ledger.lines += 1;
                    self.vm.irq_line(cpu, line, level)
                })?;
            }
            match exit {
                Exit::Interrupted => {
                    ledger.interrupted += 1;
                    if self.kick.must_stop() {
                        return guest::stopped(&self.vm, &vcpu, seen).map(Ending::Stopped);
                    }
                }
                Exit::MmioRead { .. } if access.is_some() => {
                    ledger.mmio_reads += 1;
                    vcpu.answer(answer);
                }
                Exit::MmioWrite { .. } if access.is_some() => ledger.mmio_writes += 1,
                _ => {
                    if let Some(ending) = self.mailbox(&mut vcpu, exit, measurement, &mut ledger, progress)? {
                        return Ok(ending);
                    }
                }
            }
        }
    }

    /// An exit that is for the mailbox. `Some`: it was the last.
    fn mailbox(
        &self,
        vcpu: &mut Vcpu,
        exit: Exit,
        measurement: &mut Measurement,
        ledger: &mut Ledger,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<Option<Ending>, Error> {
        let register = exit.address().and_then(|a| a.checked_sub(MAILBOX_BASE));
        match (register, exit) {
            (Some(mailbox::COMMAND), Exit::MmioRead { .. }) => vcpu.answer(mailbox::COMMAND_MEASURE),
            (Some(mailbox::HELLO), Exit::MmioWrite { value: mailbox::HELLO_MAGIC, .. }) => {}
            (Some(mailbox::OFFSET), Exit::MmioWrite { .. }) => {}
            (Some(mailbox::SAMPLES), Exit::MmioWrite { value, .. }) => {
                self.take_samples(value, measurement, ledger)?;
                let _ = progress.send(Progress::Alive);
            }
            (Some(mailbox::DONE), Exit::MmioWrite { value, .. }) => {
                self.take_samples(value, measurement, ledger)?;
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

    fn take_samples(&self, count: u64, measurement: &mut Measurement, ledger: &mut Ledger) -> Result<(), Error> {
        for index in 0..count.min(MAX_SAMPLES) {
            // SAFETY: `Sample` is plain integers.
            let sample: Sample = unsafe { self.vm.read_record(records_base(0) + index * size_of::<Sample>() as u64) }?;
            measurement.sample(&sample);
        }
        measurement.ledger(std::mem::take(ledger));
        Ok(())
    }
}
