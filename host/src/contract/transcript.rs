//! What happened while a program ran: every return of KVM_RUN, every operation of the guest, every line that was
//! driven, on one clock.
//!
//! The clock is the host's CNTVCT_EL0 in ticks. The guest's counter is the same less the VM's offset, which the guest
//! reports when it starts.

use serde::{Deserialize, Serialize};
use vtick_abi::litmus::{Op, base, code, kind, sysreg};
use vtick_abi::mailbox;

use super::check::{Unheld, violated};
use super::program::{ActionRef, Program, Step};
use crate::exit::Exit;
use crate::lines::{Levels, Line};

/// One return of KVM_RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// vCPU.
    pub vcpu: usize,
    /// Host counter just before KVM_RUN.
    pub entered: u64,
    /// Host counter just after.
    pub returned: u64,
    /// Why.
    pub exit: Exit,
    /// The level field, as found on return.
    pub levels: Levels,
    /// The program counter, where the program asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pc: Option<u64>,
}

impl std::fmt::Display for Return {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KVM_RUN returned: {}, levels {}", describe_exit(&self.exit), self.levels)?;
        self.pc.map_or(Ok(()), |pc| write!(f, ", PC {pc:#x}"))
    }
}

/// One operation of the guest, or one interrupt it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRecord {
    /// vCPU.
    pub vcpu: usize,
    /// Index of the operation in the encoded program.
    pub op: u32,
    /// One of [`vtick_abi::litmus::kind`].
    pub kind: u32,
    /// Host counter before.
    pub before: u64,
    /// Host counter after.
    pub after: u64,
    /// The result, as the guest saw it.
    pub value: u64,
}

/// Where a vCPU was when it was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Host counter.
    pub at: u64,
    /// Program counter.
    pub pc: u64,
    /// The function it lies in.
    pub symbol: String,
    /// Whether the instruction there, or just before, is WFI.
    pub in_wfi: bool,
    /// Whether the instruction just before is HVC: the vCPU is in a call to KVM.
    pub in_hvc: bool,
    /// PSTATE.
    pub pstate: u64,
    /// CNTV_CTL.
    pub cntv_ctl: u64,
    /// CNTV_CVAL.
    pub cntv_cval: u64,
    /// CNTVCT as the guest would read it.
    pub cntvct: u64,
    /// The physical timer, where the kernel lets userspace read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ptimer: Option<Ptimer>,
    /// The level field as the last return left it.
    pub levels: Levels,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Stopped { symbol, pstate, cntv_ctl, cntv_cval, cntvct, levels, .. } = self;
        let asleep = if self.in_wfi { " in WFI" } else { "" };
        write!(f, "{symbol}{asleep}: PSTATE {pstate:#x}, ")?;
        write!(f, "CNTV_CTL {cntv_ctl:#x}, CNTV_CVAL {cntv_cval:#x}, CNTVCT {cntvct:#x}, ")?;
        if let Some(Ptimer { ctl, cval, count }) = self.ptimer {
            write!(f, "CNTP_CTL {ctl:#x}, CNTP_CVAL {cval:#x}, CNTPCT {count:#x}, ")?;
        }
        write!(f, "levels {levels}")
    }
}

/// The physical timer of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ptimer {
    /// CNTP_CTL.
    pub ctl: u64,
    /// CNTP_CVAL.
    pub cval: u64,
    /// CNTPCT as the guest would read it.
    pub count: u64,
}

/// How a vCPU's part of a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ending", rename_all = "kebab-case")]
pub enum Ending {
    /// It came to its end.
    Done,
    /// The watchdog stopped it.
    Stopped(Stopped),
    /// It took an exception nobody expected.
    Exception {
        /// Offset of the vector.
        vector: u64,
        /// ESR_EL1.
        esr: u64,
        /// Where from.
        elr: String,
        /// FAR_EL1.
        far: u64,
    },
    /// The guest panicked.
    Panic {
        /// Its message.
        message: String,
    },
    /// KVM_RUN returned something no program asks for.
    Failed {
        /// What it returned.
        exit: Exit,
        /// Where the guest was.
        pc: String,
    },
}

/// Something that happened, on the host's counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// KVM_RUN returned.
    Return(Return),
    /// The guest did something.
    Guest(GuestRecord),
    /// KVM_IRQ_LINE was called by the routing.
    Line {
        /// Host counter after the call.
        at: u64,
        /// vCPU.
        vcpu: usize,
        /// Which line.
        line: Line,
        /// Raised or lowered.
        level: bool,
    },
    /// An action of the program was done.
    Action {
        /// Host counter after it.
        at: u64,
        /// Index of the action.
        action: usize,
        /// What the system call returned, or minus errno.
        result: i64,
    },
}

impl Event {
    fn at(&self) -> u64 {
        match self {
            Event::Return(r) => r.returned,
            Event::Guest(g) => g.after,
            Event::Line { at, .. } | Event::Action { at, .. } => *at,
        }
    }
}

/// Everything that happened while a program ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// Events in the order of the host's counter.
    pub events: Vec<Event>,
    /// How each vCPU ended.
    pub endings: Vec<Ending>,
    /// Host counter minus guest counter.
    pub offset: u64,
    /// Warnings of the host kernel about KVM while the program ran; `None`: its log may not be read.
    pub warnings: Option<Vec<String>>,
    /// What happened in the VM beside this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<Box<Transcript>>,
    /// Why the program could not be run on this host, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// First operation and length of each block, to find a step's records.
    #[serde(skip)]
    starts: Vec<u32>,
}

