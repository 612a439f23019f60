//! The lines that userspace drives, as the vCPUs see them.

use super::history::{History, Output};
use super::requests::Request;
use crate::{Action, Event, Program, Return, Transcript};
use vtick_core::lines::Line;

/// KVM_ARM_IRQ_TYPE_CPU and its numbers ([KVM-API/4.25]).
const TYPE_CPU: u32 = 0;

/// A KVM_IRQ_LINE that succeeded.
struct Call {
    from: u64,
    at: u64,
    vcpu: usize,
    line: usize,
    /// `None`: whichever it was before, it may be either now.
    level: Option<bool>,
    /// The thread that made it; `None`: one of several.
    thread: Option<Thread>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    Vcpu(usize),
    Helper,
}

/// What the argument of KVM_IRQ_LINE names, taken literally: `None`: something that there is not.
pub(super) fn named(program: &Program, irq: u32) -> Option<(usize, Line)> {
    let (kind, number) = (irq >> 24 & 0xf, irq & 0xffff);
    let line = match number {
        0 => Line::Irq,
        1 => Line::Fiq,
        _ => return None,
    };
    let (order, named) = (program.setup.creation_order(), vcpu_number(irq));
    let id = order.get(named as usize).copied().or_else(|| order.contains(&named).then_some(named))?;
    let vcpu = (0..program.setup.vcpus).find(|&vcpu| program.setup.kvm_id(vcpu) == id);
    // A vCPU that runs no program has lines that nobody looks at.
    (kind == TYPE_CPU).then_some((vcpu.unwrap_or(usize::MAX), line))
}

/// Whether the argument of KVM_IRQ_LINE names a vCPU by its index only, or by its id only. [KVM-API/4.25] says index, kernels
/// from 6.7 take it for an id: each may refuse the other.
pub(super) fn is_one_of_index_and_id(program: &Program, irq: u32) -> bool {
    let (order, named) = (program.setup.creation_order(), vcpu_number(irq));
    order.contains(&named) != ((named as usize) < order.len())
}

/// vcpu2_index and vcpu_index ([KVM-API/4.25]).
fn vcpu_number(irq: u32) -> u64 {
    u64::from((irq >> 28) << 8 | irq >> 16 & 0xff)
}

/// Each vCPU's IRQ and FIQ, as it sees them: a call of another thread takes up to `kick` to reach a running guest.
pub(super) fn histories(
    program: &Program,
    transcript: &Transcript,
    requests: &[Request],
    returns: &[Vec<&Return>],
    kick: u64,
) -> Vec<[History; 2]> {
    let low = || History::new(Output::Low);
    let mut histories: Vec<[History; 2]> = (0..program.setup.vcpus).map(|_| [low(), low()]).collect();
    if program.setup.vgic.is_some() {
        return histories;
    }
    let mut last = vec![[None::<(u64, Option<Thread>)>; 2]; program.setup.vcpus];
    for call in calls(program, transcript, requests, returns) {
        let (Some(history), Some(last)) = (histories.get_mut(call.vcpu), last.get_mut(call.vcpu)) else { continue };
        let (history, last) = (&mut history[call.line], &mut last[call.line]);
        // Two threads at the same time: nobody knows who came last.
        let concurrent = last.is_some_and(|(at, thread)| at > call.from && (thread != call.thread || thread.is_none()));
        let output = call.level.map_or(Output::Unknown, Output::level);
        let output = if concurrent && history.last() != output { Output::Unknown } else { output };
        *last = Some((call.at, call.thread));
        if history.last() != output {
            // A vCPU that was not running sees it when it is entered.
            let next = returns[call.vcpu].iter().find(|exit| exit.returned >= call.at);
            let entered = next.map(|exit| exit.entered).filter(|&entered| entered >= call.at);
            history.change(call.from, entered.unwrap_or(u64::MAX).min(call.at + kick), output);
        }
    }
    histories
}

/// All calls that succeeded, in the order of their ends.
fn calls(program: &Program, transcript: &Transcript, requests: &[Request], returns: &[Vec<&Return>]) -> Vec<Call> {
    let mut calls = Vec::new();
    let index = |line| usize::from(line == Line::Fiq);
    let own = |request: &Request, line, level| {
        let (from, at, vcpu) = (request.from, request.at, request.vcpu);
        Call { from, at, vcpu, line, level, thread: Some(Thread::Vcpu(vcpu)) }
    };
    for request in requests.iter().filter(|request| !request.failed()) {
        let (vcpu, line, level) = match request.action {
            Action::Line { vcpu, line, level } | Action::LineAfter { vcpu, line, level, .. } => (vcpu, line, level),
            Action::RawLine { irq, level } => match named(program, irq) {
                Some((vcpu, line)) => (vcpu, line, level),
                None => continue,
            },
            // Kernels differ: some lower the lines, some leave them.
            Action::Reinit { .. } => {
                calls.extend([0, 1].map(|line| own(request, line, None)));
                continue;
            }
            // A fresh VM's lines are low until they are driven.
            Action::MoveToFreshVm => {
                calls.extend([0, 1].map(|line| own(request, line, Some(false))));
                continue;
            }
            _ => continue,
        };
        let thread = Some(if request.by_helper() { Thread::Helper } else { Thread::Vcpu(request.vcpu) });
        calls.push(Call { from: request.from, at: request.at, vcpu, line: index(line), level: Some(level), thread });
    }
    let devices: Vec<_> = requests.iter().filter(|request| matches!(request.action, Action::SpiAfter { .. })).collect();
    for event in &transcript.events {
        let Event::Line { at, vcpu, line, level } = *event else { continue };
        // The routing calls from a thread that is not in KVM_RUN, or from a device's.
        let outside = returns.iter().filter_map(|returns| {
            let next = returns.partition_point(|exit| exit.returned <= at);
            let inside = returns.get(next).is_some_and(|exit| exit.entered < at);
            (!inside && next > 0).then(|| returns[next - 1].returned)
        });
        let device = devices.iter().filter(|request| request.from <= at).map(|request| request.from);
        let from = outside.chain(device).min().unwrap_or(0);
        let thread = (returns.len() == 1 && devices.is_empty()).then_some(Thread::Vcpu(0));
        calls.push(Call { from, at, vcpu, line: index(line), level: Some(level), thread });
    }
    calls.sort_by_key(|call| call.at);
    calls
}
