//! C4: after a level changes, KVM_RUN returns before guest code runs on. C5: that return may be of any kind.
//!
//! A level that rises stops running guest code: the timer interrupts. One that falls is looked for at the next exit to the
//! kernel, of whatever kind. Both are looked for whenever KVM_RUN enters the guest.

use vtick_abi::litmus::{code, kind};

use super::super::vcpu::{Instant, Vcpu};
use super::super::{Judge, LEVELS};
use crate::Clause;
use vtick_core::lines::Levels;

pub(crate) fn judge(judge: &mut Judge, vcpu: &Vcpu) {
    let calls: Vec<(u64, u64)> = vcpu
        .traced
        .iter()
        .filter(|t| t.record.kind == kind::OP && judge.ops[t.record.op as usize].code == code::HVC)
        .map(|t| (t.record.before, t.record.after))
        .collect();
    // Of a device that is low all the time and was told as nothing else there is nothing to notice.
    let told = |device| vcpu.runs.iter().any(|run| (run.exit.levels.0 | run.told.0) & device != 0);
    let quiet =
        std::array::from_fn::<bool, 3, _>(|index| vcpu.devices[index].is_low_throughout() && !told(LEVELS[index].0));
    if quiet == [true; 3] {
        return;
    }
    for &instant in &vcpu.instants {
        let (entered, told) = vcpu.entered(instant.run);
        for ((device, history), quiet) in LEVELS.into_iter().zip(&vcpu.devices).zip(quiet) {
            if quiet {
                continue;
            }
            let was_told = told.contains(device);
            let since = if was_told { history.low_since(instant.at) } else { history.high_since(instant.at) };
            let Some(since) = since else { continue };
            let exit = calls
                .iter()
                .rfind(|&&(before, after)| since <= before && entered <= before && after <= instant.at)
                .map(|&(before, _)| before);
            let due = if since <= entered {
                Some("when KVM_RUN was called".to_owned())
            } else if let Some(exit) = exit {
                Some(format!("at the HVC {} ticks later", exit - since))
            } else if !was_told && device != Levels::PMU && since + judge.tolerance.notice < instant.at {
                Some("at once".to_owned())
            } else {
                None
            };
            if let Some(due) = due {
                missed(judge, vcpu, instant, device, since, was_told, &due);
            }
        }
    }
}

fn missed(judge: &mut Judge, vcpu: &Vcpu, instant: Instant, device: Levels, since: u64, was_told: bool, due: &str) {
    let (rule, change, told) = match was_told {
        true => ("notice-of-fall", "fell", "high"),
        false => ("notice-of-rise", "rose", "low"),
    };
    let what = format!(
        "{device} {change}, and {} ticks later guest code ran in {} with userspace told it is {told}; expected a return of \
         KVM_RUN {due}",
        instant.at - since,
        judge.op(instant.op)
    );
    let clause = if device == Levels::PMU { Clause::C14 } else { Clause::C4 };
    judge.object(clause, rule, vcpu.index, instant.at, what);
}
