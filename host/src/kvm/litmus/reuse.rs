//! A VM that runs one program after the other: after each, the guest undoes what the program may have left in its
//! registers, the host lowers the lines, and the guest asks what to do next. No VM, vCPU or thread is made for a program.
//!
//! The transcript of a program begins with the return of KVM_RUN in which the guest asked for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use vtick_abi::layout::{MAILBOX_BASE, PROGRAM_BASE, records_base};
use vtick_abi::litmus::{Op, Record, code, sysreg, undo};
use vtick_abi::mailbox;
use zerocopy::IntoBytes;

use super::super::clock::{self, counter};
use super::super::conditions::RunDelay;
use super::super::kick::Kick;
use super::super::vcpu::Vcpu;
use super::super::vm::{Features, Vm};
use super::super::{Context, Error, affinity};
use super::helper::{Agenda, Helper};
use super::machine::Hardware;
use super::watchdog::Watchdog;
use super::{Brought, Left, Placement, ProgramRun, collect, faulty};
use crate::kvm::lock;
use vtick_contract::fault::Fault;
use vtick_contract::{Action, Encoded, Ending, Event, Program, Return, TimerRegister, Transcript};
use vtick_core::controller::Controller;
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line, Routing};

/// Returns of KVM_RUN within which a guest asks what to do next.
const MOST_RETURNS: usize = 64;

/// A VM that is reused, with as many vCPUs as its programs have.
pub struct Reused {
    vm: Arc<Vm>,
    kicks: Arc<[Kick]>,
    crew: Crew,
    agenda: Arc<Agenda>,
    /// Those that were made, one for each routing.
    controllers: Vec<(Routing, Arc<Controller>)>,
    offset: Arc<AtomicU64>,
    pmu: bool,
    /// The program as the guest reads it: kept for its memory.
    image: Vec<u8>,
    /// Records that the last program left, of each vCPU.
    records: Vec<usize>,
    /// Whether a line may be up.
    lines_used: bool,
    /// What the last program may have left in the registers: bits of [`undo`].
    left: u32,
    /// It ran into something that it cannot be reused after.
    spent: bool,
}

/// Who runs the vCPUs.
enum Crew {
    /// The only one: the caller.
    Caller(Seat, Watchdog),
    /// A thread each.
    Threads(Vec<mpsc::Sender<Arc<ProgramRun>>>, mpsc::Receiver<Brought>),
}

/// A vCPU between two programs.
struct Seat {
    index: usize,
    vcpu: Vcpu,
    /// It was stopped in the last program, and starts again from its first instruction.
    restart: bool,
    offset: Arc<AtomicU64>,
    /// How long its thread has waited for a CPU; `None`: it has no thread yet.
    delay: Option<RunDelay>,
}

impl Reused {
    /// A VM without an in-kernel interrupt controller, its guest about to boot.
    pub(in crate::kvm) fn new(vcpus: usize, pmu: bool, period: u64) -> Result<Reused, Error> {
        super::be_first();
        let vm = Arc::new(Vm::new()?);
        vm.do_not_poll();
        let fds = (0..vcpus).map(|index| vm.fd.create_vcpu(index as u64).call("KVM_CREATE_VCPU"));
        let fds = fds.collect::<Result<Vec<_>, _>>()?;
        let offset = Arc::new(AtomicU64::new(0));
        let (mut seats, mut kicks) = (Vec::new(), Vec::new());
        for (index, fd) in fds.into_iter().enumerate() {
            let (vcpu, kick) = vm.prepare(fd, index, Features { pmu, ..Features::default() })?;
            seats.push(Seat { index, vcpu, restart: false, offset: Arc::clone(&offset), delay: None });
            kicks.push(kick);
        }
        let kicks: Arc<[Kick]> = kicks.into();
        let crew = match (seats.pop(), seats.is_empty()) {
            (Some(mut only), true) => {
                // It stays: this machine is the caller's, and its watchdog ends with it.
                std::mem::forget(kicks[0].here_i_am());
                only.delay = Some(RunDelay::open());
                Crew::Caller(only, Watchdog::start(Arc::clone(&kicks), period)?)
            }
            (last, _) => Crew::threads(seats.into_iter().chain(last), &kicks)?,
        };
        let agenda = Agenda::start()?;
        let records = vec![0; vcpus];
        Ok(Reused {
            vm,
            kicks,
            crew,
            agenda,
            controllers: Vec::new(),
            offset,
            pmu,
            image: Vec::new(),
            records,
            lines_used: false,
            left: 0,
            spent: false,
        })
    }

