//! Waits for a run to end, and finds out by itself that it never will.
//!
//! A vCPU whose KVM_RUN has not returned for a while is interrupted once, and its thread looks at it. If it sleeps with
//! no deadline, or a later one, it is left alone until that has passed: an idle guest is woken for this a few times at
//! most. Everything that is judged, is judged by that thread, between two KVM_RUN, from what the guest's registers say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::vcpu::Stop;
use super::{Brought, GuestRun, Message};
use crate::kvm::clock::{self, counter};
use crate::kvm::{Context, Error};
use vtick_machine::{Ended, Snapshot};

/// How often it is looked whether vCPUs still return.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a vCPU's thread may take to stop.
const STOPPING: Duration = Duration::from_millis(100);
/// How often it is told.
const STOPS: u32 = 20;

/// How long things may take that should take no time.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Ticks from a deadline on, after which a vCPU in WFI overslept it.
    asleep: u64,
    /// The same, of one that runs: the host's scheduler may have kept it waiting.
    awake: u64,
}

impl Patience {
    /// A tenth of a second in WFI, which KVM_RUN has not left for a second or two by then. The look ends the WFI, whoever
    /// is to blame: an affected guest goes on until the next.
    pub(super) fn usual() -> Patience {
        Patience { asleep: clock::cntfrq() / 10, awake: 10 * clock::cntfrq() }
    }

    /// Ticks from a deadline on, after which it was overslept, if the thread has waited for a CPU for `waited` of them
    /// meanwhile: that is the scheduler's doing.
    pub(super) fn overslept(self, in_wfi: bool, waited: u64) -> u64 {
        let patience = if in_wfi { self.asleep } else { self.awake };
        patience.saturating_add(waited)
    }
}

/// What a vCPU's thread saw when it last looked.
#[derive(Default)]
pub(super) struct Sight {
    /// Not before this tick is there anything new to see, unless the vCPU runs. 0: look when it pleases you.
    quiet_until: AtomicU64,
    off: AtomicBool,
    recursed: AtomicBool,
}

impl Sight {
    /// Notes what a snapshot shows. Whether it showed a recursion the last time, too.
    pub(super) fn note(&self, at: &Snapshot, patience: Patience) -> bool {
        let stopped = &at.stopped;
        let quiet = if at.off {
            u64::MAX
        } else if !stopped.in_wfi {
            0
        } else if let Some(left) = stopped.next_deadline() {
            counter().saturating_add(left).saturating_add(patience.asleep)
        } else {
            u64::MAX
        };
        self.quiet_until.store(quiet, Ordering::Relaxed);
        self.off.store(at.off, Ordering::Relaxed);
        self.recursed.swap(at.recurses(), Ordering::Relaxed)
    }

    /// Whether the vCPU was off when its thread last looked, and has not run since.
    pub(super) fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    /// Forgets what was seen.
    pub(super) fn forget(&self) {
        self.quiet_until.store(0, Ordering::Relaxed);
        self.off.store(false, Ordering::Relaxed);
        self.recursed.store(false, Ordering::Relaxed);
    }
}

/// Whether this process was told to end by a signal.
pub(super) struct Told(Arc<AtomicBool>);

impl Told {
    /// Listens from here on.
    pub(super) fn listen() -> Result<Told, Error> {
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&told)).call("sigaction")?;
        }
        Ok(Told(told))
    }
}

/// How the run ended, and what each vCPU's thread brought back.
type Watched = (Ended, Vec<Brought>);

/// Waits for the run's end; then stops the vCPUs that still run.
pub(super) fn watch(
    run: &GuestRun,
    timeout: Option<Duration>,
    told: &Told,
    messages: &Receiver<Message>,
    threads: &[JoinHandle<()>],
) -> Result<Watched, Error> {
    let mut brought: Vec<Option<Brought>> = threads.iter().map(|_| None).collect();
    let mut ended = wait(run, timeout, messages, &told.0, &mut brought)?;
    let mut stops = 0;
    while let Some(stuck) = brought.iter().position(Option::is_none) {
        if stops == STOPS {
            return Err(Error::Stuck(stuck));
        }
        stops += 1;
        let running = run.vcpus.iter().zip(&brought).filter(|(_, brought)| brought.is_none());
        running.for_each(|(vcpu, _)| vcpu.kick.stop());
        while let Ok(message) = messages.recv_timeout(STOPPING) {
            if let Message::Ended(cpu, thing) = message {
                brought[cpu] = Some(*thing);
            }
            if brought.iter().all(Option::is_some) {
                break;
            }
        }
    }
    let mut all: Vec<Brought> = brought.into_iter().flatten().collect();
    if let Ended::TimedOut(snapshots) = &mut ended {
        for brought in &mut all {
            if let Ok(Stop::Told(at)) = &brought.stop {
                snapshots.push((**at).clone());
            }
        }
    }
    Ok((ended, all))
}

