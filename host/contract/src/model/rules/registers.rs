//! C10, C12: timer registers read as they were written, by the guest and through ONE_REG, and the program goes on where it
//! was.

use vtick_abi::litmus::{code, kind, sysreg};

use super::super::Judge;
use super::super::vcpu::Vcpu;
use crate::Clause;

pub(crate) fn judge(judge: &mut Judge, vcpu: &Vcpu) {
    for (clause, at, what) in &vcpu.misread {
        let rule = if *clause == Clause::C12 { "one-reg-reads-the-state" } else { "register-reads-the-state" };
        judge.object(*clause, rule, vcpu.index, *at, what.clone());
    }
    if let Some(lost) = vcpu.traced.iter().find(|traced| !traced.expected) {
        let record = lost.record;
        let what = format!("the guest ran {}, to which its program does not lead", judge.op(record.op));
        judge.object(Clause::C12, "program-goes-on", vcpu.index, record.before, what);
    }
    if judge.program.setup.vgic.is_none() {
        undefined(judge, vcpu);
    }
}

/// The GICv3's system registers are UNDEFINED in a VM without one [C2].
fn undefined(judge: &mut Judge, vcpu: &Vcpu) {
    for record in vcpu.traced.iter().map(|traced| traced.record).filter(|record| record.kind == kind::OP) {
        let op = &judge.ops[record.op as usize];
        let of_gic = matches!(op.what, sysreg::ICC_SRE..=sysreg::ICC_IGRPEN1);
        if matches!(op.code, code::READ | code::WRITE) && of_gic {
            let what = format!("{} gave {:#x}, expected an UNDEFINED exception", judge.op(record.op), record.value);
            judge.object(Clause::C2, "gic-registers-are-undefined", vcpu.index, record.after, what);
        }
    }
}
