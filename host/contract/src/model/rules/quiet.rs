//! C6: no return without a cause, and each cause of a return makes one. EINTR is due for a level that changed, for a
//! signal and for `immediate_exit`; any other return is the guest's own doing.

use vtick_abi::layout::{GICC_BASE, GICC_SIZE, GICD_BASE, GICD_SIZE, MAILBOX_BASE, MAILBOX_SIZE};
use vtick_abi::litmus::{Op, code, kind};
use vtick_abi::mailbox;

use super::super::requests::Request;
use super::super::vcpu::{KvmRun, Vcpu};
use super::super::{Judge, LEVELS};
use crate::{Action, Clause, Ending};
use vtick_core::exit::Exit;

/// What exit_reason says with EINTR (include/uapi/linux/kvm.h).
const KVM_EXIT_INTR: u32 = 10;

/// KVM_SYSTEM_EVENT_WAKEUP.
const WAKEUP: u32 = 4;

pub(crate) fn judge(judge: &mut Judge, vcpu: &Vcpu) {
    returns_have_causes(judge, vcpu);
    signals_are_seen(judge, vcpu);
    accesses_are_exits(judge, vcpu);
    immediate_exits_are_immediate(judge, vcpu);
}

/// A signal to a vCPU's thread.
struct Signal {
    from: u64,
    at: u64,
    used: bool,
}

fn signals(judge: &Judge, vcpu: &Vcpu) -> Vec<Signal> {
    let to_this = |action| matches!(action, Action::SignalAfter { vcpu: target, .. } if target == vcpu.index);
    let signals = judge.requests.iter().filter(|request| to_this(request.action));
    signals.map(|request| Signal { from: request.from, at: request.at, used: false }).collect()
}

fn returns_have_causes(judge: &mut Judge, vcpu: &Vcpu) {
    let mut signals = signals(judge, vcpu);
    let kick = judge.tolerance.kick;
    for &KvmRun { exit, told, immediate, .. } in &vcpu.runs {
        match exit.exit {
            Exit::Interrupted => {}
            Exit::MmioRead { .. } | Exit::MmioWrite { .. } => continue,
            Exit::SystemEvent { .. } if judge.program.setup.powers_off => continue,
            // Of a vCPU that was suspended: an interrupt has come for it ([KVM-API/6.28], KVM_SYSTEM_EVENT_WAKEUP).
            Exit::SystemEvent { event: WAKEUP } if was_suspended(judge, vcpu, exit.returned) => continue,
            _ => {
                let what = format!("{exit}; nothing that the guest did asks for such a return");
                judge.object(Clause::C6, "unknown-exit", vcpu.index, exit.returned, what);
                continue;
            }
        }
        // With immediate_exit KVM_RUN returns before it says why.
        if let Some(reason) = exit.reason.filter(|&reason| reason != KVM_EXIT_INTR && !immediate) {
            let what = format!("{exit}, with exit_reason {reason}; expected KVM_EXIT_INTR ({KVM_EXIT_INTR})");
            judge.object(Clause::C6, "eintr-says-intr", vcpu.index, exit.returned, what);
        }
        // A level that may have moved is a cause, even if it was back by the time it was told.
        let moved = LEVELS.into_iter().zip(&vcpu.devices).any(|(device, history)| match told.contains(device) {
            true => history.may_be_low(exit.entered, exit.returned),
            false => history.may_be_high(exit.entered, exit.returned),
        });
        if immediate || moved || exit.levels != told {
            continue;
        }
        let signal = signals.iter_mut().find(|signal| {
            !signal.used && signal.from <= exit.returned && exit.entered <= signal.at.saturating_add(kick)
        });
        match signal {
            Some(signal) => signal.used = true,
            None => {
                let what = format!("{exit}; no level had changed, and no signal was sent; expected no return");
                judge.object(Clause::C6, "return-without-cause", vcpu.index, exit.returned, what);
            }
        }
    }
}

/// Whether userspace has suspended the vCPU before that time.
fn was_suspended(judge: &Judge, vcpu: &Vcpu, time: u64) -> bool {
    let suspends = |request: &&Request| request.action == Action::Suspend && request.vcpu == vcpu.index;
    judge.requests.iter().filter(suspends).any(|request| !request.failed() && request.from <= time)
}

/// A signal ends the KVM_RUN that it comes into.
fn signals_are_seen(judge: &mut Judge, vcpu: &Vcpu) {
    for Signal { from, at, .. } in signals(judge, vcpu) {
        let late = at.saturating_add(judge.tolerance.kick);
        // The KVM_RUN that was under way from before it was sent, and guest code that ran on in it.
        let ran_on = vcpu.instants.iter().find(|instant| instant.at > late);
        let Some(ran_on) = ran_on.filter(|instant| vcpu.entered(instant.run).0 < from) else { continue };
        if vcpu.runs.get(ran_on.run).is_none_or(|run| run.exit.entered >= from) {
            continue;
        }
        let what = format!(
            "a signal was sent, and {} ticks later guest code ran on in {}; expected a return with EINTR",
            ran_on.at - at,
            judge.op(ran_on.op)
        );
        judge.object(Clause::C6, "signal-ends-kvm-run", vcpu.index, ran_on.at, what);
    }
}

