//! What happens while a program runs, each thing by itself.

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::timeline::describe_exit;
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
    /// Whether userspace had suspended the vCPU (KVM_MP_STATE_SUSPENDED): wherever the guest is, the vCPU sleeps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// PSTATE.
    pub pstate: u64,
    /// CNTV_CTL.
    pub cntv_ctl: u64,
    /// CNTV_CVAL.
    pub cntv_cval: u64,
    /// CNTVCT as the guest would read it.
    pub cntvct: u64,
    /// The physical timer: as the kernel says, or else as the guest wrote it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ptimer: Option<Ptimer>,
    /// The level field as the last return left it.
    pub levels: Levels,
}

impl Stopped {
    /// Whether the vCPU slept: in WFI, in a call to KVM such as PSCI CPU_SUSPEND, or suspended by userspace.
    pub fn slept(&self) -> bool {
        self.in_wfi || self.in_hvc || self.suspended
    }
}

#[cfg(test)]
impl Stopped {
    /// A vCPU in WFI, whose vtimer's output has been due for 4000 ticks and was not reported.
    pub(crate) fn overslept() -> Stopped {
        Stopped {
            at: 0,
            pc: 0x4008_1234,
            symbol: "0x40081234".to_owned(),
            in_wfi: true,
            in_hvc: false,
            suspended: false,
            pstate: 0x3c5,
            cntv_ctl: 5,
            cntv_cval: 1000,
            cntvct: 5000,
            ptimer: None,
            levels: Levels::NONE,
        }
    }
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
    /// A system call was refused without which it could not go on: the transcript's last [`Event::Refused`].
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
