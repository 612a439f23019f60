//! Latency measurements: what the guest shall do, and a sample per interrupt or operation.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What is measured.
pub mod stimulus {
    /// An interrupt of the virtual timer.
    pub const VTIMER: u32 = 0;
    /// An interrupt of the physical timer.
    pub const PTIMER: u32 = 1;
    /// An SGI that the vCPU sends to itself.
    pub const SGI: u32 = 2;
    /// A call to the hypervisor that the kernel answers: PSCI_VERSION by HVC.
    pub const HVC: u32 = 3;
    /// An MMIO read that userspace answers.
    pub const MMIO_READ: u32 = 4;
    /// An MMIO write that goes to userspace.
    pub const MMIO_WRITE: u32 = 5;
    /// A read of a distributor register.
    pub const GIC_READ: u32 = 6;
    /// A write that enables an interrupt which is enabled already.
    pub const GIC_WRITE: u32 = 7;
    /// An SGI that one of two vCPUs sends to the other, which takes it and sends one back.
    pub const SGI_OTHER: u32 = 8;
}

/// What the vCPU does until its interrupt comes.
pub mod wait {
    /// Spins on a counter in RAM.
    pub const SPIN: u32 = 0;
    /// Sleeps in WFI with interrupts masked, unmasks when woken.
    pub const WFI: u32 = 1;
    /// Reads a register that userspace answers, over and over.
    pub const MMIO: u32 = 2;
}

/// The interrupt controller that the guest finds.
pub mod chip {
    /// A GICv2, in userspace or in the kernel.
    pub const GICV2: u32 = 0;
    /// A GICv3.
    pub const GICV3: u32 = 1;
}

/// What stands at [`crate::layout::MEASURE_BASE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes)]
pub struct Config {
    /// One of [`stimulus`].
    pub stimulus: u32,
    /// One of [`wait`].
    pub wait: u32,
    /// One of [`chip`].
    pub chip: u32,
    /// Reserved, zero.
    pub reserved: u32,
    /// Samples that are handed over before all others, in a batch of their own; at most [`MAX_SAMPLES`].
    pub warm_up: u64,
    /// Samples to take after those.
    pub interrupts: u64,
    /// From arming the timer to its deadline, in counter ticks.
    pub delay: u64,
    /// What is added to `delay`: a little more each time, up to this, in counter ticks; 0: nothing. So the deadlines of
    /// a guest that does something over and over fall into every phase of it.
    pub spread: u64,
    /// Between two deadlines of a periodic timer, in counter ticks; 0: the timer is armed anew for each sample.
    pub period: u64,
    /// How long past the deadline the guest waits before it counts the interrupt as lost, in counter ticks.
    pub patience: u64,
    /// Samples after which the guest hands over what it has; at most [`MAX_SAMPLES`].
    pub batch: u64,
}

/// One interrupt or operation, on the guest's virtual counter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes)]
pub struct Sample {
    /// When the timer's output was due (CVAL), when the SGI was sent, or when the operation began.
    pub deadline: u64,
    /// Counter at the first instruction of the interrupt vector; 0 if no interrupt came.
    pub vector: u64,
    /// Counter after the interrupt was acknowledged.
    pub acknowledged: u64,
    /// Counter when the handler had silenced the timer.
    pub handled: u64,
    /// Counter after the end of the interrupt.
    pub ended: u64,
    /// Counter back in the interrupted code, or after the operation.
    pub resumed: u64,
    /// What the acknowledgement read, raw.
    pub iar: u64,
    /// Acknowledgements that read 1023 since the previous sample.
    pub spurious: u32,
    /// Deadlines of a periodic timer that passed before this interrupt was handled, or while it was waited for in vain,
    /// and got none of their own.
    pub missed: u32,
}

/// Samples that fit into a vCPU's record area.
pub const MAX_SAMPLES: u64 = crate::layout::RECORDS_SIZE / size_of::<Sample>() as u64;