/// Whether userspace is asked about an access at this address.
fn exits(judge: &Judge, address: u64) -> bool {
    let within = |base: u64, size: u64| (base..base + size).contains(&address);
    within(MAILBOX_BASE, MAILBOX_SIZE)
        || judge.program.setup.vgic.is_none() && (within(GICD_BASE, GICD_SIZE) || within(GICC_BASE, GICC_SIZE))
}

/// The address of an operation's access, and whether it writes.
fn access(op: &Op) -> Option<(u64, bool)> {
    match op.code {
        code::LOAD => Some((op.extra, false)),
        code::STORE => Some((op.extra, true)),
        code::ACTION => Some((MAILBOX_BASE + mailbox::ACTION, true)),
        _ => None,
    }
}

/// How many more exits there were than accesses, by address and whether they write: a program knows few of these.
#[derive(Default)]
struct Surplus(Vec<((u64, bool), i64)>);

impl Surplus {
    fn of(&mut self, key: (u64, bool)) -> &mut i64 {
        let place = self.0.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.0.push((key, 0));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

/// Each access of the guest is one exit, within the operation that makes it; there are no others; and a read gets the
/// answer that userspace gave.
fn accesses_are_exits(judge: &mut Judge, vcpu: &Vcpu) {
    let of = |exit: Exit| match exit {
        Exit::MmioRead { address, .. } => Some((address, false)),
        Exit::MmioWrite { address, .. } => Some((address, true)),
        _ => None,
    };
    let mut surplus = Surplus::default();
    vcpu.runs.iter().filter_map(|run| of(run.exit.exit)).for_each(|key| *surplus.of(key) += 1);
    for traced in vcpu.traced.iter().filter(|t| t.record.kind == kind::OP) {
        let record = traced.record;
        let Some(key) = access(&judge.ops[record.op as usize]).filter(|&(address, _)| exits(judge, address)) else {
            continue;
        };
        *surplus.of(key) -= 1;
        let first = vcpu.runs.partition_point(|run| run.exit.returned < record.before);
        let mut within = vcpu.runs[first..].iter().take_while(|run| run.exit.returned <= traced.over());
        if !within.any(|run| of(run.exit.exit) == Some(key)) {
            let what = format!("{} came and went without its exit; expected one while it ran", judge.op(record.op));
            judge.object(Clause::C5, "access-is-an-exit", vcpu.index, record.after, what);
        }
        if key == (MAILBOX_BASE + mailbox::SCRATCH, false) && record.value != mailbox::SCRATCH_VALUE {
            let (value, due) = (record.value, mailbox::SCRATCH_VALUE);
            let what = format!("{} got {value:#x}, expected userspace's answer {due:#x}", judge.op(record.op));
            judge.object(Clause::C5, "read-gets-its-answer", vcpu.index, record.after, what);
        }
    }
    if vcpu.ending != Some(&Ending::Done) {
        return;
    }
    // What boot and end of a program say is not the program's.
    let own =
        [mailbox::HELLO, mailbox::OFFSET, mailbox::COMMAND, mailbox::DONE].map(|register| MAILBOX_BASE + register);
    for ((address, writes), count) in surplus.0.into_iter().filter(|((address, _), _)| !own.contains(address)) {
        if count <= 0 {
            continue;
        }
        let verb = if writes { "writes" } else { "reads" };
        let what = format!("{count} more MMIO {verb} at {address:#x} came than the guest made; expected one exit each");
        let at = vcpu.runs.last().map_or(0, |run| run.exit.returned);
        judge.object(Clause::C5, "access-is-one-exit", vcpu.index, at, what);
    }
}

/// With `immediate_exit` set KVM_RUN returns EINTR before the guest runs.
fn immediate_exits_are_immediate(judge: &mut Judge, vcpu: &Vcpu) {
    for run in vcpu.runs.iter().filter(|run| run.immediate) {
        let exit = run.exit;
        let seen = match exit.exit {
            Exit::Interrupted if run.looked <= exit.entered => continue,
            Exit::Interrupted => format!("{exit}, but guest code ran before"),
            _ => format!("{exit}, with immediate_exit set"),
        };
        let what = format!("{seen}; expected EINTR before the guest ran");
        judge.object(Clause::C3, "immediate-exit", vcpu.index, exit.returned, what);
    }
}

/// The guest makes progress: each vCPU comes to its end, if its program has one. Asked where no other rule says why not.
pub(crate) fn ends_well(judge: &mut Judge, index: usize, ending: &Ending) {
    let what = match ending {
        // A guest that finds something wrong with itself or its program has nothing against the kernel.
        Ending::Done | Ending::Panic { .. } => return,
        Ending::Stopped(_) if judge.program.setup.may_not_end => return,
        ending => crate::diagnose(ending).replace('\n', " "),
    };
    let at = if let Ending::Stopped(stopped) = ending { stopped.at } else { 0 };
    judge.object(Clause::C6, "progress", index, at, format!("{what}; expected the end of its program"));
}
