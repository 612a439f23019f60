//! The operations of which explored programs are made.

use vtick_core::lines::Line;

/// Lengths of time, in counter ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Ticks per second.
    pub cntfrq: u64,
    /// A deadline that passes while the next operation is under way.
    pub soon: u64,
    /// A deadline that passes after everything else of a short program, sleeps excepted.
    pub later: u64,
    /// How long a program may take before its vCPUs are stopped.
    pub limit: u64,
}

impl Scale {
    /// For a host whose counter runs at `cntfrq` Hz. `exact`: nothing but the program moves its time.
    pub fn new(cntfrq: u64, exact: bool) -> Scale {
        let us = |n: u64| n * cntfrq / 1_000_000;
        // Where a tick is an instruction an exit takes 7 us. On silicon it takes less, but whatever else a host does
        // takes longer. The limit is beyond what the model grants a wake-up (`Tolerance::wake`): a sleep that never ends
        // is objected to only then.
        if exact {
            Scale { cntfrq, soon: us(5), later: us(150), limit: us(5_000) }
        } else {
            Scale { cntfrq, soon: us(5), later: us(300), limit: us(100_000) }
        }
    }
}

/// One of the two timers of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The virtual timer.
    Virtual,
    /// The physical timer.
    Physical,
}

/// When a deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// It has passed already.
    Past,
    /// [`Scale::soon`].
    Soon,
    /// [`Scale::later`].
    Later,
}

/// One operation of an explored program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// CVAL := a deadline, CTL := ENABLE.
    Arm(Timer, When),
    /// CVAL := a deadline; whether the timer is on stays as it is.
    Move(Timer, When),
    /// CTL := 0.
    Off(Timer),
    /// CTL := ENABLE and IMASK.
    Imask(Timer),
    /// CTL := ENABLE.
    Enable(Timer),
    /// The PMU's first event counter overflows.
    PmuOverflow,
    /// Its overflow flag is cleared.
    PmuClear,
    /// WFI, with interrupts as they are: masked from the start.
    Wfi,
    /// PSCI CPU_SUSPEND of the shallowest state: WFI by another way.
    Suspend,
    /// PSTATE.I and F := 0.
    Unmask,
    /// PSTATE.I and F := 1.
    Mask,
    /// An MMIO read.
    Read,
    /// An MMIO write.
    Write,
    /// PSCI_VERSION: an exit of which userspace sees nothing.
    Hvc,
    /// Spinning until whatever is due soon has come.
    Spin,
    /// KVM_IRQ_LINE of the vCPU's own thread.
    Line(Line, bool),
    /// KVM_IRQ_LINE of another thread, soon.
    LineSoon(Line, bool),
    /// KVM_IRQ_LINE of a line of the vCPU behind this one.
    NextLine(bool),
    /// A signal from another thread, soon.
    Signal,
    /// immediate_exit.
    ImmediateExit,
    /// The vCPU's thread stays in userspace until whatever is due soon has come.
    Stay,
    /// KVM_ARM_VCPU_INIT, with the timers restored or not.
    Reinit(bool),
    /// KVM_GET_ONE_REG of CTL.
    GetCtl(Timer),
    /// KVM_GET_ONE_REG of CVAL.
    GetCval(Timer),
    /// KVM_SET_ONE_REG of CTL := ENABLE.
    SetCtl(Timer),
    /// KVM_SET_ONE_REG of CVAL := now.
    SetCval(Timer),
    /// The vCPU's thread moves to another host CPU.
    Migrate,
    /// The machine is saved and goes on in a fresh VM.
    SaveRestore,
    /// kvm_valid_regs := kvm_dirty_regs := this.
    SyncFlags(bool),
    /// KVM_CHECK_EXTENSION of the capability.
    CheckExtension,
    /// KVM_IRQ_LINE of a line that there is not.
    BadLine,
}

