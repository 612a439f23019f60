//! Runs a litmus program and writes its transcript.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use vtick_abi::layout::{MAILBOX_BASE, PROGRAM_BASE, records_base};
use vtick_abi::litmus::{Header, MAX_RECORDS, Op, Record};
use vtick_abi::mailbox;

use super::clock::{self, counter};
use super::kick::Kick;
use super::vcpu::Vcpu;
use super::vm::{Vm, bytes_of};
use super::{Context, Error, guest};
use crate::contract::{Action, Ending, Event, GuestRecord, Program, Return, Transcript};
use crate::controller::{Access, Controller};
use crate::exit::Exit;
use crate::lines::Levels;

/// What the threads of one run share.
struct Run {
    vm: Vm,
    controller: Controller,
    kicks: Vec<Kick>,
    actions: Vec<Action>,
    /// Host counter minus guest counter, as the guest reported it.
    offset: AtomicU64,
    helper: mpsc::Sender<Chore>,
    /// What the helper did.
    helped: Mutex<Vec<Event>>,
}

/// Something another thread shall do at a time.
struct Chore {
    at: u64,
    action: usize,
}

/// What a vCPU's thread brings back.
struct Outcome {
    vcpu: usize,
    events: Vec<Event>,
    ending: Ending,
}

/// Runs `program` in a VM of its own, to its end or to its limit.
pub(super) fn run(program: &Program) -> Result<Transcript, Error> {
    let vm = Vm::new()?;
    let (header, ops) = program.encode();
    vm.write(PROGRAM_BASE, bytes_of(std::slice::from_ref(&header)))?;
    vm.write(PROGRAM_BASE + size_of::<Header>() as u64, bytes_of::<Op>(&ops))?;

    let mut vcpus = Vec::new();
    let mut kicks = Vec::new();
    for index in 0..program.setup.vcpus {
        let (vcpu, kick) = vm.vcpu(index, program.setup.pmu)?;
        vcpus.push(vcpu);
        kicks.push(kick);
    }
    let (helper, chores) = mpsc::channel();
    let run = Arc::new(Run {
        vm,
        controller: Controller::new(program.setup.vcpus, program.setup.routing),
        kicks,
        actions: program.actions().to_vec(),
        offset: AtomicU64::new(0),
        helper,
        helped: Mutex::default(),
    });

    let mut events = Vec::new();
    for action in program.actions_before() {
        let vcpu = &mut vcpus[0];
        run.act(vcpu, action.0, &mut events);
    }

    spawn_helper(&run, chores)?;
    let (done, outcomes) = mpsc::channel();
    for (index, vcpu) in vcpus.into_iter().enumerate() {
        let (run, done) = (Arc::clone(&run), done.clone());
        let body = move || {
            run.kicks[index].here_i_am();
            // The receiver is gone only when the whole run was given up.
            let _ = done.send(run.vcpu_thread(index, vcpu));
        };
        std::thread::Builder::new().name(format!("vcpu{index}")).spawn(body).call("starting a vCPU thread")?;
    }
    let outcomes = collect(&run, &outcomes, program)?;

    let mut endings = vec![Ending::Done; program.setup.vcpus];
    let offset = run.offset.load(Ordering::Acquire);
    for outcome in outcomes {
        events.extend(outcome.events);
        events.extend(run.guest_events(outcome.vcpu, offset)?);
        endings[outcome.vcpu] = outcome.ending;
    }
    // What the helper did is there once this lock is free: it holds it from before the deed.
    events.append(&mut lock(&run.helped));
    Ok(Transcript::new(program, events, endings, offset))
}

/// Waits for all vCPUs, to the program's limit at most; then stops them and waits for that.
fn collect(run: &Run, outcomes: &mpsc::Receiver<Outcome>, program: &Program) -> Result<Vec<Outcome>, Error> {
    let mut collected: Vec<Outcome> = Vec::new();
    let deadline = counter() + program.setup.limit;
    let mut stops = 0;
    while collected.len() < program.setup.vcpus {
        let left = deadline.saturating_sub(counter());
        let patience = if stops == 0 { clock::duration(left) } else { Duration::from_millis(100) };
        match outcomes.recv_timeout(patience) {
            Ok(outcome) => collected.push(outcome),
            Err(_) if stops < 10 => {
                stops += 1;
                let running = |index: &usize| collected.iter().all(|outcome| outcome.vcpu != *index);
                (0..program.setup.vcpus).filter(running).for_each(|index| run.kicks[index].stop());
            }
            Err(_) => {
                let stuck = (0..program.setup.vcpus).find(|index| collected.iter().all(|o| o.vcpu != *index));
                return Err(Error::Stuck(stuck.unwrap_or(0)));
            }
        }
    }
    Ok(collected)
}

/// The thread that does what the host is asked to do later. It ends with the run.
fn spawn_helper(run: &Arc<Run>, chores: mpsc::Receiver<Chore>) -> Result<(), Error> {
    let (ready, started) = mpsc::channel();
    // Weak: the run holds the sender of the chores, and must not be kept alive by their receiver.
    let run = Arc::downgrade(run);
    let body = move || {
        prefer_this_thread();
        let _ = ready.send(());
        for chore in chores {
            clock::sleep_until(chore.at);
            let Some(run) = run.upgrade() else { return };
            let mut helped = lock(&run.helped);
            let result = match run.actions[chore.action] {
                Action::LineAfter { vcpu, line, level, .. } => status(run.vm.irq_line(vcpu, line, level)),
                Action::SignalAfter { vcpu, .. } => {
                    run.kicks[vcpu].signal();
                    0
                }
                _ => continue,
            };
            helped.push(Event::Action { at: counter(), action: chore.action, result });
        }
    };
    std::thread::Builder::new().name("helper".to_owned()).spawn(body).call("starting a helper thread")?;
    // Not before it has its priority: the first chore may come while a vCPU keeps the only CPU busy.
    let _ = started.recv_timeout(Duration::from_secs(1));
    Ok(())
}

