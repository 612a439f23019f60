//! One life of a guest, from its first instruction to its power-off or its reset.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use vm_memory::GuestMemoryMmap;

use super::watch::{self, Patience};
use super::{BootError, Session, devices, load, timer, vcpu};
use crate::console::{Input, Output};
use crate::kvm::kick::Kick;
use crate::kvm::vcpu::Vcpu;
use crate::kvm::vm::{Stock, Vm};
use crate::kvm::{Context, Error, clock};
use vtick_machine::flash::Flash;
use vtick_machine::{Books, Bus, Clock, Ended, Machine, Moved, Nowhere, Pmu, Setup, map};
use vtick_trace::Tape;

/// What the threads of a life share.
pub(super) struct GuestRun {
    pub(super) vm: Vm,
    pub(super) machine: Machine,
    pub(super) vcpus: Vec<Shared>,
    pub(super) output: Arc<Output>,
    /// KVM_IRQ_LINE calls of threads that are no vCPU's: for what was typed, and for what was due in a device.
    other_lines: AtomicU64,
    /// Counter when the first VM was made.
    pub(super) started: u64,
    pub(super) patience: Patience,
    /// Accesses to addresses where there is nothing end the run, or are noted here.
    pub(super) strict: bool,
    pub(super) nowhere: Arc<Mutex<Nowhere>>,
}

/// What a vCPU's thread and the watchdog share.
pub(super) struct Shared {
    pub(super) kick: Kick,
    /// Returns of KVM_RUN. Only its thread writes it.
    pub(super) returns: AtomicU64,
    /// How long its thread had waited for a CPU ([`Kick::run_delay`]) when KVM_RUN was last seen to return.
    pub(super) waited: AtomicU64,
    /// Somebody wants the thread to look at its vCPU.
    pub(super) look: AtomicBool,
    /// What it saw.
    pub(super) seen: watch::Sight,
}

/// What a thread tells the one that waits.
pub(super) enum Message {
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
pub(super) struct Brought {
    pub(super) stop: Result<vcpu::Stop, Error>,
    pub(super) books: Books,
    pub(super) tape: Tape,
}

/// What one life leaves to the next: memory that a reset does not clear.
#[derive(Default)]
pub(super) struct Kept {
    ram: Option<GuestMemoryMmap>,
    /// The flash with the firmware's variables.
    variables: Option<GuestMemoryMmap>,
}

/// How a life went.
pub(super) struct Life {
    pub(super) ended: Ended,
    pub(super) brought: Vec<Brought>,
    /// Ticks from the making of the first VM to this one's first KVM_RUN.
    pub(super) to_start: u64,
    pub(super) other_lines: u64,
}

impl Session<'_> {
    /// Makes a VM and runs the guest in it to its end. `threads`: what each vCPU's thread goes on with.
    pub(super) fn live(&self, kept: &mut Kept, threads: Vec<(Books, Tape)>) -> Result<Life, BootError> {
        let setup = self.setup;
        let mut plan = setup.plan()?;
        let again = kept.ram.is_some();
        let vm = match kept.ram.take() {
            Some(ram) => Vm::with_memory(ram)?,
            None => Vm::with_ram(setup.memory)?,
        };
        vm.prefer_huge_pages();
        kept.ram = Some(vm.memory.clone());
        if let Some((_, flash)) = &mut plan.firmware {
            if let Some(variables) = kept.variables.take() {
                *flash = Flash::again(map::FLASH[1], variables);
            }
            kept.variables = Some(flash.memory().clone());
        }

        let (sender, messages) = mpsc::channel();
        let mut bus = Bus::new(Clock::new(clock::counter, clock::cntfrq()));
        let linux = plan.linux;
        let printer = || self.output.printer(self.listener(linux, &sender));
        let exits = sender.clone();
        let exit = move |code| {
            let _ = exits.send(Message::Exit(code));
        };
        let typed = devices::attach(&mut bus, &vm, setup, &mut plan, printer, exit)?;
        let pmu = has_pmu(setup, &vm)?;
        load::load(&vm, setup, &plan, pmu, again, &bus)?;
        vtick_machine::fill(&mut bus);
        vm.offer_suspend()?;
        if plan.aarch32 && !vm.has_aarch32() {
            return Err(BootError::NoAarch32);
        }
        let stock = Stock { entry: plan.entry, fdt: plan.fdt, aarch32: plan.aarch32, pmu };
        let vcpus = (0..setup.cpus).map(|index| vm.stock_vcpu(index, &stock));
        let (vcpus, kicks): (Vec<Vcpu>, Vec<Kick>) = vcpus.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let run = Arc::new(GuestRun {
            vm,
            machine: Machine::new(setup.cpus, bus),
            vcpus: kicks.into_iter().map(Shared::new).collect(),
            output: Arc::clone(&self.output),
            other_lines: AtomicU64::new(0),
            started: self.started,
            patience: Patience::usual(),
            strict: setup.strict,
            nowhere: Arc::clone(&self.nowhere),
        });

        let input = start_input(&run, self.terminal, typed, sender.clone())?;
        let timer = timer::Timer::start(&run)?;
        let to_start = clock::counter() - self.started;
        let threads = start(&run, vcpus.into_iter().zip(threads), &sender)?;
        let (ended, brought) = watch::watch(&run, setup.timeout, &self.told, &messages, &threads)?;
        drop(input);
        drop(timer);
        for thread in threads {
            thread.join().map_err(|_| std::io::Error::other("panicked")).call("a vCPU's thread")?;
        }
        Ok(Life { ended, brought, to_start, other_lines: run.other_lines.load(Ordering::Relaxed) })
    }
}

fn has_pmu(setup: &Setup, vm: &Vm) -> Result<bool, BootError> {
    match setup.pmu {
        Pmu::Off => Ok(false),
        Pmu::Auto => Ok(vm.has_pmu()),
        Pmu::On if vm.has_pmu() => Ok(true),
        Pmu::On => Err(BootError::NoPmu),
    }
}

fn start(
    run: &Arc<GuestRun>,
    vcpus: impl Iterator<Item = (Vcpu, (Books, Tape))>,
    sender: &mpsc::Sender<Message>,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let mut threads = Vec::new();
    for (cpu, (vcpu, (mut books, mut tape))) in vcpus.enumerate() {
        let (run, sender) = (Arc::clone(run), sender.clone());
        let body = move || {
            let here = run.vcpus[cpu].kick.here_i_am();
            let stop = run.run_vcpu(cpu, vcpu, &mut books, &mut tape);
            drop(here);
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
    run: &Arc<GuestRun>,
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

impl GuestRun {
    /// Drives the lines that moved, in a thread that is no vCPU's.
    pub(super) fn settle(&self, moved: Moved) -> Result<(), Error> {
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