impl Transcript {
    /// Puts the events in order.
    pub fn new(program: &Program, mut events: Vec<Event>, endings: Vec<Ending>, offset: u64) -> Transcript {
        events.sort_by_key(Event::at);
        let starts = program.block_starts();
        Transcript { events, endings, offset, warnings: None, neighbour: None, unavailable: None, starts }
    }

    /// The transcript of a program that this host cannot run, for this reason.
    pub fn unavailable(program: &Program, reason: String) -> Transcript {
        Transcript { unavailable: Some(reason), ..Transcript::new(program, Vec::new(), Vec::new(), 0) }
    }

    /// Index of a step's operation in the encoded program.
    fn op(&self, step: Step) -> u32 {
        step.op(&self.starts)
    }

    /// All returns of KVM_RUN.
    pub fn returns(&self) -> impl DoubleEndedIterator<Item = &Return> {
        self.events.iter().filter_map(|event| match event {
            Event::Return(r) => Some(r),
            _ => None,
        })
    }

    /// All records of the guest.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &GuestRecord> {
        self.events.iter().filter_map(|event| match event {
            Event::Guest(g) => Some(g),
            _ => None,
        })
    }

    /// All records of one step that ran as an operation.
    pub fn all(&self, step: Step) -> impl Iterator<Item = &GuestRecord> {
        let op = self.op(step);
        self.records().filter(move |g| g.op == op && matches!(g.kind, 0 | 3))
    }

    /// The first record of a step. That it was never reached is a violation: each program can be run to its end on a
    /// kernel that keeps the contract.
    pub fn at(&self, step: Step) -> Result<&GuestRecord, Unheld> {
        match self.all(step).next() {
            Some(record) => Ok(record),
            None => violated(format!("the guest never got past operation {}", self.op(step))),
        }
    }

    /// Interrupts the vCPU took, IRQs and FIQs, in order.
    pub fn interrupts(&self, vcpu: usize) -> impl Iterator<Item = &GuestRecord> {
        self.records().filter(move |g| g.vcpu == vcpu && matches!(g.kind, 1 | 2))
    }

    /// The MMIO exit that a step caused.
    pub fn exit_of(&self, step: Step) -> Result<&Return, Unheld> {
        let record = self.at(step)?;
        let exit = self.returns().find(|r| {
            r.vcpu == record.vcpu
                && r.returned >= record.before
                && r.returned <= record.after
                && r.exit.address().is_some()
        });
        match exit {
            Some(exit) => Ok(exit),
            None => violated(format!("operation {} caused no MMIO exit", record.op)),
        }
    }

    /// Returns of one vCPU between two points of time, both included.
    pub fn returns_between(&self, vcpu: usize, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &Return> {
        self.returns().filter(move |r| r.vcpu == vcpu && r.returned >= from && r.returned <= to)
    }

    /// What an action returned: a value, or minus errno.
    pub fn result(&self, action: ActionRef) -> Result<i64, Unheld> {
        let found = self.events.iter().find_map(|event| match event {
            Event::Action { action: index, result, .. } if *index == action.0 => Some(*result),
            _ => None,
        });
        match found {
            Some(result) => Ok(result),
            None => violated(format!("the host never came to action {}", action.0)),
        }
    }

    /// The transcript of the VM beside this one.
    pub fn neighbour(&self) -> Result<&Transcript, Unheld> {
        match &self.neighbour {
            Some(transcript) => Ok(transcript),
            None => violated("the VM beside this one left no transcript"),
        }
    }

    /// When an action was done.
    pub fn time_of(&self, action: ActionRef) -> Result<u64, Unheld> {
        let found = self.events.iter().find_map(|event| match event {
            Event::Action { at, action: index, .. } if *index == action.0 => Some(*at),
            _ => None,
        });
        match found {
            Some(at) => Ok(at),
            None => violated(format!("the host never came to action {}", action.0)),
        }
    }

    /// A point of the guest's counter on the host's.
    pub fn host_time(&self, guest: u64) -> u64 {
        guest.wrapping_add(self.offset)
    }

    /// The deadline that a step of [`Program::arm_vtimer`] set, on the host's counter.
    pub fn deadline(&self, step: Step) -> Result<u64, Unheld> {
        Ok(self.host_time(self.at(step)?.value))
    }

    /// Whether the guest had its physical timer enabled with a deadline that is over at this time. From what it wrote:
    /// not every kernel lets userspace read that timer.
    pub fn ptimer_expired(&self, program: &Program, vcpu: usize, at: u64) -> bool {
        let (_, ops) = program.encode();
        let last = |register| {
            let writes = |op: &Op| op.code == code::WRITE && op.what == register;
            let written = |g: &&GuestRecord| g.vcpu == vcpu && g.kind == kind::OP && writes(&ops[g.op as usize]);
            self.records().rfind(written).map(|g| g.value)
        };
        last(sysreg::CNTP_CTL) == Some(1) && last(sysreg::CNTP_CVAL).is_some_and(|deadline| deadline <= at)
    }

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
fn describe_exit(exit: &Exit) -> String {
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
