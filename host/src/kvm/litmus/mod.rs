//! Runs a litmus program and writes its transcript.

mod actions;
mod faulty;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, mpsc};
use std::time::Duration;

use kvm_bindings::{KVM_CAP_ARM_PMU_V3, KVM_CAP_MAX_VCPUS};
use kvm_ioctls::{DeviceFd, VcpuFd};

use vtick_abi::layout::{MAILBOX_BASE, PROGRAM_BASE, records_base};
use vtick_abi::litmus::{Header, MAX_RECORDS, Op, Record};
use vtick_abi::mailbox;

use super::clock::{self, counter};
use super::kick::Kick;
use super::log::{self, Log};
use super::vcpu::Vcpu;
use super::vgic::{self, Vgic};
use super::vm::{Vm, bytes_of};
use super::{Context, Error, affinity, guest, registers};
use crate::contract::fault::{Fault, Injector};
use crate::contract::{Action, Ending, Event, GuestRecord, Irqchip, Program, Return, Transcript};
use crate::controller::{Access, Controller, lock};
use crate::exit::Exit;
use crate::lines::Levels;

/// What the threads of one run share.
struct Run {
    vm: Vm,
    controller: Controller,
    kicks: Vec<Kick>,
    actions: Vec<Action>,
    /// KVM's id of each vCPU.
    kvm_ids: Vec<u64>,
    powers_off: bool,
    notes_pc: bool,
    aloud: bool,
    placement: Placement,
    /// Host counter minus guest counter, as the guest reported it.
    offset: AtomicU64,
    /// The same, where the program has set it: then the guest cannot see it.
    counter_offset: OnceLock<u64>,
    /// The faulty kernel to be played.
    fault: Option<Mutex<Injector>>,
    /// How often a vCPU has come to a meeting.
    meeting: (Mutex<usize>, Condvar),
    helper: mpsc::Sender<Chore>,
    /// What the helper did.
    helped: Mutex<Vec<Event>>,
    /// vCPUs that do not run, and the in-kernel interrupt controller: there as long as the VM.
    _others: (Vec<(u64, VcpuFd)>, Option<DeviceFd>),
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

/// Runs `program`, and the one beside it, each in a VM of its own, to their ends or to their limits.
pub(super) fn run(program: &Program, fault: Option<Fault>) -> Result<Transcript, Error> {
    be_first();
    let log = Log::mark();
    let mut transcript = match program.neighbour() {
        None => run_vm(program, fault, Placement::Anywhere)?,
        Some(neighbour) => std::thread::scope(|scope| {
            // One host CPU for both: what a VM leaves behind on it is what the other one finds.
            let beside = scope.spawn(|| run_vm(neighbour, fault, Placement::Neighbour));
            let mut transcript = run_vm(program, fault, Placement::FirstCpu)?;
            let beside =
                beside.join().map_err(|_| std::io::Error::other("panicked")).call("the other VM's thread")??;
            transcript.unavailable = transcript.unavailable.take().or_else(|| beside.unavailable.clone());
            transcript.neighbour = Some(Box::new(beside));
            Ok::<_, Error>(transcript)
        })?,
    };
    transcript.warnings = log.warnings();
    Ok(transcript)
}

/// Where the threads of a VM run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placement {
    /// Wherever the scheduler puts them.
    Anywhere,
    /// On the first CPU.
    FirstCpu,
    /// On the first CPU, too, in the second VM.
    Neighbour,
}

/// What a program needs and this host has not, if anything.
fn lacking(program: &Program, vm: &Vm) -> Option<String> {
    let setup = &program.setup;
    if setup.pmu && vm.fd.check_extension_raw(KVM_CAP_ARM_PMU_V3.into()) <= 0 {
        return Some("this host has no PMU to give to a guest (KVM_CAP_ARM_PMU_V3)".to_owned());
    }
    let most = vm.fd.check_extension_raw(KVM_CAP_MAX_VCPUS.into());
    let wanted = setup.creation_order().len();
    (wanted > most as usize).then(|| format!("a VM has at most {most} vCPUs on this host, {wanted} are needed"))
}

