//! A transcript as lines of text: guest and exits interleaved, ticks relative to the deadline.

use vtick_abi::litmus::{Op, base, code, sysreg};

use super::fold::{Line, fold};
use super::{Ending, Event, GuestRecord, Transcript};
use crate::diagnosis::diagnose;
use crate::program::Program;

impl Transcript {
    /// The transcript as lines of text, ticks relative to the first deadline that the program set.
    pub fn timeline(&self, program: &Program) -> Vec<String> {
        let origin = self.origin(program);
        let relative = |at: u64| at.wrapping_sub(origin) as i64;
        let (_, ops) = program.encode();
        let mut lines = Vec::new();
        for event in &self.events {
            let (what, aside) = match event {
                Event::Return(r) => (format!("vCPU {}  {r}", r.vcpu), format!(" (entered {:+})", relative(r.entered))),
                Event::Guest(g) => {
                    let (what, value) = describe(program, &ops, g);
                    (format!("vCPU {}    guest: {what}", g.vcpu), value)
                }
                Event::Line { vcpu, line, level, .. } => {
                    let verb = if *level { "raise" } else { "lower" };
                    (format!("vCPU {vcpu}  KVM_IRQ_LINE: {verb} {line}"), String::new())
                }
                Event::Action { action, result, .. } => {
                    let what = match program.actions().get(*action) {
                        Some(&asked) => format!("        host: {} = {result}", program.describe_action(asked)),
                        // Of a record that was damaged, or written when the check had another program.
                        None => format!("        host: action {action}, which the program has not = {result}"),
                    };
                    (what, String::new())
                }
                Event::Refused(refusal) => match refusal.vcpu {
                    Some(vcpu) => (format!("vCPU {vcpu}  {refusal}"), String::new()),
                    None => (format!("        {refusal}"), String::new()),
                },
                Event::Disturbed { what, .. } => (format!("        disturbed: {what}"), String::new()),
                Event::LeftOut { count, .. } => {
                    (format!("        ({count} events of the storm are left out)"), String::new())
                }
            };
            lines.push(Line { at: Some(relative(event.at())), what, aside });
        }
        for (vcpu, ending) in self.endings.iter().enumerate() {
            let (at, what) = match ending {
                Ending::Done => (None, "came to its end".to_owned()),
                Ending::Stopped(s) => (Some(relative(s.at)), format!("stopped at {s}")),
                Ending::Exception { vector, esr, elr, far } => (
                    None,
                    format!(
                        "unexpected exception, vector {vector:#x}: ESR_EL1 {esr:#x}, ELR_EL1 {elr}, FAR_EL1 {far:#x}"
                    ),
                ),
                Ending::Panic { message } => (None, format!("guest panic: {message}")),
                Ending::Failed { exit, pc } => (None, format!("KVM_RUN: {exit}, guest at {pc}")),
                Ending::Storm(storm) => (Some(relative(storm.stopped.at)), format!("stopped at {}", storm.stopped)),
                other => (None, diagnose(other)),
            };
            lines.push(Line { at, what: format!("vCPU {vcpu}  {what}"), aside: String::new() });
        }
        let mut lines = fold(&lines);
        if let (Some(neighbour), Some(transcript)) = (program.neighbour(), &self.neighbour) {
            lines.push("the VM beside it:".to_owned());
            lines.extend(transcript.timeline(neighbour));
        }
        lines.extend(self.warnings.iter().flatten().map(|line| format!("host kernel: {line}")));
        lines
    }

    /// Tick 0 of the timeline.
    fn origin(&self, program: &Program) -> u64 {
        let (_, ops) = program.encode();
        let armed = self.records().find(|g| {
            g.kind == 0
                && ops.get(g.op as usize).is_some_and(|op| {
                    op.code == code::WRITE
                        && matches!(op.what, sysreg::CNTV_CVAL | sysreg::CNTP_CVAL)
                        && matches!(op.base, base::NOW | base::NOW_PHYSICAL)
                })
        });
        match armed {
            // A physical deadline is on the host's clock already.
            Some(g) if ops[g.op as usize].base == base::NOW_PHYSICAL => g.value,
            Some(g) => self.host_time(g.value),
            None => self.events.first().map_or(0, Event::at),
        }
    }
}

/// What a record says, and what does not count for two of them to be alike: the turns of a loop.
fn describe(program: &Program, ops: &[Op], g: &GuestRecord) -> (String, String) {
    let what = || program.describe(program.step(g.op));
    match g.kind {
        1 => (format!("IRQ taken at {:#x}", g.value), String::new()),
        2 => (format!("FIQ taken at {:#x}", g.value), String::new()),
        3 => (format!("{}: UNDEFINED (ESR_EL1 {:#x})", what(), g.value), String::new()),
        _ if ops.get(g.op as usize).is_some_and(|op| op.code == code::LOOP) => (what(), format!(" [{:#x}]", g.value)),
        _ => (format!("{} [{:#x}]", what(), g.value), String::new()),
    }
}
