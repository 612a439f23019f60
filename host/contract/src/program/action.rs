//! What the host does for a program.

use super::Value;
use vtick_core::lines::Line;

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
    /// KVM_SET_ONE_REG of this vCPU. "Now" is the virtual counter as ONE_REG reads it, "physical now" the physical one.
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
    /// KVM_HAS_DEVICE_ATTR on this vCPU, of group KVM_ARM_VCPU_TIMER_CTRL.
    HasTimerInterrupt {
        /// KVM_ARM_VCPU_TIMER_IRQ_*.
        attribute: u64,
    },
    /// KVM_GET_DEVICE_ATTR of the same: its result is the number of the timer's interrupt.
    GetTimerInterrupt {
        /// KVM_ARM_VCPU_TIMER_IRQ_*.
        attribute: u64,
    },
    /// KVM_SET_DEVICE_ATTR of the same.
    SetTimerInterrupt {
        /// KVM_ARM_VCPU_TIMER_IRQ_*.
        attribute: u64,
        /// An INTID.
        intid: u32,
    },
    /// KVM_SET_MP_STATE of this vCPU to SUSPENDED. When KVM_RUN returns because an interrupt came for it
    /// (KVM_SYSTEM_EVENT_WAKEUP), it is set to RUNNABLE again.
    Suspend,
    /// How long this vCPU's thread, its guest included, has had a CPU so far: its result, in counter ticks.
    CpuTime,
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
                | Action::HasTimerInterrupt { .. }
                | Action::GetTimerInterrupt { .. }
                | Action::SetTimerInterrupt { .. }
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
