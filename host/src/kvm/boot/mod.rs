//! Boots a stock guest: loads it, runs a thread for each vCPU, and watches over them until one of them ends the run.

mod devices;
mod load;
mod snapshot;
mod timer;
mod vcpu;
mod watch;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use super::kick::Kick;
use super::vcpu::Vcpu;
use super::vm::Vm;
use super::{Context, Error, clock};
use crate::console::{Input, Output, Raw};
use crate::machine::{
    Account, Books, Booted, Bus, Clock, Ended, Heard, Listen, Machine, Moved, Nowhere, Pmu, Setup, SetupError,
};
use crate::report::Unit;
use crate::trace::{Source, Tape, Trace};
use watch::Patience;

/// Why a guest could not be booted.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// It could not be run.
    #[error(transparent)]
    Run(#[from] Error),
    /// It cannot be loaded.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// It was to have a PMU.
    #[error("--pmu on: this host's KVM has no PMU for guests (KVM_CAP_ARM_PMU_V3); --pmu auto does without")]
    NoPmu,
    /// Its device tree cannot be written.
    #[error("the device tree: {0}")]
    DeviceTree(#[from] vm_fdt::Error),
}

/// No exit code was printed.
const NO_CODE: u64 = u64::MAX;

/// What the threads of a run share.
struct Run {
    vm: Vm,
    machine: Machine,
    vcpus: Vec<Shared>,
    output: Output,
    /// KVM_IRQ_LINE calls of threads that are no vCPU's: for what was typed, and for what was due in a device.
    other_lines: AtomicU64,
    /// Counter when the VM was made, and when the mark was printed (0: not yet).
    started: u64,
    marked: Arc<AtomicU64>,
    patience: Patience,
    /// Accesses to addresses where there is nothing end the run, or are noted here.
    strict: bool,
    nowhere: Mutex<Nowhere>,
}

/// What a vCPU's thread and the watchdog share.
struct Shared {
    kick: Kick,
    /// Returns of KVM_RUN. Its thread alone writes it.
    returns: AtomicU64,
    /// How long its thread had waited for a CPU ([`Kick::run_delay`]) when KVM_RUN was last seen to return.
    waited: AtomicU64,
    /// The watchdog wants the thread to look at its vCPU.
    look: AtomicBool,
    /// What it saw.
    seen: watch::Sight,
}

/// What a thread tells the one that waits.
enum Message {
    /// A vCPU's thread has come to its end.
    Ended(usize, Box<Brought>),
    /// The user wants to leave.
    Quit,
    /// The guest exits with a code.
    Exit(u32),
    /// The guest printed a line that ends the run, well or not.
    Said(bool, String),
}

/// What a vCPU's thread brings back.
struct Brought {
    stop: Result<vcpu::Stop, Error>,
    books: Books,
    tape: Tape,
}

/// Boots what `setup` says, to its end.
pub(super) fn boot(setup: &Setup) -> Result<Booted, BootError> {
    let mut plan = setup.plan()?;
    let started = clock::counter();
    let vm = Vm::with_ram(setup.memory)?;
    vm.prefer_huge_pages();
    let marked = Arc::new(AtomicU64::new(0));
    let output = Output::new(std::io::stdout()).call("starting a thread")?;
    let code = Arc::new(AtomicU64::new(NO_CODE));
    let (sender, messages) = mpsc::channel();
    let listen = Listen { status: !plan.linux, ..setup.listen.clone() };
    let printer = || output.printer(listen.is_needed().then(|| listener(&listen, &marked, &code, &sender)));
    let exit = {
        let sender = sender.clone();
        move |code| {
            let _ = sender.send(Message::Exit(code));
        }
    };
    let mut bus = Bus::new(Clock::new(clock::counter, clock::cntfrq()));
    let typed = devices::attach(&mut bus, &vm, setup, &mut plan, printer, exit)?;
    let pmu = match setup.pmu {
        Pmu::Off => false,
        Pmu::Auto => vm.has_pmu(),
        Pmu::On if vm.has_pmu() => true,
        Pmu::On => return Err(BootError::NoPmu),
    };
    load::load(&vm, setup, &plan, pmu, &bus)?;
    crate::machine::fill(&mut bus);
    let vcpus = (0..setup.cpus).map(|index| vm.stock_vcpu(index, plan.entry, plan.fdt, pmu));
    let (vcpus, kicks): (Vec<Vcpu>, Vec<Kick>) = vcpus.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let run = Arc::new(Run {
        vm,
        machine: Machine::new(setup.cpus, bus),
        vcpus: kicks.into_iter().map(Shared::new).collect(),
        output,
        other_lines: AtomicU64::new(0),
        started,
        marked,
        patience: Patience::usual(),
        strict: setup.strict,
        nowhere: Mutex::default(),
    });

    let raw = Raw::enter().call("the terminal")?;
    let input = start_input(&run, raw.is_some(), typed, sender.clone())?;
    let timer = timer::Timer::start(&run)?;
    let to_start = clock::counter() - started;
    let threads = start(&run, vcpus, setup.tape, &sender)?;
    let (mut ended, brought) = watch::watch(&run, setup.timeout, &messages, &threads)?;
    match (&ended, code.load(Ordering::Relaxed)) {
        (Ended::PowerOff, code) if code != NO_CODE => ended = Ended::Exited(code as u32),
        _ => {}
    }
    let to_end = clock::counter() - started;
    drop(input);
    drop(timer);
    for thread in threads {
        thread.join().map_err(|_| std::io::Error::other("panicked")).call("a vCPU's thread")?;
    }
    let run = Arc::into_inner(run).expect("every thread that shares it has ended");
    // Everything that was printed is written before anything else is said.
    drop((run.machine, run.output));
    drop(raw);
    let mut tapes = Vec::new();
    let mut account = Account {
        to_start,
        to_end,
        to_mark: Some(run.marked.load(Ordering::Relaxed)).filter(|&at| at != 0).map(|at| at - started),
        other_lines: run.other_lines.load(Ordering::Relaxed),
        nowhere: run.nowhere.into_inner().unwrap_or_else(PoisonError::into_inner),
        frequency: (!clock::counts_instructions()).then(clock::cntfrq),
        ..Account::default()
    };
    for (cpu, brought) in brought.into_iter().enumerate() {
        account.vcpus.push(brought.books.ledger);
        tapes.push((Source::Vcpu(cpu as u8), brought.tape));
    }
    Ok(Booted { ended, account, trace: trace(tapes) })
}

/// What hears the lines of a console.
fn listener(
    listen: &Listen,
    marked: &Arc<AtomicU64>,
    code: &Arc<AtomicU64>,
    sender: &mpsc::Sender<Message>,
) -> impl FnMut(&[u8]) + Send + use<> {
    let (mut listen, marked, code, sender) = (listen.clone(), Arc::clone(marked), Arc::clone(code), sender.clone());
    move |line| {
        for heard in listen.hear(line) {
            match heard {
                Heard::Mark => marked.store(clock::counter(), Ordering::Relaxed),
                Heard::Code(said) => code.store(said.into(), Ordering::Relaxed),
                Heard::End { well, line } => {
                    let _ = sender.send(Message::Said(well, line));
                }
            }
        }
    }
}

/// The tapes of all threads.
fn trace(tapes: Vec<(Source, Tape)>) -> Trace {
    let unit = if clock::counts_instructions() { Unit::Instructions } else { Unit::Nanoseconds };
    Trace { unit, frequency: clock::cntfrq(), tapes }
}

fn start(
    run: &Arc<Run>,
    vcpus: Vec<Vcpu>,
    tape: usize,
    sender: &mpsc::Sender<Message>,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let mut threads = Vec::new();
    for (cpu, vcpu) in vcpus.into_iter().enumerate() {
        let (run, sender) = (Arc::clone(run), sender.clone());
        let mut books = Books::default();
        let mut tape = Tape::new(tape);
        let body = move || {
            run.vcpus[cpu].kick.here_i_am();
            let stop = run.run_vcpu(cpu, vcpu, &mut books, &mut tape);
            // Before the message: whoever gets it takes the run apart.
            drop(run);
            let _ = sender.send(Message::Ended(cpu, Box::new(Brought { stop, books, tape })));
        };
        threads
            .push(std::thread::Builder::new().name(format!("vcpu{cpu}")).spawn(body).call("starting a vCPU thread")?);
    }
    Ok(threads)
}

/// The thread that gives the guest what is typed.
fn start_input(
    run: &Arc<Run>,
    terminal: bool,
    mut typed: devices::Typed,
    sender: mpsc::Sender<Message>,
) -> Result<Input, Error> {
    let run = Arc::clone(run);
    let deliver = move |bytes: &[u8]| {
        let (taken, moved) = typed(&run.machine.controller, bytes);
        // A line that cannot be driven is found out by the vCPUs' threads too, which can say so.
        if run.settle(moved).is_ok() { taken } else { bytes.len() }
    };
    let quit = move || {
        let _ = sender.send(Message::Quit);
    };
    Input::start(terminal, deliver, quit).call("starting a thread")
}

impl Run {
    /// Drives the lines that moved, in a thread that is no vCPU's.
    fn settle(&self, moved: Moved) -> Result<(), Error> {
        self.machine.controller.settle(moved.cpus, |target, line, level| {
            self.other_lines.fetch_add(1, Ordering::Relaxed);
            self.vm.irq_line(target, line, level)
        })
    }
}

impl Shared {
    fn new(kick: Kick) -> Shared {
        Shared {
            kick,
            returns: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            look: AtomicBool::new(false),
            seen: watch::Sight::default(),
        }
    }
}