    /// Whether a program can be run in it: one that asks of its VM no more than what every reset gives back.
    pub fn suits(&self, program: &Program) -> bool {
        let setup = &program.setup;
        let given_back = |action: &Action| {
            !matches!(
                action,
                Action::MoveToFreshVm
                    | Action::CreateVcpu(_)
                    | Action::CounterOffset(_)
                    | Action::Suspend
                    | Action::SetTimerInterrupt { .. }
                    | Action::ForbiddenInitSequence
                    | Action::Set(TimerRegister::Cntvct | TimerRegister::Cntpct, _)
            )
        };
        setup.vgic.is_none()
            && setup.vcpus == self.kicks.len()
            && setup.pmu == self.pmu
            && setup.runs_on.is_empty()
            && setup.creation.is_empty()
            && (setup.off, setup.powers_off, setup.aloud) == (0, false, false)
            && program.neighbour().is_none()
            && program.actions_before().next().is_none()
            && program.actions().iter().all(given_back)
    }

    /// Whether it can run another program. If not, a new one has to be made.
    pub fn is_usable(&self) -> bool {
        !self.spent
    }

    /// Runs a program that it [suits](Reused::suits), on the kernel as it is or behind a fault. The host kernel's log is
    /// not looked at.
    pub fn run(&mut self, program: &Program, fault: Option<Fault>) -> Result<Transcript, Error> {
        debug_assert!(self.suits(program) && !self.spent);
        // Until it has come to a good end.
        self.spent = true;
        let encoded = self.hand_over(program)?;
        let controller = self.controller(program.setup.routing);
        let hardware = Hardware { vm: Arc::clone(&self.vm), kicks: Arc::clone(&self.kicks), controller };
        let helper = Helper::Shared(Arc::clone(&self.agenda));
        let run = Arc::new(ProgramRun::new(program, fault, Placement::Anywhere, hardware, Default::default(), helper));
        let helped = program.actions().iter().any(is_later);
        if helped {
            self.agenda.begin(&run);
        }
        faulty::spawn_kicker(&run)?;
        run.begun.store(true, Ordering::Relaxed);
        let outcomes = self.crew.run(&run, program)?;
        self.kicks.iter().for_each(Kick::go_on);
        if helped {
            // Before anything is looked at: a chore that is still due is not done any more, and none is under way.
            self.agenda.end();
        }

        let offset = self.offset.load(Ordering::Acquire);
        let (mut events, mut endings) = (Vec::with_capacity(64), vec![Ending::Done; program.setup.vcpus]);
        let mut waited = 0;
        for outcome in outcomes {
            waited += outcome.waited;
            events.extend(outcome.events);
            if let Left::Ended(ending) = outcome.left {
                endings[outcome.vcpu] = ending;
            }
        }
        events.append(&mut lock(&run.helped));
        for vcpu in 0..program.setup.vcpus {
            let records = run.guest_events(vcpu, offset)?;
            self.records[vcpu] = records.len();
            events.extend(records);
        }
        drop(run);
        self.lines_used = program.actions().iter().any(drives_a_line)
            || events.iter().any(|event| matches!(event, Event::Line { .. }));
        self.spent = !endings.iter().all(|ending| matches!(ending, Ending::Done | Ending::Stopped(_)));
        let mut transcript = Transcript::of(program, encoded, events, endings, offset);
        transcript.waited = waited;
        Ok(transcript)
    }

