//! What the host does for a program.

use super::Value;
use crate::lines::Line;

/// What the host does when the guest asks (or, [`super::Program::before`], before the guest starts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// KVM_IRQ_LINE, by this vCPU's thread.
    Line {
        /// Which vCPU.
        vcpu: usize,
        /// Which of its lines.
        line: Line,
        /// Raise or lower.
        level: bool,
    },
    /// KVM_IRQ_LINE by another thread, this long after it was asked for.
    LineAfter {
        /// Counter ticks.
        ticks: u64,
        /// Which vCPU.
        vcpu: usize,
        /// Which of its lines.
        line: Line,
        /// Raise or lower.
        level: bool,
    },
    /// A signal to the vCPU's thread, by another thread, this long after it was asked for.
    SignalAfter {
        /// Counter ticks.
        ticks: u64,
        /// Which vCPU.
        vcpu: usize,
    },
    /// This vCPU's thread stays in userspace for so long; then its next KVM_RUN finds `immediate_exit` set.
    ImmediateExit {
        /// Counter ticks.
        after: u64,
    },
    /// This vCPU's thread stays in userspace for so long.
    Stay {
        /// Counter ticks.
        ticks: u64,
    },
    /// This vCPU's thread waits in userspace until those of all other vCPUs have come to a meeting, too.
    Meet,
    /// KVM_CHECK_EXTENSION on the VM.
    CheckExtension {
        /// KVM_CAP_*.
        capability: u32,
    },
    /// KVM_CHECK_EXTENSION on /dev/kvm.
    CheckSystemExtension {
        /// KVM_CAP_*.
        capability: u32,
    },
    /// KVM_IRQ_LINE with an `irq` argument as it stands.
    RawLine {
        /// The argument ([KVM-API/4.25]).
        irq: u32,
        /// Raise or lower.
        level: bool,
    },
    /// KVM_GET_ONE_REG of this vCPU.
    Get(TimerRegister),
    /// KVM_SET_ONE_REG of this vCPU. "Now" is the virtual counter as ONE_REG reads it.
    Set(TimerRegister, Value),
    /// A device drives the input of an SPI of our GIC, on this vCPU's thread: what its registers were accessed for.
    Spi {
        /// INTID.
        intid: u32,
        /// Raise or lower.
        level: bool,
    },
    /// The same from a thread of the device's own, this long after it was asked for.
    SpiAfter {
        /// Counter ticks.
        ticks: u64,
        /// INTID.
        intid: u32,
        /// Raise or lower.
        level: bool,
    },
    /// The machine goes on in a fresh VM: when all vCPUs have asked for it, their registers, the GIC's state and RAM are
    /// saved, the VM is gone, and another one is made of them.
    MoveToFreshVm,
    /// KVM_ARM_VCPU_INIT again, with everything but the timers as it was before: all other registers are saved before
    /// and restored after.
    Reinit {
        /// Whether the timers' CTL and CVAL are restored, too.
        restore_timers: bool,
    },
    /// This vCPU's thread moves to the host CPU that is next among those it may run on.
    Migrate,
    /// kvm_run.kvm_valid_regs and kvm_run.kvm_dirty_regs are set to this.
    SyncFlags(u64),
    /// KVM_CREATE_VCPU with this id; it is never run.
    CreateVcpu(u64),
    /// KVM_ARM_SET_COUNTER_OFFSET: both counters of the guest are the host's physical one less this.
    CounterOffset(u64),
    /// KVM_ARM_VCPU_INIT with the PMU, KVM_RUN, KVM_ARM_VCPU_INIT without it, KVM_RUN, of another vCPU of a VM of its
    /// own: the sequence of CVE-2024-53195.
    ForbiddenInitSequence,
}

impl Action {
    /// Whether a kernel may refuse it: what it returns is for the check to judge. Any other that is refused has gone wrong.
    pub fn may_be_refused(&self) -> bool {
        matches!(
            self,
            Action::RawLine { .. }
                | Action::Get(_)
                | Action::Set(..)
                | Action::CreateVcpu(_)
                | Action::CounterOffset(_)
                | Action::CheckExtension { .. }
                | Action::CheckSystemExtension { .. }
        )
    }
}

/// A timer register that ONE_REG reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "registers by their names")]
pub enum TimerRegister {
    CntvCtl,
    CntvCval,
    Cntvct,
    CntpCtl,
    CntpCval,
    Cntpct,
}

impl std::fmt::Display for TimerRegister {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TimerRegister::CntvCtl => "CNTV_CTL",
            TimerRegister::CntvCval => "CNTV_CVAL",
            TimerRegister::Cntvct => "CNTVCT",
            TimerRegister::CntpCtl => "CNTP_CTL",
            TimerRegister::CntpCval => "CNTP_CVAL",
            TimerRegister::Cntpct => "CNTPCT",
        })
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = |level: bool| if level { "raise" } else { "lower" };
        match *self {
            Action::Line { vcpu, line, level } => write!(f, "{} {line} of vCPU {vcpu}", verb(level)),
            Action::LineAfter { ticks, vcpu, line, level } => {
                write!(f, "another thread: {} {line} of vCPU {vcpu} after {ticks} ticks", verb(level))
            }
            Action::SignalAfter { ticks, vcpu } => {
                write!(f, "another thread: signal vCPU {vcpu}'s thread after {ticks} ticks")
            }
            Action::ImmediateExit { after: 0 } => write!(f, "set immediate_exit"),
            Action::ImmediateExit { after } => write!(f, "stay in userspace for {after} ticks, set immediate_exit"),
            Action::Stay { ticks } => write!(f, "stay in userspace for {ticks} ticks"),
            Action::Meet => write!(f, "wait for the other vCPUs"),
            Action::CheckExtension { capability } => write!(f, "KVM_CHECK_EXTENSION({capability})"),
            Action::CheckSystemExtension { capability } => write!(f, "KVM_CHECK_EXTENSION({capability}) on /dev/kvm"),
            Action::RawLine { irq, level } => write!(f, "KVM_IRQ_LINE(irq = {irq:#x}, level = {})", u8::from(level)),
            Action::Get(register) => write!(f, "KVM_GET_ONE_REG {register}"),
            Action::Set(register, value) => write!(f, "KVM_SET_ONE_REG {register} := {value}"),
            Action::Spi { intid, level } => write!(f, "device: {} INTID {intid}", verb(level)),
            Action::SpiAfter { ticks, intid, level } => {
                write!(f, "device's thread: {} INTID {intid} after {ticks} ticks", verb(level))
            }
            Action::MoveToFreshVm => write!(f, "save the machine, and go on in a fresh VM"),
            Action::Reinit { restore_timers } => write!(
                f,
                "save all registers, KVM_ARM_VCPU_INIT, restore them {} the timers'",
                if restore_timers { "with" } else { "without" }
            ),
            Action::Migrate => write!(f, "move this thread to the next host CPU"),
            Action::SyncFlags(value) => write!(f, "kvm_valid_regs := kvm_dirty_regs := {value:#x}"),
            Action::CreateVcpu(id) => write!(f, "KVM_CREATE_VCPU({id})"),
            Action::CounterOffset(offset) => write!(f, "KVM_ARM_SET_COUNTER_OFFSET({offset:#x})"),
            Action::ForbiddenInitSequence => {
                write!(f, "in another VM: KVM_ARM_VCPU_INIT with the PMU, KVM_RUN, KVM_ARM_VCPU_INIT without, KVM_RUN")
            }
        }
    }
}