/// Waits until something ends the run.
fn wait(
    run: &GuestRun,
    timeout: Option<Duration>,
    messages: &Receiver<Message>,
    told: &AtomicBool,
    brought: &mut [Option<Brought>],
) -> Result<Ended, Error> {
    let mut returns = vec![0; run.vcpus.len()];
    // Periods in which that all vCPUs are off counts: they are looked at once more, at the same time.
    let mut suspected = 0_u32;
    loop {
        let passed = clock::duration(counter() - run.started);
        let left = timeout.map_or(PERIOD, |timeout| timeout.saturating_sub(passed).min(PERIOD));
        match messages.recv_timeout(left) {
            Ok(Message::Quit) => return Ok(Ended::Quit),
            Ok(Message::Exit(code)) => return Ok(Ended::Exited(code)),
            Ok(Message::Said(well, line)) => return Ok(Ended::Said { well, line }),
            Ok(Message::Ended(vcpu, thing)) => {
                let ended = ending(vcpu, &thing.stop);
                brought[vcpu] = Some(*thing);
                match ended {
                    Some(ended) => return Ok(ended),
                    // It failed: what it brought says how.
                    None => return failed(brought, vcpu),
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Stuck(0)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if told.load(Ordering::Relaxed) {
            return Ok(Ended::Signal);
        }
        if timeout.is_some_and(|timeout| clock::duration(counter() - run.started) >= timeout) {
            return Ok(Ended::TimedOut(Vec::new()));
        }
        look_after(run, &mut returns);
        let all_off = run.vcpus.iter().all(|vcpu| vcpu.seen.is_off());
        match (all_off, suspected) {
            (true, 0) => {
                run.vcpus.iter().for_each(|vcpu| vcpu.seen.forget());
                suspected = 3;
            }
            (true, _) => return Ok(Ended::AllOff),
            (false, _) => suspected = suspected.saturating_sub(1),
        }
    }
}

/// Has each vCPU looked at that has not returned since the last time, and of which something new may be seen.
fn look_after(run: &GuestRun, returns: &mut [u64]) {
    let now = counter();
    for (vcpu, before) in run.vcpus.iter().zip(returns) {
        let returned = vcpu.returns.load(Ordering::Relaxed);
        // A look is a return, too.
        if returned > *before + 1 {
            vcpu.seen.forget();
        }
        let still = std::mem::replace(before, returned) == returned;
        if !still {
            vcpu.waited.store(vcpu.kick.run_delay(), Ordering::Relaxed);
        } else if vcpu.seen.quiet_until.load(Ordering::Relaxed) <= now {
            vcpu.look.store(true, Ordering::Relaxed);
            vcpu.kick.signal();
        }
    }
}

fn failed(brought: &mut [Option<Brought>], vcpu: usize) -> Result<Ended, Error> {
    let thing = brought[vcpu].as_mut().expect("it was just put there");
    let told = Err(Error::Stuck(vcpu));
    std::mem::replace(&mut thing.stop, told).map(|_| Ended::Quit)
}

/// What a vCPU's end means for the run; `None` if it failed.
fn ending(vcpu: usize, stop: &Result<Stop, Error>) -> Option<Ended> {
    Some(match stop.as_ref().ok()? {
        Stop::PowerOff => Ended::PowerOff,
        Stop::Reset => Ended::Reset,
        Stop::Broken(exit, at) => Ended::Broken { vcpu, exit: *exit, at: at.clone() },
        Stop::Overslept(at) => Ended::Overslept { vcpu, at: at.clone() },
        Stop::Recursion(at) => Ended::Recursion { vcpu, at: at.clone() },
        Stop::Told(at) => Ended::TimedOut(vec![(**at).clone()]),
    })
}
