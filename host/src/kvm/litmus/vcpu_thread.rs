//! A vCPU's thread: enters the guest again and again, and does what each return asks for.

use std::sync::atomic::Ordering;

use kvm_bindings::KVM_SYSTEM_EVENT_WAKEUP;
use vtick_abi::layout::{MAILBOX_BASE, records_base};
use vtick_abi::litmus::{MAX_RECORDS, Record};
use vtick_abi::mailbox;

use super::super::clock::{self, counter};
use super::super::vcpu::Vcpu;
use super::super::{Error, affinity, guest, log, registers};
use super::machine::SavedVcpu;
use super::{Brought, Left, MOST_STOPS, Placement, ProgramRun};
use vtick_contract::{Action, Ending, Event, GuestRecord, Return, Storm};
use vtick_core::controller::Access;
use vtick_core::exit::Exit;
use vtick_core::lines::Levels;

/// How many of the guest's records are read at once.
const AT_ONCE: usize = 16;
const _: () = assert!(MAX_RECORDS.is_multiple_of(AT_ONCE));

impl ProgramRun {
    /// Runs vCPU `index`; the GIC knows of the levels `seen`.
    pub(super) fn vcpu_thread(&self, index: usize, mut vcpu: Vcpu, seen: Levels) -> Brought {
        // Room for what programs leave, so that nothing is allocated between exits.
        let mut events = Vec::with_capacity(4096);
        let left = self
            .run_vcpu(index, &mut vcpu, seen, &mut events)
            .unwrap_or_else(|error| self.cannot_go_on(index, &error, &mut events));
        let waited = clock::ticks(self.kicks[index].run_delay());
        Brought { vcpu: index, events, waited, left }
    }

    /// A system call of this vCPU's thread failed.
    pub(super) fn cannot_go_on(&self, index: usize, error: &Error, events: &mut Vec<Event>) -> Left {
        Left::Ended(match error.refusal(Some(index), false) {
            Some(refusal) => {
                events.push(Event::Refused(refusal));
                Ending::Refused
            }
            None => Ending::HarnessError { message: error.to_string() },
        })
    }

    /// Enters the guest again and again, until it ends, moves or is stopped.
    pub(super) fn run_vcpu(
        &self,
        index: usize,
        vcpu: &mut Vcpu,
        mut seen: Levels,
        events: &mut Vec<Event>,
    ) -> Result<Left, Error> {
        if self.placement != Placement::Anywhere
            && let Some(&cpu) = affinity::allowed().first()
        {
            affinity::pin(cpu)?;
        } else if let Some(cpu) = affinity::named(index) {
            affinity::pin(cpu)?;
        }
        // A GIC that was restored may have its lines up from the start.
        self.settle(Some(index), 1 << index, events)?;
        let mut reported = seen;
        let mut returns = 0;
        loop {
            let entered = counter();
            let (exit, levels) = self.enter(index, vcpu)?;
            let returned = counter();
            vcpu.set_immediate_exit(false);
            if exit == Exit::Interrupted && self.kicks[index].stops() > MOST_STOPS {
                return Ok(Left::Ended(Ending::Stuck { place: self.kicks[index].place() }));
            }
            if exit == Exit::Interrupted && self.kicks[index].must_stop() {
                return Ok(Left::Ended(Ending::Stopped(guest::stopped(&self.vm, vcpu, reported)?)));
            }
            reported = levels;
            let pc = if self.notes_pc { Some(vcpu.register(registers::PC)?) } else { None };
            let reason = (exit == Exit::Interrupted).then(|| vcpu.exit_reason());
            let seen_now = Return { vcpu: index, entered, returned, exit, levels, pc, reason };
            if self.aloud {
                // As an error (<3>), which even a quiet console shows. Where it may not be said, only last words are lost.
                let _ = log::say(&format!("<3>vtick: at {returned}: vCPU {index} {seen_now}"));
            }
            events.push(Event::Return(seen_now));
            returns += 1;
            if returns > self.most_returns {
                let latest_first = events.iter().rev().filter_map(|event| match event {
                    Event::Return(r) => Some(r),
                    _ => None,
                });
                let stopped = guest::stopped(&self.vm, vcpu, reported)?;
                let storm = Storm::of(returns, latest_first, stopped).expect("it has just returned");
                return Ok(Left::Ended(Ending::Storm(storm)));
            }

            let access = Access::of(exit);
            let (answer, changed) = self.update(index, &mut seen, levels, access)?;
            self.settle(Some(index), changed, events)?;
            match exit {
                Exit::Interrupted => {}
                Exit::SystemEvent { event: KVM_SYSTEM_EVENT_WAKEUP } => vcpu.resume()?,
                Exit::SystemEvent { .. } if self.powers_off => return Ok(Left::Ended(Ending::Done)),
                Exit::MmioWrite { value, .. } if self.moves(exit) => {
                    events.push(Event::Action { at: counter(), action: value as usize, due: None, result: 0 });
                    let registers = vcpu.save()?;
                    return Ok(Left::Moving(SavedVcpu { registers, seen }));
                }
                Exit::MmioRead { .. } if access.is_some() => vcpu.answer(answer),
                Exit::MmioWrite { .. } if access.is_some() => {}
                _ => {
                    if let Some(ending) = self.mailbox(index, vcpu, exit, events)? {
                        return Ok(Left::Ended(ending));
                    }
                }
            }
        }
    }