/// All operations, in the order in which programs are counted.
pub const ALPHABET: &[Operation] = {
    use Operation::{
        Arm, BadLine, CheckExtension, Enable, GetCtl, GetCval, Hvc, ImmediateExit, LineSoon, Mask, Migrate, Move,
        NextLine, Off, PmuClear, PmuOverflow, Read, Reinit, SaveRestore, SetCtl, SetCval, Signal, Spin, Stay, Suspend,
        SyncFlags, Unmask, Wfi, Write,
    };
    use Timer::{Physical, Virtual};
    use When::{Later, Past, Soon};
    &[
        Arm(Virtual, Past),
        Arm(Virtual, Soon),
        Arm(Virtual, Later),
        Arm(Physical, Past),
        Arm(Physical, Soon),
        Arm(Physical, Later),
        Move(Virtual, Past),
        Move(Virtual, Later),
        Move(Physical, Past),
        Move(Physical, Later),
        Off(Virtual),
        Off(Physical),
        Operation::Imask(Virtual),
        Operation::Imask(Physical),
        Enable(Virtual),
        Enable(Physical),
        PmuOverflow,
        PmuClear,
        Wfi,
        Suspend,
        Unmask,
        Mask,
        Read,
        Write,
        Hvc,
        Spin,
        Operation::Line(Line::Irq, true),
        Operation::Line(Line::Irq, false),
        Operation::Line(Line::Fiq, true),
        Operation::Line(Line::Fiq, false),
        LineSoon(Line::Irq, true),
        LineSoon(Line::Irq, false),
        LineSoon(Line::Fiq, true),
        NextLine(true),
        NextLine(false),
        Signal,
        ImmediateExit,
        Stay,
        Reinit(true),
        Reinit(false),
        GetCtl(Virtual),
        GetCval(Virtual),
        SetCtl(Virtual),
        SetCval(Virtual),
        GetCtl(Physical),
        GetCval(Physical),
        SetCtl(Physical),
        SetCval(Physical),
        Migrate,
        SaveRestore,
        SyncFlags(false),
        SyncFlags(true),
        CheckExtension,
        BadLine,
    ]
};

impl Operation {
    /// Whether it is about the physical timer.
    pub fn is_physical(self) -> bool {
        use Operation::{Arm, Enable, GetCtl, GetCval, Imask, Move, Off, SetCtl, SetCval};
        matches!(
            self,
            Arm(Timer::Physical, _)
                | Move(Timer::Physical, _)
                | Off(Timer::Physical)
                | Imask(Timer::Physical)
                | Enable(Timer::Physical)
                | GetCtl(Timer::Physical)
                | GetCval(Timer::Physical)
                | SetCtl(Timer::Physical)
                | SetCval(Timer::Physical)
        )
    }

    /// Whether userspace reaches a register of the physical timer by it.
    pub fn is_physical_one_reg(self) -> bool {
        use Operation::{GetCtl, GetCval, SetCtl, SetCval};
        self.is_physical() && matches!(self, GetCtl(_) | GetCval(_) | SetCtl(_) | SetCval(_))
    }

    /// Whether it is about the PMU.
    pub fn is_pmu(self) -> bool {
        matches!(self, Operation::PmuOverflow | Operation::PmuClear)
    }

    /// As how many operations it counts: those that take as long as hundreds of others count more.
    pub fn weight(self) -> usize {
        match self {
            Operation::Reinit(_) => 2,
            Operation::SaveRestore => 3,
            _ => 1,
        }
    }

    /// Whether a program of so many vCPUs can have it: a line of another vCPU takes one, and a machine moves when all of its
    /// vCPUs ask for it.
    pub fn fits(self, vcpus: usize) -> bool {
        match self {
            Operation::NextLine(_) => vcpus > 1,
            Operation::SaveRestore => vcpus == 1,
            _ => true,
        }
    }

    /// Whether a level may rise by it, now or later.
    pub fn raises_a_level(self) -> bool {
        use Operation::{Arm, Enable, Move, PmuOverflow, SetCtl, SetCval};
        matches!(self, Arm(..) | Move(..) | Enable(_) | PmuOverflow | SetCtl(_) | SetCval(_))
    }

    /// Whether the guest sleeps in it.
    pub fn sleeps(self) -> bool {
        matches!(self, Operation::Wfi | Operation::Suspend)
    }

    /// Whether the host does something for it: it takes an exit.
    pub fn is_of_the_host(self) -> bool {
        use Operation::{
            BadLine, CheckExtension, GetCtl, GetCval, ImmediateExit, LineSoon, Migrate, NextLine, Reinit, SaveRestore,
            SetCtl, SetCval, Signal, Stay, SyncFlags,
        };
        matches!(
            self,
            Operation::Line(..)
                | LineSoon(..)
                | NextLine(_)
                | Signal
                | ImmediateExit
                | Stay
                | Reinit(_)
                | GetCtl(_)
                | GetCval(_)
                | SetCtl(_)
                | SetCval(_)
                | Migrate
                | SaveRestore
                | SyncFlags(_)
                | CheckExtension
                | BadLine
        )
    }
}
