//! C11: WFI and CPU_SUSPEND end when a line is high or a level rises that userspace has not been told of; not late, and
//! not without a reason.
//!
//! A sleep with a timer asserted that userspace knows of, and no line raised, may last or end: kernels let it last.

use vtick_abi::litmus::{code, kind};

use super::super::history::History;
use super::super::vcpu::Vcpu;
use super::super::{Judge, LEVELS};
use crate::program::sleeps;
use crate::{Action, Clause, Ending};

pub(crate) fn judge(judge: &mut Judge, vcpu: &Vcpu, lines: &[History; 2]) {
    for traced in vcpu.traced.iter().filter(|t| t.record.kind == kind::OP) {
        let (op, record) = (judge.ops[traced.record.op as usize], traced.record);
        if !sleeps(&op) {
            continue;
        }
        // It woke when guest code ran again, if only for an interrupt.
        let first = vcpu.instants.partition_point(|instant| instant.at <= record.before);
        for pair in vcpu.instants[first..].windows(2).take_while(|pair| pair[1].at <= record.after) {
            overslept(judge, vcpu, lines, (pair[0].at, pair[1].at), |judge| judge.op(record.op));
        }
        let woke = vcpu.instants.get(first).map_or(record.after, |instant| instant.at);
        overslept(judge, vcpu, lines, (record.before, woke), |judge| judge.op(record.op));
        if op.code != code::DOZE {
            has_reason(judge, vcpu, lines, (record.before, record.after), record.op);
        }
    }
    if let Some(Ending::Stopped(stopped)) = vcpu.ending
        && (stopped.in_wfi || stopped.in_hvc)
    {
        let from = vcpu.instants.last().map_or(0, |instant| instant.at);
        overslept(judge, vcpu, lines, (from, stopped.at), |_| format!("{} (until it was stopped)", stopped.symbol));
    }
}

/// A sleep between these two times: what must have ended it before? `place` is asked only for a sentence.
fn overslept(
    judge: &mut Judge,
    vcpu: &Vcpu,
    lines: &[History; 2],
    (from, woke): (u64, u64),
    place: impl Fn(&Judge) -> String,
) {
    let patience = judge.tolerance.wake.saturating_add(judge.waited);
    if woke.saturating_sub(from) <= patience {
        return;
    }
    let told = vcpu.told_at(from);
    let lines = ["IRQ", "FIQ"].into_iter().zip(lines).map(|(name, line)| (name.to_owned(), line));
    let untold = LEVELS.into_iter().zip(&vcpu.devices).filter(|(device, _)| !told.contains(*device));
    let devices = untold.map(|(device, history)| (device.to_string(), history));
    let due = lines.chain(devices).filter_map(|(name, history)| Some((history.high_since(woke)?.max(from), name)));
    let Some((since, name)) = due.min() else { return };
    if since.saturating_add(patience) < woke {
        let (late, place) = (woke - since, place(judge));
        let what = format!("asleep in {place} for {late} ticks with {name} high; expected the end of the sleep");
        judge.object(Clause::C11, "overslept", vcpu.index, woke, what);
    }
}

/// A sleep that ended: why?
fn has_reason(judge: &mut Judge, vcpu: &Vcpu, lines: &[History; 2], (from, woke): (u64, u64), op: u32) {
    let high = |history: &History| history.may_be_high(from, woke);
    let told = vcpu.told_at(from);
    let fell = LEVELS
        .into_iter()
        .zip(&vcpu.devices)
        .any(|(device, history)| told.contains(device) && history.may_be_low(from, woke));
    // A return in it, or an interrupt, has its own reasons.
    let returned = vcpu.runs.iter().any(|run| (from..=woke).contains(&run.exit.returned));
    let kicked = judge.requests.iter().any(|request| {
        matches!(request.action, Action::SignalAfter { vcpu: target, .. } if target == vcpu.index)
            && request.from <= woke
            && request.at.saturating_add(judge.tolerance.kick) >= from
    });
    if lines.iter().chain(&vcpu.devices).any(high) || fell || returned || kicked || !judge.tolerance.sleeps_are_exact {
        return;
    }
    let place = judge.op(op);
    let what = format!("{place} ended after {} ticks with every line and level low; expected sleep", woke - from);
    judge.object(Clause::C11, "woke-without-reason", vcpu.index, woke, what);
}
