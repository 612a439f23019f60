//! A transcript as lines of text: guest and exits interleaved, ticks relative to the deadline.

use vtick_abi::litmus::{base, code, sysreg};
use vtick_abi::mailbox;

use super::{Ending, Event, GuestRecord, Transcript};
use crate::contract::program::Program;
use crate::exit::Exit;

impl Transcript {
    /// The transcript as lines of text, ticks relative to the first deadline that the program set.
    pub fn timeline(&self, program: &Program) -> Vec<String> {
        let origin = self.origin(program);
        let relative = |at: u64| at.wrapping_sub(origin) as i64;
        let mut lines = Vec::new();
        for event in &self.events {
            let at = relative(event.at());
            lines.push(match event {
                Event::Return(r) => format!("{at:>+12}  vCPU {}  {r} (entered {:+})", r.vcpu, relative(r.entered)),
                Event::Guest(g) => format!("{at:>+12}  vCPU {}    guest: {}", g.vcpu, self.describe(program, g)),
                Event::Line { vcpu, line, level, .. } => {
                    format!("{at:>+12}  vCPU {vcpu}  KVM_IRQ_LINE: {} {line}", if *level { "raise" } else { "lower" })
                }
                Event::Action { action, result, .. } => {
                    format!("{at:>+12}          host: {} = {result}", program.actions()[*action])
                }
            });
        }
        for (vcpu, ending) in self.endings.iter().enumerate() {
            lines.push(match ending {
                Ending::Done => format!("{:>12}  vCPU {vcpu}  came to its end", ""),
                Ending::Stopped(s) => format!("{:>+12}  vCPU {vcpu}  stopped at {s}", relative(s.at)),
                Ending::Exception { vector, esr, elr, far } => format!(
                    "{:>12}  vCPU {vcpu}  unexpected exception, vector {vector:#x}: ESR_EL1 {esr:#x}, ELR_EL1 {elr}, FAR_EL1 {far:#x}",
                    ""
                ),
                Ending::Panic { message } => format!("{:>12}  vCPU {vcpu}  guest panic: {message}", ""),
                Ending::Failed { exit, pc } => format!("{:>12}  vCPU {vcpu}  KVM_RUN: {exit}, guest at {pc}", ""),
            });
        }
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

    fn describe(&self, program: &Program, g: &GuestRecord) -> String {
        match g.kind {
            1 => format!("IRQ taken at {:#x}", g.value),
            2 => format!("FIQ taken at {:#x}", g.value),
            3 => format!("{}: UNDEFINED (ESR_EL1 {:#x})", program.describe(program.step(g.op)), g.value),
            _ => format!("{} [{:#x}]", program.describe(program.step(g.op)), g.value),
        }
    }
}

/// An exit, with the mailbox's registers by name.
pub(super) fn describe_exit(exit: &Exit) -> String {
    let register = exit.address().and_then(|address| address.checked_sub(vtick_abi::layout::MAILBOX_BASE));
    let name = match register {
        Some(mailbox::HELLO) => "hello",
        Some(mailbox::OFFSET) => "counter offset",
        Some(mailbox::COMMAND) => "what to do",
        Some(mailbox::DONE) => "done",
        Some(mailbox::ACTION) => "action",
        Some(mailbox::SCRATCH) => "scratch",
        Some(mailbox::SINK) => "sink",
        _ => return exit.to_string(),
    };
    match exit {
        Exit::MmioRead { .. } => format!("MMIO read ({name})"),
        _ => format!("MMIO write ({name})"),
    }
}
