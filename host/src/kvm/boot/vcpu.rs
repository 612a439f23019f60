//! A vCPU's thread.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::{GuestRun, snapshot};
use crate::kvm::vcpu::Vcpu;
use crate::kvm::{Error, clock};
use vtick_core::exit::Exit;
use vtick_machine::{Books, Flow, Snapshot, notice};
use vtick_trace::Tape;

/// Why a vCPU's thread stopped running it.
pub(super) enum Stop {
    /// The guest switched the machine off.
    PowerOff,
    /// The guest wants to start again.
    Reset,
    /// The guest cannot go on.
    Broken(Exit, Box<Snapshot>),
    /// It sleeps past its timer's deadline.
    Overslept(Box<Snapshot>),
    /// It takes one exception for ever.
    Recursion(Box<Snapshot>),
    /// It was told to.
    Told(Box<Snapshot>),
}

impl GuestRun {
    /// Enters the guest again and again, until it ends or is stopped.
    pub(super) fn run_vcpu(
        &self,
        cpu: usize,
        mut vcpu: Vcpu,
        books: &mut Books,
        tape: &mut Tape,
    ) -> Result<Stop, Error> {
        let shared = &self.vcpus[cpu];
        let mut returns = 0;
        let mut entered = clock::stamp();
        loop {
            let exit = vcpu.run();
            let returned = clock::stamp();
            let levels = vcpu.levels();
            tape.returned(entered, returned, &exit, levels);
            if exit == Exit::Interrupted && (shared.look.load(Ordering::Relaxed) || shared.kick.must_stop()) {
                // Before the levels are taken in: those that the signal brought along say nothing.
                if let Some(stop) = self.look(cpu, &vcpu, books)? {
                    return Ok(stop);
                }
            }
            let (flow, moved) = self.machine.step(cpu, books, exit, levels);
            if moved.cpus != 0 {
                self.machine.controller.settle(moved.cpus, |target, line, level| {
                    books.ledger.lines += 1;
                    self.vm.irq_line(target, line, level)?;
                    tape.line(clock::stamp(), target, line, level);
                    Ok::<(), Error>(())
                })?;
            }
            if let Some((intid, high)) = moved.output {
                tape.output(returned, intid, high);
            }
            returns += 1;
            shared.returns.store(returns, Ordering::Relaxed);
            match (flow, exit) {
                (Flow::Answer(value), Exit::MmioRead { address, len }) => {
                    tape.access(returned, address, len, value, false);
                    vcpu.answer(value);
                }
                (Flow::Resume, Exit::MmioWrite { address, len, value }) => {
                    tape.access(returned, address, len, value, true);
                    self.output.pace(|| shared.kick.must_stop());
                }
                (Flow::Resume | Flow::Answer(_) | Flow::Interrupted, _) => {}
                (Flow::Suspend, _) => self.suspend(cpu, &vcpu)?,
                (Flow::Wake, _) => self.wake(cpu, &vcpu)?,
                (Flow::PowerOff, _) => return Ok(Stop::PowerOff),
                (Flow::Reset, _) => return Ok(Stop::Reset),
                (Flow::Nowhere, exit) if !self.strict => self.nowhere(cpu, &mut vcpu, exit),
                (Flow::Broken | Flow::Nowhere, _) => {
                    return Ok(Stop::Broken(exit, Box::new(snapshot::take(&self.vm, &vcpu, books.seen)?)));
                }
            }
            entered = clock::stamp();
        }
    }

    /// An access to an address where there is nothing.
    #[cold]
    fn nowhere(&self, cpu: usize, vcpu: &mut Vcpu, access: Exit) {
        let pc = vcpu.pc();
        if self.nowhere.lock().unwrap_or_else(PoisonError::into_inner).note(cpu, pc, access) {
            eprintln!("{}", notice(cpu, pc, access));
        }
        // Of a write the answer is never read.
        vcpu.answer(0);
    }

    /// Somebody wants something of this thread: that it stops, or that it looks at its vCPU.
    #[cold]
    fn look(&self, cpu: usize, vcpu: &Vcpu, books: &Books) -> Result<Option<Stop>, Error> {
        let shared = &self.vcpus[cpu];
        let at = Box::new(snapshot::take(&self.vm, vcpu, books.seen)?);
        if shared.kick.must_stop() {
            return Ok(Some(Stop::Told(at)));
        }
        let waited = shared.kick.run_delay().saturating_sub(shared.waited.load(Ordering::Relaxed));
        if at.oversleeps(self.patience.overslept(at.stopped.in_wfi, clock::ticks(waited))) {
            return Ok(Some(Stop::Overslept(at)));
        }
        let again = shared.seen.note(&at, self.patience);
        shared.look.store(false, Ordering::Relaxed);
        Ok((at.recurses() && again).then_some(Stop::Recursion(at)))
    }
}
