//! Runs a litmus program and writes its transcript.

mod actions;
mod disturb;
mod faulty;
mod helper;
mod machine;
mod reuse;
mod vcpu_thread;
mod watchdog;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, mpsc};
use std::time::Duration;

use kvm_ioctls::{DeviceFd, VcpuFd};

pub use self::reuse::Reused;

use self::disturb::Disturber;
use self::helper::{Chore, Helper};
use self::machine::{Prepared, SavedVcpu};
use super::clock::{self, counter};
use super::kick::Kick;
use super::log::Log;
use super::vcpu::Vcpu;
use super::vm::Vm;
use super::{Context, Error};
use crate::kvm::lock;
use vtick_contract::fault::{Fault, Injector};
use vtick_contract::{Action, Ending, Event, Program, Transcript};
use vtick_core::controller::Controller;
use vtick_core::lines::Levels;

/// How often a vCPU's thread is told to stop before it is said that no signal brings it back.
const MOST_STOPS: u32 = 10;

/// What the threads of one run share.
struct ProgramRun {
    vm: Arc<Vm>,
    controller: Arc<Controller>,
    kicks: Arc<[Kick]>,
    actions: Vec<Action>,
    /// KVM's id of each vCPU.
    kvm_ids: Vec<u64>,
    powers_off: bool,
    /// Whether a vCPU may sleep.
    sleeps: bool,
    notes_pc: bool,
    aloud: bool,
    /// How often KVM_RUN may return on a vCPU.
    most_returns: u64,
    /// A vCPU's thread does not come back, and nobody waits for it any more.
    given_up: AtomicBool,
    /// The guest has begun to run.
    begun: AtomicBool,
    placement: Placement,
    /// Host counter minus guest counter, as the guest reported it.
    offset: AtomicU64,
    /// The same, where the program has set it: then the guest cannot see it.
    counter_offset: OnceLock<u64>,
    /// The faulty kernel to be played.
    fault: Option<Mutex<Injector>>,
    /// How long a vCPU waits for the others at a meeting.
    meeting_patience: Duration,
    /// How often a vCPU has come to a meeting.
    meeting: (Mutex<usize>, Condvar),
    helper: Helper,
    /// What the helper did.
    helped: Mutex<Vec<Event>>,
    /// vCPUs that do not run, and the in-kernel interrupt controller: there as long as the VM.
    _others: (Vec<(u64, VcpuFd)>, Option<DeviceFd>),
}

/// What a vCPU's thread brings back.
struct Brought {
    vcpu: usize,
    events: Vec<Event>,
    /// How long its thread was ready to run and did not, in ticks.
    waited: u64,
    left: Left,
}

/// How a vCPU's thread left its VM.
enum Left {
    /// For good.
    Ended(Ending),
    /// To go on in another.
    Moving(SavedVcpu),
}

