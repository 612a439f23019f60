//! What the host does when a program asks.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use kvm_bindings::{KVM_ARM_VCPU_PMU_V3, kvm_vcpu_init};
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

use super::super::clock::{self, counter};
use super::super::vcpu::Vcpu;
use super::super::{Context, Error, affinity, log, registers};
use super::{Chore, ProgramRun};
use crate::kvm::lock;
use vtick_contract::fault::Fault;
use vtick_contract::{Action, Event, TimerRegister, Value};
use vtick_core::exit::Exit;

/// struct kvm_arm_counter_offset ([KVM-API/4.136]).
#[repr(C)]
struct CounterOffset {
    counter_offset: u64,
    reserved: u64,
}

ioctl_iow_nr!(KVM_ARM_SET_COUNTER_OFFSET, kvm_bindings::KVMIO, 0xb5, CounterOffset);

impl ProgramRun {
    /// Does action `action` on behalf of `vcpu`'s thread.
    pub(super) fn act(&self, index: usize, vcpu: &mut Vcpu, action: usize, events: &mut Vec<Event>) {
        let result = match self.actions[action] {
            Action::LineAfter { ticks, .. } | Action::SignalAfter { ticks, .. } | Action::SpiAfter { ticks, .. } => {
                self.helper.ask(Chore { at: counter() + ticks, action });
                return;
            }
            Action::Spi { intid, level } => self.spi(Some(index), intid, level, events).map(|()| 0),
            Action::Reinit { restore_timers } => self.reinit(index, vcpu, restore_timers, events).map(|()| 0),
            now => self.act_now(index, vcpu, now),
        };
        if let Err(error) = &result
            && !self.actions[action].may_be_refused()
        {
            events.extend(error.refusal(Some(index), !self.begun.load(Ordering::Relaxed)).map(Event::Refused));
        }
        let result = result.unwrap_or_else(|e| minus_errno(&e));
        events.push(Event::Action { at: counter(), action, due: None, result });
    }

    fn act_now(&self, index: usize, vcpu: &mut Vcpu, action: Action) -> Result<i64, Error> {
        let injected = self.injected();
        match action {
            Action::LineAfter { .. } | Action::SignalAfter { .. } | Action::SpiAfter { .. } => {
                unreachable!("these are for the helper")
            }
            Action::Spi { .. } => unreachable!("it may drive lines: done by the caller, which notes them"),
            Action::Reinit { .. } => {
                unreachable!("some of its calls may be refused: done by the caller, which notes them")
            }
            Action::MoveToFreshVm => unreachable!("the vCPU's thread leaves instead"),
            Action::Line { vcpu, line, level } => {
                self.line(vcpu, line, level, false)?;
            }
            Action::ImmediateExit { after } => {
                clock::sleep_until(counter() + after);
                vcpu.set_immediate_exit(injected != Some(Fault::ImmediateExitIgnored));
            }
            Action::Stay { ticks } => clock::sleep_until(counter() + ticks),
            Action::Meet => return Ok(self.meet()),
            Action::CheckExtension { capability } => {
                let said = self.vm.fd.check_extension_raw(capability.into()).into();
                return Ok(self.played(|fault| fault.extension(said)).unwrap_or(said));
            }
            Action::CheckSystemExtension { capability } => {
                let said = self.vm.check_system_extension(capability).into();
                return Ok(self.played(|fault| fault.extension(said)).unwrap_or(said));
            }
            Action::RawLine { irq, level } => {
                if let Some(irq) = self.played(|fault| fault.raw_line(irq)).unwrap_or(Some(irq)) {
                    self.vm.raw_irq_line(irq, level)?;
                }
            }
            Action::Get(register) => {
                let value = vcpu.register(id(register))?;
                return Ok(self.played(|fault| fault.get(value)).unwrap_or(value) as i64);
            }
            Action::Set(register, value) => {
                let value = match value {
                    Value::Is(value) => value,
                    Value::Now(ticks) => vcpu.register(registers::TIMER_CNT)?.wrapping_add(ticks),
                    Value::NowPhysical(ticks) => vcpu.register(registers::PTIMER_CNT)?.wrapping_add(ticks),
                    Value::Register(..) => unreachable!("the guest's registers are not the host's"),
                };
                if let Some(value) = self.played(|fault| fault.set(register, value)).unwrap_or(Some(value)) {
                    vcpu.set_register(id(register), value)?;
                }
            }
            Action::Migrate => {
                let cpus = affinity::allowed();
                if cpus.len() < 2 {
                    return Ok(-i64::from(libc::ENODEV));
                }
                // SAFETY: always succeeds.
                let here = unsafe { libc::sched_getcpu() } as usize;
                let next = cpus.iter().position(|&cpu| cpu == here).map_or(0, |place| (place + 1) % cpus.len());
                affinity::pin(cpus[next])?;
                if injected == Some(Fault::MigrationStopsTimer) {
                    vcpu.set_register(registers::TIMER_CTL, 0)?;
                }
            }
            Action::SyncFlags(flags) => {
                self.played(|fault| fault.sync_flags(index, flags));
                vcpu.set_sync_flags(flags);
            }
            Action::CreateVcpu(id) => drop(self.vm.fd.create_vcpu(id).call("KVM_CREATE_VCPU")?),
            Action::CounterOffset(counter_offset) => {
                let argument = CounterOffset { counter_offset, reserved: 0 };
                // Zero is what a check needs, and no offset to be ignored.
                if injected != Some(Fault::CounterOffsetIgnored) || counter_offset == 0 {
                    // SAFETY: the kernel reads `argument` during the call.
                    match unsafe { ioctl_with_ref(&self.vm.fd, KVM_ARM_SET_COUNTER_OFFSET(), &argument) } {
                        0 => {}
                        ..0 => return Err(std::io::Error::last_os_error()).call("KVM_ARM_SET_COUNTER_OFFSET"),
                        result => return Ok(result.into()),
                    }
                    self.counter_offset.get_or_init(|| counter_offset);
                }
            }
            Action::HasTimerInterrupt { attribute } => vcpu.has_timer_interrupt(attribute)?,
            Action::GetTimerInterrupt { attribute } => {
                let intid = vcpu.timer_interrupt(attribute)?.into();
                return Ok(self.played(|fault| fault.get(intid)).unwrap_or(intid) as i64);
            }
            Action::SetTimerInterrupt { attribute, intid } => {
                if injected != Some(Fault::SetDropped) {
                    vcpu.set_timer_interrupt(attribute, intid)?;
                }
            }
            Action::Suspend => vcpu.sleep()?,
            Action::CpuTime => return Ok(clock::ticks(clock::thread_cpu_time().as_nanos() as u64) as i64),
            Action::ForbiddenInitSequence => {
                if injected == Some(Fault::HostWarns) {
                    log::say("WARNING: vtick plays a kernel that warns, at arch/arm64/kvm/nowhere.c:1\n")
                        .call("writing to /dev/kmsg")?;
                }
                return forbidden_init_sequence();
            }
        }
        Ok(0)
    }
}

