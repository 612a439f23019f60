//! C3: on every return the level field holds the true output of each device. And what follows from that: no bit but those
//! of the capability's version (C1), and none for a VM whose interrupts the kernel delivers (C2).

use vtick_abi::litmus::{code, sysreg};

use super::super::vcpu::{KvmRun, Vcpu};
use super::super::{Judge, LEVELS};
use crate::Clause;
use vtick_core::lines::Levels;

/// The bits of version 1 of the capability.
const KNOWN: u64 = Levels::VTIMER.0 | Levels::PTIMER.0 | Levels::PMU.0;

pub(crate) fn judge(judge: &mut Judge, vcpu: &Vcpu) {
    for run in &vcpu.runs {
        let KvmRun { exit, looked, .. } = *run;
        let unknown = exit.levels.0 & !KNOWN;
        if unknown != 0 && judge.version_is_1 {
            let what = format!("{exit}; no version of the capability speaks of bits {unknown:#x}");
            judge.object(Clause::C1, "unknown-bit", vcpu.index, exit.returned, what);
        }
        let (mut may_be_low, mut may_be_high) = (0, 0);
        for (device, history) in LEVELS.into_iter().zip(&vcpu.devices) {
            may_be_low |= if history.may_be_low(looked, exit.returned) { device.0 } else { 0 };
            may_be_high |= if history.may_be_high(looked, exit.returned) { device.0 } else { 0 };
        }
        let levels = exit.levels.0 & KNOWN;
        let (untrue_high, untrue_low) = (levels & !may_be_high, !levels & !may_be_low & KNOWN);
        if untrue_high | untrue_low == 0 {
            continue;
        }
        let due = Levels((levels & !untrue_high) | untrue_low);
        let what = format!("{exit}; expected levels {due}{}", why(vcpu, run, untrue_high | untrue_low));
        // With immediate_exit set, kernels leave the field as it was.
        let rule = if run.immediate && exit.levels == run.told { "truth-on-immediate-exit" } else { "truth" };
        let clause = match untrue_high | untrue_low {
            bits if bits & !Levels::PMU.0 == 0 => Clause::C14,
            _ => Clause::C3,
        };
        judge.object(clause, rule, vcpu.index, exit.returned, what);
    }
}

/// Registers that userspace saved and restored are as they were: the PMU's output is, too [C12].
pub(crate) fn pmu_is_restored(judge: &mut Judge, vcpu: &Vcpu) {
    for &(at, high) in &vcpu.restored {
        // With immediate_exit set the field is left as it was.
        let shown = vcpu.runs.iter().find(|run| run.exit.entered >= at && !run.immediate);
        let Some(KvmRun { exit, .. }) = shown.filter(|run| run.exit.levels.contains(Levels::PMU) != high) else {
            continue;
        };
        let written = vcpu.traced.iter().any(|traced| {
            let op = &judge.ops[traced.record.op as usize];
            let of_pmu = op.code == code::WRITE && (sysreg::PMCR..=sysreg::PMXEVCNTR).contains(&op.what);
            of_pmu && traced.over() >= at && traced.record.before <= exit.returned
        });
        let again = vcpu.restored.iter().any(|&(other, _)| other > at && other <= exit.returned);
        if !written && !again {
            let (was, due) = if high { ("high", "with pmu") } else { ("low", "without pmu") };
            let what =
                format!("{exit}, after a restore; the PMU's output was {was} before that; expected levels {due}");
            judge.object(Clause::C12, "pmu-is-restored", vcpu.index, exit.returned, what);
        }
    }
}

/// Since when the levels that are shown wrong have been otherwise.
fn why(vcpu: &Vcpu, run: &KvmRun, wrong: u64) -> String {
    let Some((device, history)) = LEVELS.into_iter().zip(&vcpu.devices).find(|(level, _)| wrong & level.0 != 0) else {
        return String::new();
    };
    let returned = run.exit.returned;
    let (since, level) = match run.exit.levels.contains(device) {
        true => (history.low_since(returned), "low"),
        false => (history.high_since(returned), "high"),
    };
    match since {
        Some(0) => format!(": {device} has been {level} from the start"),
        Some(since) => format!(": {device} has been {level} for {} ticks", returned - since),
        None => String::new(),
    }
}

/// In a VM with an in-kernel interrupt controller no level is ever shown.
pub(crate) fn of_vgic_vm(judge: &mut Judge, vcpu: &Vcpu) {
    for KvmRun { exit, .. } in vcpu.runs.iter().filter(|run| run.exit.levels != Levels::NONE) {
        let what = format!("{exit}; expected none, for the VM has an in-kernel interrupt controller");
        judge.object(Clause::C2, "level-in-vgic-vm", vcpu.index, exit.returned, what);
    }
}