    /// What drives the lines as a program wants it, all of them low.
    fn controller(&mut self, routing: Routing) -> Arc<Controller> {
        // A GIC remembers more than its lines.
        self.controllers.retain(|(known, _)| *known != Routing::Gic);
        if let Some((_, controller)) = self.controllers.iter().find(|(known, _)| *known == routing) {
            controller.forget_lines();
            return Arc::clone(controller);
        }
        // To make one costs more than some programs.
        let controller = Arc::new(Controller::new(self.kicks.len(), routing));
        self.controllers.push((routing, Arc::clone(&controller)));
        controller
    }

    /// Puts the program where the guest finds it, and clears what the last one left: lines and records. The guest is
    /// between two programs, its interrupts masked.
    fn hand_over(&mut self, program: &Program) -> Result<Encoded, Error> {
        if std::mem::take(&mut self.lines_used) {
            for vcpu in 0..self.kicks.len() {
                self.vm.irq_line(vcpu, Line::Irq, false)?;
                self.vm.irq_line(vcpu, Line::Fiq, false)?;
            }
        }
        for (vcpu, records) in self.records.iter_mut().enumerate() {
            let from = records_base(vcpu);
            self.vm.clear(from..from + (std::mem::take(records) * size_of::<Record>()) as u64)?;
        }
        let mut encoded = program.encoded();
        let Encoded { header, ops, .. } = &mut encoded;
        // The guest has yet to undo what the last program left, and reads of this header what that is.
        header.undo = std::mem::replace(&mut self.left, to_undo(program, ops));
        self.image.clear();
        self.image.extend_from_slice(header.as_bytes());
        self.image.extend_from_slice(ops.as_bytes());
        self.vm.write(PROGRAM_BASE, &self.image)?;
        Ok(encoded)
    }
}

/// What a program may leave in a vCPU's registers.
fn to_undo(program: &Program, ops: &[Op]) -> u32 {
    let written = ops.iter().filter(|op| op.code == code::WRITE).map(|op| match op.what {
        sysreg::CNTV_CTL..=sysreg::CNTV_TVAL => undo::VTIMER,
        sysreg::CNTP_CTL..=sysreg::CNTP_TVAL => undo::PTIMER,
        sysreg::PMCR..=sysreg::PMXEVCNTR => undo::PMU,
        _ => 0,
    });
    let set = program.actions().iter().map(|action| match action {
        Action::Set(TimerRegister::CntvCtl | TimerRegister::CntvCval, _) => undo::VTIMER,
        Action::Set(TimerRegister::CntpCtl | TimerRegister::CntpCval, _) => undo::PTIMER,
        _ => 0,
    });
    written.chain(set).fold(0, |all, one| all | one)
}

/// Whether another thread does it.
fn is_later(action: &Action) -> bool {
    matches!(action, Action::LineAfter { .. } | Action::SignalAfter { .. } | Action::SpiAfter { .. })
}

fn drives_a_line(action: &Action) -> bool {
    matches!(action, Action::Line { .. } | Action::LineAfter { .. } | Action::RawLine { .. })
}

impl Drop for Reused {
    fn drop(&mut self) {
        self.agenda.close();
    }
}

impl Crew {
    fn threads(seats: impl Iterator<Item = Seat>, kicks: &Arc<[Kick]>) -> Result<Crew, Error> {
        let (done, outcomes) = mpsc::channel();
        let mut runs = Vec::new();
        for mut seat in seats {
            let (run, to_run) = mpsc::channel::<Arc<ProgramRun>>();
            let (kicks, done) = (Arc::clone(kicks), done.clone());
            let body = move || {
                let _here = kicks[seat.index].here_i_am();
                seat.delay = Some(RunDelay::open());
                for run in to_run {
                    let outcome = seat.run(&run);
                    drop(run);
                    if done.send(outcome).is_err() {
                        return;
                    }
                }
            };
            std::thread::Builder::new().name("vcpu".to_owned()).spawn(body).call("starting a vCPU thread")?;
            runs.push(run);
        }
        Ok(Crew::Threads(runs, outcomes))
    }