/// Runs `program`, and the one beside it, each in a VM of its own, to their ends or to their limits.
pub(super) fn run(program: &Program, fault: Option<Fault>) -> Result<Transcript, Error> {
    be_first();
    let mut log = Log::mark();
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

/// Runs one program in a VM of its own; and in another one after that, as often as it moves.
fn run_vm(program: &Program, fault: Option<Fault>, placement: Placement) -> Result<Transcript, Error> {
    let mut events = Vec::new();
    let mut waited = 0;
    let mut saved = None;
    loop {
        let (run, vcpus, chores) = match machine::prepare(program, fault, placement, saved.as_ref(), &mut events) {
            Ok(Prepared::Ready(run, vcpus, chores)) => (run, vcpus, chores),
            Ok(Prepared::Unavailable(reason)) => return Ok(Transcript::unavailable(program, reason)),
            Err(error) => {
                let refusal = error.refusal(None, saved.is_none()).ok_or(error)?;
                events.push(Event::Refused(refusal));
                let offset = saved.map_or(0, |saved| saved.offset());
                return Ok(Transcript::new(program, events, vec![Ending::Refused; program.setup.vcpus], offset));
            }
        };
        if !program.setup.needs_guest {
            events.append(&mut lock(&run.helped));
            return Ok(Transcript::new(program, events, Vec::new(), 0));
        }
        let outcomes = run_machine(&run, vcpus, chores, program)?;
        let offset = run.offset.load(Ordering::Acquire);
        let (mut endings, mut moving) = (vec![Ending::Done; program.setup.vcpus], Vec::new());
        for outcome in outcomes {
            waited += outcome.waited;
            events.extend(outcome.events);
            match outcome.left {
                Left::Ended(ending) => endings[outcome.vcpu] = ending,
                Left::Moving(vcpu) => moving.push((outcome.vcpu, vcpu)),
            }
        }
        // What the helper did is there once this lock is free: it holds it from before the deed.
        events.append(&mut lock(&run.helped));
        if moving.len() < program.setup.vcpus {
            for vcpu in 0..program.setup.vcpus {
                events.extend(run.guest_events(vcpu, offset)?);
            }
            let mut transcript = Transcript::new(program, events, endings, offset);
            transcript.waited = waited;
            return Ok(transcript);
        }
        saved = Some(run.save(moving)?);
    }
}

/// Runs all vCPUs in threads of their own, until each has come to its end, moves, or was stopped.
fn run_machine(
    run: &Arc<ProgramRun>,
    vcpus: Vec<(Vcpu, Levels)>,
    chores: mpsc::Receiver<Chore>,
    program: &Program,
) -> Result<Vec<Brought>, Error> {
    helper::spawn(run, chores)?;
    faulty::spawn_kicker(run)?;
    run.begun.store(true, Ordering::Relaxed);
    let disturber = Disturber::start(program.setup.disturb, run)?;
    let (done, outcomes) = mpsc::channel();
    for (index, (vcpu, seen)) in vcpus.into_iter().enumerate() {
        let (run, done) = (Arc::clone(run), done.clone());
        let body = move || {
            let _here = run.kicks[index].here_i_am();
            // The receiver is gone only when the whole run was given up.
            let _ = done.send(run.vcpu_thread(index, vcpu, seen));
        };
        std::thread::Builder::new().name(format!("vcpu{index}")).spawn(body).call("starting a vCPU thread")?;
    }
    let outcomes = collect(run, &outcomes, program);
    lock(&run.helped).append(&mut disturber.stop());
    Ok(outcomes)
}

/// Waits for all vCPUs, to the program's limit at most; then stops them and waits for that. One that no signal brings
/// back is left where it is.
fn collect(run: &ProgramRun, outcomes: &mpsc::Receiver<Brought>, program: &Program) -> Vec<Brought> {
    let mut collected: Vec<Brought> = Vec::new();
    let mut deadline = counter() + program.setup.limit;
    let mut stops = 0;
    while collected.len() < program.setup.vcpus {
        let left = deadline.saturating_sub(counter());
        let patience = if stops == 0 { clock::duration(left) } else { Duration::from_millis(100) };
        let running = |index: &usize| collected.iter().all(|outcome| outcome.vcpu != *index);
        match outcomes.recv_timeout(patience) {
            Ok(outcome) => {
                // The others may wait for what a vCPU of which this is said will never do.
                if matches!(outcome.left, Left::Ended(Ending::Storm(_))) {
                    deadline = counter();
                }
                collected.push(outcome);
            }
            Err(_) if stops < MOST_STOPS => {
                stops += 1;
                (0..program.setup.vcpus).filter(running).for_each(|index| run.kicks[index].stop());
            }
            Err(_) => {
                run.given_up.store(true, Ordering::Release);
                let stuck: Vec<usize> = (0..program.setup.vcpus).filter(running).collect();
                let ending = |vcpu: usize| Left::Ended(Ending::Stuck { place: run.kicks[vcpu].place() });
                collected.extend(stuck.iter().map(|&vcpu| Brought {
                    vcpu,
                    events: Vec::new(),
                    waited: 0,
                    left: ending(vcpu),
                }));
                // One that only does not want to end (a fault that is played) may do so now.
                stuck.iter().for_each(|&vcpu| run.kicks[vcpu].stop());
            }
        }
    }
    collected
}

/// The best nice value, where it is permitted, for this thread and those it starts: others, like the one that passes on
/// what was printed, come between less often, and fewer programs have to be run again.
fn be_first() {
    // SAFETY: concerns only the scheduling of this thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
}
