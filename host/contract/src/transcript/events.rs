//! What happens while a program runs, each thing by itself.

use serde::{Deserialize, Serialize};
use vtick_abi::mailbox;
use vtick_core::stopped::Stopped;

use super::refusal::Refusal;
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line};

/// One return of KVM_RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// kvm_run.exit_reason, where KVM_RUN failed with EINTR: KVM_EXIT_*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<u32>,
}

impl std::fmt::Display for Return {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KVM_RUN returned: {}, levels {}", describe_exit(&self.exit), self.levels)?;
        self.pc.map_or(Ok(()), |pc| write!(f, ", PC {pc:#x}"))
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

/// One operation of the guest, or one interrupt it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GuestRecord {
    /// vCPU.
    pub vcpu: usize,
    /// Index of the operation in the encoded program.
    pub op: u32,
    /// 0: an operation, 1: an IRQ was taken, 2: a FIQ was taken, 3: an operation that was UNDEFINED.
    pub kind: u32,
    /// Host counter before.
    pub before: u64,
    /// Host counter after.
    pub after: u64,
    /// The result, as the guest saw it.
    pub value: u64,
}

/// How a vCPU's part of a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// A system call was refused without which it could not go on: the last event of kind `refused` says which.
    Refused,
    /// KVM_RUN returned more often than any program needs.
    Storm(Storm),
    /// No signal brought it back from KVM_RUN.
    Stuck {
        /// Where its thread is, as far as the host can tell.
        place: String,
    },
    /// vtick itself failed.
    HarnessError {
        /// At what.
        message: String,
    },
}

/// Returns of KVM_RUN without an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Storm {
    /// How many returns there were when the program was ended.
    pub returns: u64,
    /// The last returns that were all alike.
    pub alike: u64,
    /// Ticks from one of these to the next, on average.
    pub period: u64,
    /// Why they came, as the last one says.
    pub exit: Exit,
    /// The levels that they showed.
    pub levels: Levels,
    /// What the guest was doing.
    pub stopped: Stopped,
}

impl Storm {
    /// The storm that the returns of a vCPU are, the last ones first.
    pub fn of<'a>(returns: u64, latest_first: impl Iterator<Item = &'a Return>, stopped: Stopped) -> Option<Storm> {
        let mut latest_first = latest_first.peekable();
        let last = **latest_first.peek()?;
        let mut alike = 0;
        let mut first = last;
        for r in latest_first.take_while(|r| r.exit == last.exit && r.levels == last.levels) {
            alike += 1;
            first = *r;
        }
        let period = last.returned.saturating_sub(first.returned) / u64::max(alike - 1, 1);
        Some(Storm { returns, alike, period, exit: last.exit, levels: last.levels, stopped })
    }
}

/// What disturbs the threads of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "disturbance", rename_all = "kebab-case")]
pub enum Disturbance {
    /// Another thread was busy on a host CPU.
    Busy {
        /// Which.
        cpu: usize,
        /// For how many ticks.
        ticks: u64,
        /// With real-time priority, higher than that of any thread of the program.
        real_time: bool,
    },
    /// A signal to a vCPU's thread.
    Signal {
        /// Which.
        vcpu: usize,
    },
    /// A vCPU's thread was moved to another host CPU.
    Moved {
        /// Which.
        vcpu: usize,
        /// Where to.
        cpu: usize,
    },
}

impl std::fmt::Display for Disturbance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Disturbance::Busy { cpu, ticks, real_time } => {
                let how = if real_time { "real-time" } else { "ordinary" };
                write!(f, "a thread of {how} priority was busy on CPU {cpu} for {ticks} ticks")
            }
            Disturbance::Signal { vcpu } => write!(f, "a signal to vCPU {vcpu}'s thread"),
            Disturbance::Moved { vcpu, cpu } => write!(f, "vCPU {vcpu}'s thread was moved to CPU {cpu}"),
        }
    }
}

/// Something that happened, on the host's counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
        /// When it was to be done, where another thread did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<u64>,
        /// What the system call returned, or minus errno.
        result: i64,
    },
    /// Something disturbed the threads of the program, because it was told to.
    Disturbed {
        /// Host counter when it was over.
        at: u64,
        /// What.
        what: Disturbance,
    },
    /// The kernel refused a system call that has to succeed.
    Refused(Refusal),
    /// So many events of a storm are left out here.
    LeftOut {
        /// Host counter of the first.
        at: u64,
        /// How many.
        count: usize,
    },
}

impl Event {
    pub(super) fn at(&self) -> u64 {
        match self {
            Event::Return(r) => r.returned,
            Event::Guest(g) => g.after,
            Event::Refused(refusal) => refusal.at,
            Event::Line { at, .. } | Event::Action { at, .. } | Event::LeftOut { at, .. } => *at,
            Event::Disturbed { at, .. } => *at,
        }
    }
}
