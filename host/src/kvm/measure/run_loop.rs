//! The loop that is measured: one vCPU, from one return of KVM_RUN to the next.

use std::sync::atomic::Ordering;

use vtick_abi::layout::{MAILBOX_BASE, records_base};
use vtick_abi::mailbox;
use vtick_abi::measure::{MAX_SAMPLES, Sample};

use super::{BATCH, MeasuredRun};
use crate::kvm::conditions::resident;
use crate::kvm::irqchip::{self, Bare, Kernel, User};
use crate::kvm::vcpu::Vcpu;
use crate::kvm::{Error, clock, guest};
use vtick_contract::Ending;
use vtick_core::exit::Exit;
use vtick_core::lines::Levels;
use vtick_latency::{Irqchip, Ledger, Measurement, Stamp};

/// Stamps kept between two handovers: more than a batch of samples brings.
const STAMPS: usize = 2 * BATCH as usize;

/// What one vCPU's thread keeps between two handovers.
struct Books<'a> {
    measurement: &'a mut Measurement,
    stamps: Vec<Stamp>,
    ledger: Ledger,
    /// The guest's virtual counter is so far behind the host's.
    offset: u64,
}

impl MeasuredRun {
    /// Runs a vCPU to its end.
    pub(super) fn run_vcpu(&self, cpu: usize, vcpu: Vcpu, measurement: &mut Measurement) -> Result<Ending, Error> {
        let seen = Levels::NONE;
        match self.irqchip {
            Irqchip::User => {
                self.run_loop(cpu, vcpu, &mut User { controller: &self.controller, cpu, seen }, measurement)
            }
            Irqchip::Bare => self.run_loop(cpu, vcpu, &mut Bare { cpu, intid: self.intid, seen }, measurement),
            Irqchip::Vgicv2 | Irqchip::Vgicv3 => self.run_loop(cpu, vcpu, &mut Kernel, measurement),
        }
    }

    /// The loop that is measured: nothing in it allocates, prints or asks the kernel for anything but KVM_RUN and
    /// KVM_IRQ_LINE.
    pub(super) fn run_loop<C: irqchip::Chip>(
        &self,
        cpu: usize,
        mut vcpu: Vcpu,
        chip: &mut C,
        measurement: &mut Measurement,
    ) -> Result<Ending, Error> {
        let stamps = Vec::with_capacity(STAMPS);
        let mut books = Books { measurement, stamps, ledger: Ledger::default(), offset: 0 };
        loop {
            chip.entering();
            let exit = vcpu.run();
            let returned = clock::stamp();
            chip.returned(returned);
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
            (Some(mailbox::COMMAND), Exit::MmioRead { .. }) => vcpu.answer(self.command),
            (Some(mailbox::HELLO), Exit::MmioWrite { value: mailbox::HELLO_MAGIC, .. }) => {}
            (Some(mailbox::OFFSET), Exit::MmioWrite { value, .. }) => books.offset = value,
            (Some(mailbox::SAMPLES), Exit::MmioWrite { value, .. }) => self.hand_over(cpu, value, books)?,
            // A litmus program leaves records and no samples.
            (Some(mailbox::DONE), Exit::MmioWrite { .. }) if self.command == mailbox::COMMAND_LITMUS => {
                return Ok(Some(Ending::Done));
            }
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
            self.vm.read_record::<Sample>(address).map_err(|error| failed = Some(error)).ok()
        });
        books.measurement.batch(samples, &books.stamps, books.offset, std::mem::take(&mut books.ledger));
        books.stamps.clear();
        if cpu == 0 && books.measurement.is_landmark() {
            books.measurement.memory(resident());
        }
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