    /// Has every vCPU run its part, to its end or until it is stopped.
    fn run(&mut self, run: &Arc<ProgramRun>, program: &Program) -> Result<Vec<Brought>, Error> {
        match self {
            Crew::Caller(seat, watchdog) => {
                watchdog.arm(counter() + program.setup.limit);
                let outcome = seat.run(run);
                watchdog.disarm();
                Ok(vec![outcome])
            }
            Crew::Threads(runs, outcomes) => {
                for seat in runs.iter() {
                    seat.send(Arc::clone(run)).map_err(std::io::Error::other).call("handing over a program")?;
                }
                Ok(collect(run, outcomes, program))
            }
        }
    }
}

impl Seat {
    /// Runs this vCPU's part of a program.
    fn run(&mut self, run: &ProgramRun) -> Brought {
        let mut events = Vec::with_capacity(64);
        let before = self.waited(run);
        let left = self
            .begin(run, &mut events)
            .and_then(|()| run.run_vcpu(self.index, &mut self.vcpu, Levels::NONE, &mut events))
            .and_then(|left| self.end(run).map(|()| left))
            .unwrap_or_else(|error| run.cannot_go_on(self.index, &error, &mut events));
        self.restart = matches!(left, Left::Ended(Ending::Stopped(_)));
        Brought { vcpu: self.index, events, waited: self.waited(run) - before, left }
    }

    /// How long its thread has waited for a CPU, in ticks. Only of a program that sleeps: reading costs, and only how
    /// long a sleep lasts is judged by it.
    fn waited(&self, run: &ProgramRun) -> u64 {
        self.delay.as_ref().filter(|_| run.sleeps).map_or(0, |delay| clock::ticks(delay.read()))
    }

    /// Brings the guest to where it asks what to do, and answers.
    fn begin(&mut self, run: &ProgramRun, events: &mut Vec<Event>) -> Result<(), Error> {
        if std::mem::take(&mut self.restart) {
            run.vm.restart(&self.vcpu, self.index)?;
        }
        // Its routing, and what it drives, are of no program.
        for _ in 0..MOST_RETURNS {
            let entered = counter();
            let exit = self.vcpu.run();
            let (returned, levels) = (counter(), self.vcpu.levels());
            self.vcpu.set_immediate_exit(false);
            let register = exit.address().and_then(|address| address.checked_sub(MAILBOX_BASE));
            match (register, exit) {
                (Some(mailbox::HELLO), Exit::MmioWrite { value: mailbox::HELLO_MAGIC, .. }) => {}
                (Some(mailbox::OFFSET), Exit::MmioWrite { value, .. }) => self.offset.store(value, Ordering::Release),
                (Some(mailbox::COMMAND), Exit::MmioRead { .. }) => {
                    if levels != Levels::NONE {
                        return Err(unclean(format!("levels {levels} after both timers and the PMU were turned off")));
                    }
                    self.vcpu.answer(mailbox::COMMAND_LITMUS);
                    events.push(Event::Return(Return {
                        vcpu: self.index,
                        entered,
                        returned,
                        exit,
                        levels,
                        pc: None,
                        reason: None,
                    }));
                    return Ok(());
                }
                (_, Exit::Interrupted) => {}
                (_, other) => return Err(unclean(format!("{other} where it should ask for the next one"))),
            }
        }
        Err(unclean(format!("{MOST_RETURNS} returns of KVM_RUN, and no question for the next one")))
    }

    /// Gives back what the program's actions changed of this thread and its vCPU.
    fn end(&mut self, run: &ProgramRun) -> Result<(), Error> {
        for action in &run.actions {
            match action {
                Action::Migrate => affinity::unpin()?,
                Action::SyncFlags(_) => self.vcpu.set_sync_flags(0),
                _ => {}
            }
        }
        Ok(())
    }
}

fn unclean(what: String) -> Error {
    Error::Call { call: "resetting a VM between two programs", cause: std::io::Error::other(what) }
}
