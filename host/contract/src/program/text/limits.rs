//! What a program that was read may not ask of the guest or the host: a text can say more than either has.

use vtick_abi::litmus::MAX_OPS;

use crate::program::{Action, ActionRef, Program};

/// What is too much.
pub(super) struct Excess {
    /// The action that is to blame, if one is.
    pub(super) action: Option<ActionRef>,
    pub(super) message: String,
}

/// No program may take longer than this many seconds.
const MOST_SECONDS: u64 = 600;

/// That the program can be run.
pub(super) fn check(program: &Program) -> Result<(), Excess> {
    let excess = |message: String| Err(Excess { action: None, message });
    let setup = &program.setup;
    let ops: usize = program.blocks.iter().map(|block| block.ops.len() + 1).sum();
    if ops > MAX_OPS {
        return excess(format!("{ops} operations, the ends of blocks included; a program holds {MAX_OPS}"));
    }
    if let Some(vcpu) = (0..setup.vcpus).find(|&vcpu| program.main[vcpu].is_none()) {
        return excess(format!("vCPU {vcpu} has no block, and there is a vCPU {}", setup.vcpus - 1));
    }
    let most = program.cntfrq.saturating_mul(MOST_SECONDS).saturating_mul(program.scale);
    if setup.limit > most {
        return excess(format!("a program may take {MOST_SECONDS} s at most"));
    }
    if !setup.runs_on.is_empty() && setup.runs_on.len() != setup.vcpus {
        return excess(format!("{} ids run the program, it is for {} vCPUs", setup.runs_on.len(), setup.vcpus));
    }
    for (index, id) in setup.runs_on.iter().enumerate() {
        let created = setup.creation.is_empty() || setup.creation.contains(id);
        if !created || setup.runs_on[..index].contains(id) {
            let why = if created { "twice" } else { "and is not created" };
            return excess(format!("the vCPU with id {id} runs the program {why}"));
        }
    }
    if setup.runs_on.is_empty()
        && !setup.creation.is_empty()
        && let Some(absent) = (0..setup.vcpus as u64).find(|id| !setup.creation.contains(id))
    {
        return excess(format!("the vCPU with id {absent} runs the program, and is not created"));
    }
    for (index, action) in program.actions.iter().enumerate() {
        let (vcpu, ticks) = match *action {
            Action::Line { vcpu, .. } => (vcpu, 0),
            Action::LineAfter { vcpu, ticks, .. } | Action::SignalAfter { vcpu, ticks } => (vcpu, ticks),
            Action::ImmediateExit { after: ticks } | Action::Stay { ticks } | Action::SpiAfter { ticks, .. } => {
                (0, ticks)
            }
            _ => (0, 0),
        };
        let message = if vcpu >= setup.vcpus {
            format!("there is no vCPU {vcpu}; the program is for {}", setup.vcpus)
        } else if ticks > most {
            format!("a program may take {MOST_SECONDS} s at most")
        } else {
            continue;
        };
        return Err(Excess { action: Some(ActionRef(index)), message });
    }
    Ok(())
}