impl Run {
    fn vcpu_thread(&self, index: usize, mut vcpu: Vcpu) -> Outcome {
        // Room for what programs leave, so that nothing is allocated between exits.
        let mut events = Vec::with_capacity(4096);
        let ending = self
            .run_vcpu(index, &mut vcpu, &mut events)
            .unwrap_or_else(|error| Ending::Panic { message: format!("host: {error}") });
        Outcome { vcpu: index, events, ending }
    }

    /// Enters the guest again and again, until it ends or is stopped.
    fn run_vcpu(&self, index: usize, vcpu: &mut Vcpu, events: &mut Vec<Event>) -> Result<Ending, Error> {
        let mut seen = Levels::NONE;
        let mut reported = Levels::NONE;
        loop {
            let entered = counter();
            let exit = vcpu.run();
            let returned = counter();
            let levels = vcpu.levels();
            vcpu.set_immediate_exit(false);
            if exit == Exit::Interrupted && self.kicks[index].must_stop() {
                return Ok(Ending::Stopped(guest::stopped(&self.vm, vcpu, reported)?));
            }
            reported = levels;
            events.push(Event::Return(Return { vcpu: index, entered, returned, exit, levels }));

            let access = match exit {
                Exit::MmioRead { address, len } => Access::at(address, len, None),
                Exit::MmioWrite { address, len, value } => Access::at(address, len, Some(value)),
                _ => None,
            };
            let (answer, changed) = self.controller.update(index, &mut seen, levels, access);
            self.controller.settle(changed, index, levels, |target, line, level| {
                self.vm.irq_line(target, line, level)?;
                events.push(Event::Line { at: counter(), vcpu: target, line, level });
                Ok::<(), Error>(())
            })?;
            match exit {
                Exit::Interrupted => {}
                Exit::MmioRead { .. } if access.is_some() => vcpu.answer(answer),
                Exit::MmioWrite { .. } if access.is_some() => {}
                _ => {
                    if let Some(ending) = self.mailbox(vcpu, exit, events)? {
                        return Ok(ending);
                    }
                }
            }
        }
    }

    /// An exit that is for the mailbox. `Some`: it was the last.
    fn mailbox(&self, vcpu: &mut Vcpu, exit: Exit, events: &mut Vec<Event>) -> Result<Option<Ending>, Error> {
        let register = exit.address().and_then(|a| a.checked_sub(MAILBOX_BASE));
        match (register, exit) {
            (Some(mailbox::COMMAND), Exit::MmioRead { .. }) => vcpu.answer(mailbox::COMMAND_LITMUS),
            (Some(mailbox::SCRATCH), Exit::MmioRead { .. }) => vcpu.answer(mailbox::SCRATCH_VALUE),
            (Some(mailbox::SINK), Exit::MmioWrite { .. }) => {}
            (Some(mailbox::HELLO), Exit::MmioWrite { value: mailbox::HELLO_MAGIC, .. }) => {}
            (Some(mailbox::OFFSET), Exit::MmioWrite { value, .. }) => self.offset.store(value, Ordering::Release),
            (Some(mailbox::ACTION), Exit::MmioWrite { value, .. }) if (value as usize) < self.actions.len() => {
                self.act(vcpu, value as usize, events);
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

    /// Does action `action` on behalf of `vcpu`'s thread.
    fn act(&self, vcpu: &mut Vcpu, action: usize, events: &mut Vec<Event>) {
        let result = match self.actions[action] {
            Action::Line { vcpu, line, level } => status(self.vm.irq_line(vcpu, line, level)),
            Action::LineAfter { ticks, .. } | Action::SignalAfter { ticks, .. } => {
                // The helper ends with the run, not before it.
                let _ = self.helper.send(Chore { at: counter() + ticks, action });
                return;
            }
            Action::ImmediateExit => {
                vcpu.set_immediate_exit(true);
                0
            }
            Action::Stay { ticks } => {
                clock::sleep_until(counter() + ticks);
                0
            }
            Action::CheckExtension { capability } => self.vm.fd.check_extension_raw(capability.into()).into(),
            Action::RawLine { irq, level } => status(self.vm.fd.set_irq_line(irq, level).call("KVM_IRQ_LINE")),
        };
        events.push(Event::Action { at: counter(), action, result });
    }

    /// What the guest noted on one vCPU: every record up to the first slot that was never written.
    fn guest_events(&self, vcpu: usize, offset: u64) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for slot in 0..MAX_RECORDS {
            // SAFETY: `Record` is plain integers.
            let record: Record =
                unsafe { self.vm.read_record(records_base(vcpu) + (slot * size_of::<Record>()) as u64) }?;
            if record.after == 0 {
                break;
            }
            events.push(Event::Guest(GuestRecord {
                vcpu,
                op: record.op,
                kind: record.kind,
                before: record.before.wrapping_add(offset),
                after: record.after.wrapping_add(offset),
                value: record.value,
            }));
        }
        Ok(events)
    }
}

/// Real-time priority, where it is permitted: on a host with one CPU the helper has to get in while a vCPU spins. Where
/// it is not, the scheduler's time slices do, later.
fn prefer_this_thread() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: concerns this thread alone; the parameters are read during the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of an action: 0, or minus errno.
fn status(result: Result<(), Error>) -> i64 {
    match result {
        Ok(()) => 0,
        Err(Error::Call { source, .. }) => -i64::from(source.raw_os_error().unwrap_or(libc::EIO)),
        Err(_) => -i64::from(libc::EIO),
    }
}