/// Runs one program in a VM of its own.
fn run_vm(program: &Program, fault: Option<Fault>, placement: Placement) -> Result<Transcript, Error> {
    let vm = Vm::new()?;
    if let Some(reason) = lacking(program, &vm) {
        return Ok(Transcript::unavailable(program, reason));
    }
    let (header, ops) = program.encode();
    vm.write(PROGRAM_BASE, bytes_of(std::slice::from_ref(&header)))?;
    vm.write(PROGRAM_BASE + size_of::<Header>() as u64, bytes_of::<Op>(&ops))?;

    // All vCPUs, in their order; then those that run, in theirs. The others are there, and that is all.
    let mut created = Vec::new();
    for id in program.setup.creation_order() {
        created.push((id, vm.fd.create_vcpu(id).call("KVM_CREATE_VCPU")?));
    }
    let gic = match program.setup.irqchip {
        Irqchip::Userspace => Ok(None),
        Irqchip::VgicV2 => vgic::create(&vm.fd, Vgic::V2).map(Some),
        Irqchip::VgicV3 => vgic::create(&vm.fd, Vgic::V3).map(Some),
    };
    let gic = match gic {
        Err(absent @ Error::NoVgic(_)) => return Ok(Transcript::unavailable(program, absent.to_string())),
        other => other?,
    };
    let mut vcpus = Vec::new();
    let mut kicks = Vec::new();
    for index in 0..program.setup.vcpus {
        let place = created.iter().position(|(id, _)| *id == program.setup.kvm_id(index)).expect("it was created");
        let (vcpu, kick) = vm.prepare(created.swap_remove(place).1, index, program.setup.pmu)?;
        vcpus.push(vcpu);
        kicks.push(kick);
    }
    let (helper, chores) = mpsc::channel();
    let run = Arc::new(Run {
        vm,
        controller: Controller::new(program.setup.vcpus, program.setup.routing),
        kicks,
        actions: program.actions().to_vec(),
        kvm_ids: (0..program.setup.vcpus).map(|index| program.setup.kvm_id(index)).collect(),
        powers_off: program.setup.powers_off,
        notes_pc: program.setup.notes_pc,
        aloud: program.setup.aloud,
        placement,
        offset: AtomicU64::new(0),
        counter_offset: OnceLock::new(),
        fault: fault.map(|fault| Mutex::new(Injector::new(fault, program.setup.irqchip))),
        meeting: Default::default(),
        helper,
        helped: Mutex::default(),
        _others: (created, gic),
    });

    let mut events = Vec::new();
    for action in program.actions_before() {
        let vcpu = &mut vcpus[0];
        run.act(0, vcpu, action.0, &mut events);
        if let Some(Event::Action { result: error @ ..0, .. }) = events.last()
            && program.is_required(action)
        {
            let what = run.actions[action.0];
            return Ok(Transcript::unavailable(program, format!("{what} returned {error} on this kernel")));
        }
    }

    spawn_helper(&run, chores)?;
    faulty::spawn_kicker(&run)?;
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
                Action::LineAfter { vcpu, line, level, .. } => actions::status(run.line(vcpu, line, level, true)),
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
        if self.placement != Placement::Anywhere
            && let Some(&cpu) = affinity::allowed().first()
        {
            affinity::pin(cpu)?;
        }
        let mut seen = Levels::NONE;
        let mut reported = Levels::NONE;
        loop {
            let entered = counter();
            let (exit, levels) = self.enter(index, vcpu)?;
            let returned = counter();
            vcpu.set_immediate_exit(false);
            if exit == Exit::Interrupted && self.kicks[index].must_stop() {
                return Ok(Ending::Stopped(guest::stopped(&self.vm, vcpu, reported)?));
            }
            reported = levels;
            let pc = if self.notes_pc { Some(vcpu.register(registers::PC)?) } else { None };
            let seen_now = Return { vcpu: index, entered, returned, exit, levels, pc };
            if self.aloud {
                // As an error (<3>), which even a quiet console shows. Where it may not be said nothing is lost but last words.
                let _ = log::say(&format!("<3>vtick: at {returned}: vCPU {index} {seen_now}"));
            }
            events.push(Event::Return(seen_now));

            let access = match exit {
                Exit::MmioRead { address, len } => Access::at(address, len, None),
                Exit::MmioWrite { address, len, value } => Access::at(address, len, Some(value)),
                _ => None,
            };
            let (answer, changed) = self.controller.update(index, &mut seen, levels, access);
            self.controller.settle(changed, |target, line, level| {
                self.line(target, line, level, false)?;
                events.push(Event::Line { at: counter(), vcpu: target, line, level });
                Ok::<(), Error>(())
            })?;
            match exit {
                Exit::Interrupted => {}
                Exit::SystemEvent { .. } if self.powers_off => return Ok(Ending::Done),
                Exit::MmioRead { .. } if access.is_some() => vcpu.answer(answer),
                Exit::MmioWrite { .. } if access.is_some() => {}
                _ => {
                    if let Some(ending) = self.mailbox(index, vcpu, exit, events)? {
                        return Ok(ending);
                    }
                }
            }
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

/// The best nice value, where it is permitted, for this thread and those it starts: others, like the one that passes on
/// what was printed, come between less often, and fewer programs have to be run again.
fn be_first() {
    // SAFETY: concerns the scheduling of this thread alone.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
}