    /// Brings the lines of `cpus` (a bit each) to where they belong, and notes each call. `own`: the vCPU whose thread
    /// this is.
    pub(super) fn settle(&self, own: Option<usize>, cpus: u8, events: &mut Vec<Event>) -> Result<(), Error> {
        self.controller.settle(cpus, |target, line, level| {
            for _ in 0..self.line_calls() {
                self.line(target, line, level, own != Some(target))?;
                events.push(Event::Line { at: counter(), vcpu: target, line, level });
            }
            Ok::<(), Error>(())
        })
    }

    /// Whether this exit asks for [`Action::MoveToFreshVm`].
    fn moves(&self, exit: Exit) -> bool {
        match exit {
            Exit::MmioWrite { address, value, .. } if address == MAILBOX_BASE + mailbox::ACTION => {
                self.actions.get(value as usize) == Some(&Action::MoveToFreshVm)
            }
            _ => false,
        }
    }

    /// An exit that is for the mailbox. `Some`: it was the last.
    fn mailbox(
        &self,
        index: usize,
        vcpu: &mut Vcpu,
        exit: Exit,
        events: &mut Vec<Event>,
    ) -> Result<Option<Ending>, Error> {
        let register = exit.address().and_then(|a| a.checked_sub(MAILBOX_BASE));
        match (register, exit) {
            (Some(mailbox::COMMAND), Exit::MmioRead { .. }) => vcpu.answer(mailbox::COMMAND_LITMUS),
            (Some(mailbox::SCRATCH), Exit::MmioRead { .. }) => vcpu.answer(mailbox::SCRATCH_VALUE),
            (Some(mailbox::SINK), Exit::MmioWrite { .. }) => {}
            (Some(mailbox::HELLO), Exit::MmioWrite { value: mailbox::HELLO_MAGIC, .. }) => {}
            (Some(mailbox::OFFSET), Exit::MmioWrite { value, .. }) => {
                self.offset.store(self.counter_offset.get().copied().unwrap_or(value), Ordering::Release);
            }
            (Some(mailbox::ACTION), Exit::MmioWrite { value, .. }) if (value as usize) < self.actions.len() => {
                self.act(index, vcpu, value as usize, events);
            }
            (Some(mailbox::DONE), Exit::MmioWrite { .. }) => return Ok(Some(Ending::Done)),
            (Some(mailbox::EXCEPTION), Exit::MmioWrite { value, .. }) => {
                return Ok(Some(guest::exception(&self.vm, value)?));
            }
            (Some(mailbox::PANIC), Exit::MmioWrite { value, .. }) => {
                return Ok(Some(guest::panic(&self.vm, value)?));
            }
            _ => return Ok(Some(Ending::Failed { exit, pc: self.vm.symbolize(vcpu.pc()) })),
        }
        Ok(None)
    }

    /// What the guest noted on one vCPU: every record up to the first slot that was never written.
    pub(super) fn guest_events(&self, vcpu: usize, offset: u64) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for slot in (0..MAX_RECORDS).step_by(AT_ONCE) {
            let records: [Record; AT_ONCE] =
                self.vm.read_record(records_base(vcpu) + (slot * size_of::<Record>()) as u64)?;
            let written = records.iter().take_while(|record| record.after != 0);
            events.extend(written.map(|record| {
                Event::Guest(GuestRecord {
                    vcpu,
                    op: record.op,
                    kind: record.kind,
                    before: record.before.wrapping_add(offset),
                    after: record.after.wrapping_add(offset),
                    value: record.value,
                })
            }));
            if events.len() < slot + AT_ONCE {
                break;
            }
        }
        Ok(events)
    }
}
