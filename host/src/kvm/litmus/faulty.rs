//! KVM and the GIC as the runner of litmus programs sees them: as they are, or through a faulty layer
//! ([`vtick_contract::fault`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::vcpu::Vcpu;
use super::super::{Context, Error, guest, registers};
use super::{MOST_STOPS, Placement, ProgramRun};
use crate::kvm::lock;
use vtick_contract::Event;
use vtick_contract::fault::{Fault, Injector, Inside, LineCalls, Passed};
use vtick_core::controller::Access;
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line};

/// How often a guest is interrupted without a reason.
const KICK_PERIOD: Duration = Duration::from_micros(500);
/// By how much a vCPU wakes late: far more than any scheduler takes.
const LATE: Duration = Duration::from_millis(100);

impl ProgramRun {
    /// KVM_RUN, and the levels after it.
    pub(super) fn enter(&self, index: usize, vcpu: &mut Vcpu) -> Result<(Exit, Levels), Error> {
        let Some(fault) = &self.fault else {
            let exit = vcpu.run();
            return Ok((exit, vcpu.levels()));
        };
        loop {
            if let Some(fake) = lock(fault).before_run(index) {
                return Ok(fake);
            }
            let exit = vcpu.run();
            let levels = vcpu.levels();
            let stopped = exit == Exit::Interrupted && self.kicks[index].must_stop();
            let inside = self.inside(vcpu)?;
            let (passed, lines) = {
                let mut fault = lock(fault);
                (fault.on_return(index, exit, levels, inside), fault.lines_on_return(index))
            };
            for (target, line, level) in lines {
                self.vm.irq_line(self.kvm_ids[target] as usize, line, level)?;
            }
            self.harm_the_neighbour(vcpu, inside)?;
            match passed {
                Passed::Deliver(exit, levels) => return Ok((exit, levels)),
                Passed::Swallow if stopped => return Ok((exit, levels)),
                // Into the guest again it would run on: a signal ends the WFI that it is in.
                Passed::Deaf if stopped => {
                    while !self.given_up.load(Ordering::Acquire) && self.kicks[index].stops() <= MOST_STOPS {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    return Ok((Exit::Interrupted, levels));
                }
                Passed::Deaf => {}
                Passed::Swallow => {}
                Passed::Late(exit, levels) => {
                    std::thread::sleep(LATE);
                    return Ok((exit, levels));
                }
                Passed::SleepOn => {
                    while !self.kicks[index].must_stop() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    return Ok((Exit::Interrupted, Levels::NONE));
                }
            }
        }
    }

    /// KVM_IRQ_LINE of a CPU line.
    pub(super) fn line(&self, vcpu: usize, line: Line, level: bool, by_another_thread: bool) -> Result<(), Error> {
        let Some(fault) = &self.fault else {
            return self.vm.irq_line(self.kvm_ids[vcpu] as usize, line, level);
        };
        let LineCalls { calls, kick } = lock(fault).line(vcpu, line, level, by_another_thread);
        for (target, line, level) in calls {
            self.vm.irq_line(self.kvm_ids[target] as usize, line, level)?;
        }
        if kick {
            self.kicks[vcpu].signal();
        }
        Ok(())
    }

    /// [`Controller::update`]: what a return of KVM_RUN means to the GIC.
    pub(super) fn update(
        &self,
        index: usize,
        seen: &mut Levels,
        levels: Levels,
        access: Option<Access>,
    ) -> Result<(u64, u8), Error> {
        let (Some(fault), Some(asked)) = (&self.fault, access) else {
            return Ok(self.controller.update(index, seen, levels, access));
        };
        let passed = lock(fault).access(asked);
        let (answer, mut changed) = self.controller.update(index, seen, levels, passed);
        let fault = lock(fault);
        if let Some(harm) = fault.harm(asked) {
            let mut state = self.controller.save();
            harm(&mut state, index);
            changed |= self.controller.restore(&state).map_err(std::io::Error::other).call("harming the GIC")?;
        }
        Ok((fault.answer(asked, answer), changed))
    }

    /// A device drives the input of an SPI. `own`: the vCPU whose thread this is.
    pub(super) fn spi(
        &self,
        own: Option<usize>,
        intid: u32,
        level: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let arrives = self.fault.as_ref().is_none_or(|fault| lock(fault).spi_arrives());
        let changed = if arrives { self.controller.set_spi(intid, level) } else { 0 };
        self.settle(own, changed, events)
    }

    /// How often the runner calls KVM_IRQ_LINE for a line that moves.
    pub(super) fn line_calls(&self) -> usize {
        if self.injected() == Some(Fault::LineDrivenTwice) { 2 } else { 1 }
    }

    fn inside(&self, vcpu: &Vcpu) -> Result<Inside, Error> {
        let last = guest::last_instruction(&self.vm, vcpu)?;
        Ok(Inside {
            cntv_ctl: vcpu.register(registers::TIMER_CTL)?,
            // Kernels before 6.4 do not know it.
            cntp_ctl: vcpu.register(registers::PTIMER_CTL).unwrap_or(0),
            pmovsset: vcpu.register(registers::PMOVSSET).unwrap_or(0),
            in_wfi: last == Some(guest::WFI),
            in_hvc: last == Some(guest::HVC),
        })
    }

    /// The fault that one VM does to another: its timer is masked and stays so.
    fn harm_the_neighbour(&self, vcpu: &Vcpu, inside: Inside) -> Result<(), Error> {
        if self.placement == Placement::Neighbour
            && inside.cntv_ctl & 1 == 1
            && self.injected() == Some(Fault::NeighbourTimerMasked)
        {
            vcpu.set_register(registers::TIMER_CTL, 3)?;
        }
        Ok(())
    }

    /// What is wrong with the kernel that is played, if one is.
    pub(super) fn injected(&self) -> Option<Fault> {
        self.played(|fault| fault.fault())
    }

    /// Asks the faulty kernel that is played, if one is. Its lock is free again when this returns: nobody sleeps with
    /// it, or the returns of all other vCPUs would wait.
    pub(super) fn played<R>(&self, ask: impl FnOnce(&mut Injector) -> R) -> Option<R> {
        self.fault.as_ref().map(|fault| ask(&mut lock(fault)))
    }
}

/// The thread that interrupts the guest without a reason, if that is the fault. It ends with the run.
pub(super) fn spawn_kicker(run: &Arc<ProgramRun>) -> Result<(), Error> {
    if run.injected() != Some(Fault::KickedAllTheTime) {
        return Ok(());
    }
    let run = Arc::downgrade(run);
    let body = move || {
        super::helper::prefer_this_thread();
        while let Some(run) = run.upgrade() {
            run.kicks.iter().for_each(super::Kick::signal);
            drop(run);
            std::thread::sleep(KICK_PERIOD);
        }
    };
    std::thread::Builder::new().name("kicker".to_owned()).spawn(body).call("starting a thread")?;
    Ok(())
}
