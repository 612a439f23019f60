//! What happens while a program runs, each thing by itself.

use serde::{Deserialize, Serialize};

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
    /// The physical timer: as the kernel says, or else as the guest wrote it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ptimer: Option<Ptimer>,
    /// The level field as the last return left it.
    pub levels: Levels,
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
    pub(super) fn at(&self) -> u64 {
        match self {
            Event::Return(r) => r.returned,
            Event::Guest(g) => g.after,
            Event::Line { at, .. } | Event::Action { at, .. } => *at,
        }
    }
}