impl ProgramRun {
    /// KVM_ARM_VCPU_INIT again, and the registers as they were. Those that the kernel refuses are noted.
    fn reinit(
        &self,
        index: usize,
        vcpu: &mut Vcpu,
        restore_timers: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let restore = match self.injected() {
            Some(Fault::ReinitKeepsTimers) => true,
            Some(Fault::RestoreLosesTimers) => false,
            _ => restore_timers,
        };
        // The counter goes on; to restore it would turn it back.
        let refused = vcpu.reinit(|id| match id {
            registers::TIMER_CNT | registers::PTIMER_CNT => false,
            registers::TIMER_CTL | registers::TIMER_CVAL => restore,
            registers::PTIMER_CTL | registers::PTIMER_CVAL => restore,
            _ => true,
        })?;
        events.extend(refused.iter().filter_map(|error| error.refusal(Some(index), false)).map(Event::Refused));
        Ok(())
    }

    /// Waits until every vCPU's thread has come here as often as this one. Zero, or minus ETIMEDOUT.
    fn meet(&self) -> i64 {
        let mut arrived = lock(&self.meeting.0);
        *arrived += 1;
        let due = arrived.next_multiple_of(self.kicks.len());
        self.meeting.1.notify_all();
        let waited = self.meeting.1.wait_timeout_while(arrived, self.meeting_patience, |arrived| *arrived < due);
        let timeout = waited.unwrap_or_else(PoisonError::into_inner).1;
        if timeout.timed_out() { -i64::from(libc::ETIMEDOUT) } else { 0 }
    }
}

/// ONE_REG's id of a timer register.
fn id(register: TimerRegister) -> u64 {
    match register {
        TimerRegister::CntvCtl => registers::TIMER_CTL,
        TimerRegister::CntvCval => registers::TIMER_CVAL,
        TimerRegister::Cntvct => registers::TIMER_CNT,
        TimerRegister::CntpCtl => registers::PTIMER_CTL,
        TimerRegister::CntpCval => registers::PTIMER_CVAL,
        TimerRegister::Cntpct => registers::PTIMER_CNT,
    }
}

/// A vCPU is initialised with a PMU that is never set up, run, and initialised again. Returns minus the errno of
/// KVM_RUN, which has to fail.
fn forbidden_init_sequence() -> Result<i64, Error> {
    let kvm = kvm_ioctls::Kvm::new().call("opening /dev/kvm")?;
    let vm = kvm.create_vm().call("KVM_CREATE_VM")?;
    let vcpu = vm.create_vcpu(0).call("KVM_CREATE_VCPU")?;
    let mut init = kvm_vcpu_init::default();
    vm.get_preferred_target(&mut init).call("KVM_ARM_PREFERRED_TARGET")?;
    init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
    vcpu.vcpu_init(&init).call("KVM_ARM_VCPU_INIT")?;
    let mut vcpu = Vcpu::new(vcpu, init);
    let run = vcpu.run();
    vcpu.init_again()?;
    Ok(match run {
        Exit::Failed { errno } => -i64::from(errno),
        _ => 0,
    })
}

/// The result of an action about a vCPU that another thread did: 0, or minus errno, and then it is noted.
pub(super) fn status(result: Result<(), Error>, vcpu: Option<usize>, events: &mut Vec<Event>) -> i64 {
    let Err(error) = result else { return 0 };
    events.extend(error.refusal(vcpu, false).map(Event::Refused));
    minus_errno(&error)
}

fn minus_errno(error: &Error) -> i64 {
    match error {
        Error::Call { cause, .. } | Error::Register { cause, .. } => {
            -i64::from(cause.raw_os_error().unwrap_or(libc::EIO))
        }
        _ => -i64::from(libc::EIO),
    }
}
