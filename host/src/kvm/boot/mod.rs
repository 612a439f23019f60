//! Boots a stock guest: loads it, runs a thread for each vCPU, and watches over them until one of them ends the run. A
//! guest that resets itself starts again, in a VM of its own that has the memory of the one before.

mod devices;
mod life;
mod load;
mod snapshot;
mod suspend;
mod timer;
mod vcpu;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use super::{Context, Error, clock};
use crate::console::Output;
use life::{Brought, GuestRun, Kept, Message};
use vtick_core::Unit;
use vtick_machine::{Account, Books, Booted, Ended, Heard, Listen, Nowhere, Setup, SetupError};
use vtick_shell::terminal::{Raw, Written};
use vtick_trace::{Source, Tape, Trace};

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
    /// It is a 32-bit kernel.
    #[error(
        "--kernel is a 32-bit Arm kernel, and this host's CPU gives guests no AArch32 at EL1 (KVM_CAP_ARM_EL1_32BIT); an \
         emulated host with --cpu cortex-a57 does"
    )]
    NoAarch32,
    /// Its device tree cannot be written.
    #[error("the device tree: {0}")]
    DeviceTree(#[from] vm_fdt::Error),
}

/// No exit code was printed.
const NO_CODE: u64 = u64::MAX;

/// What lasts from the first start of a guest to its end, whatever it starts again.
struct Session<'a> {
    setup: &'a Setup,
    output: Arc<Output>,
    /// Whether standard input is a terminal, which is raw then.
    terminal: bool,
    told: watch::Told,
    /// Counter when the first VM was made, and when the mark was printed (0: not yet).
    started: u64,
    marked: Arc<AtomicU64>,
    /// The exit code that a test printed.
    code: Arc<AtomicU64>,
    /// Accesses to addresses where there is nothing.
    nowhere: Arc<Mutex<Nowhere>>,
}

/// Boots what `setup` says, to its end.
pub(super) fn boot(setup: &Setup) -> Result<Booted, BootError> {
    // Signals are caught before the terminal is raw: each ends in a way that gives its settings back.
    let told = watch::Told::listen()?;
    let raw = Raw::enter(Written::AsBefore).call("the terminal")?;
    let session = Session {
        setup,
        output: Arc::new(Output::new(std::io::stdout()).call("starting a thread")?),
        terminal: raw.is_some(),
        told,
        started: clock::counter(),
        marked: Arc::default(),
        code: Arc::new(AtomicU64::new(NO_CODE)),
        nowhere: Arc::default(),
    };
    let mut kept = Kept::default();
    let mut threads = (0..setup.cpus).map(|_| (Books::default(), Tape::new(setup.tape))).collect();
    let mut account = Account::default();
    let ended = loop {
        let life = session.live(&mut kept, threads)?;
        if account.restarts == 0 {
            account.to_start = life.to_start;
        }
        account.other_lines += life.other_lines;
        threads = life.brought.into_iter().map(|brought| (brought.books, brought.tape)).collect();
        if life.ended != Ended::Reset || !setup.restarts {
            break life.ended;
        }
        account.restarts += 1;
        eprintln!("vtick: the guest starts again (PSCI SYSTEM_RESET)");
        threads.iter_mut().for_each(|(books, _)| books.seen = Default::default());
    };
    let Session { output, started, marked, code, nowhere, .. } = session;
    account.to_end = clock::counter() - started;
    account.to_mark = Some(marked.load(Ordering::Relaxed)).filter(|&at| at != 0).map(|at| at - started);
    account.nowhere = nowhere.lock().unwrap_or_else(PoisonError::into_inner).clone();
    account.frequency = (!clock::counts_instructions()).then(clock::cntfrq);
    // Everything that was printed is written before anything else is said.
    drop(output);
    drop(raw);
    let mut tapes = Vec::new();
    for (cpu, (books, tape)) in threads.into_iter().enumerate() {
        account.vcpus.push(books.ledger);
        tapes.push((Source::Vcpu(cpu as u8), tape));
    }
    let ended = match (ended, code.load(Ordering::Relaxed)) {
        (Ended::PowerOff, code) if code != NO_CODE => Ended::Exited(code as u32),
        (ended, _) => ended,
    };
    Ok(Booted { ended, account, trace: trace(tapes) })
}

impl Session<'_> {
    /// What hears the lines of a console, if anything is to be heard.
    fn listener(&self, linux: bool, sender: &mpsc::Sender<Message>) -> Option<impl FnMut(&[u8]) + Send + use<>> {
        let mut listen = Listen { status: !linux, ..self.setup.listen.clone() };
        if !listen.is_needed() {
            return None;
        }
        let (marked, code, sender) = (Arc::clone(&self.marked), Arc::clone(&self.code), sender.clone());
        Some(move |line: &[u8]| {
            for heard in listen.hear(line) {
                match heard {
                    // The first, of whatever start.
                    Heard::Mark => {
                        let _ = marked.compare_exchange(0, clock::counter(), Ordering::Relaxed, Ordering::Relaxed);
                    }
                    Heard::Code(said) => code.store(said.into(), Ordering::Relaxed),
                    Heard::End { well, line } => {
                        let _ = sender.send(Message::Said(well, line));
                    }
                }
            }
        })
    }
}

/// The tapes of all threads.
fn trace(tapes: Vec<(Source, Tape)>) -> Trace {
    let unit = if clock::counts_instructions() { Unit::Instructions } else { Unit::Nanoseconds };
    Trace { unit, frequency: clock::cntfrq(), tapes }
}
