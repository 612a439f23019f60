//! Latency measurements: what the guest shall do, and a sample per interrupt.

/// How the vCPU waits for its interrupt.
pub mod wait {
    /// Spins on a counter in RAM.
    pub const SPIN: u32 = 0;
    /// Sleeps in WFI with interrupts masked, unmasks when woken.
    pub const WFI: u32 = 1;
}

/// What stands at [`crate::layout::MEASURE_BASE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// One of [`wait`].
    pub wait: u32,
    /// Reserved, zero.
    pub reserved: u32,
    /// Interrupts to take.
    pub interrupts: u64,
    /// From arming the timer to its deadline, in counter ticks.
    pub delay: u64,
    /// How long past the deadline the guest waits before it counts the interrupt as lost, in counter ticks.
    pub patience: u64,
    /// Samples after which the guest hands over what it has; at most [`MAX_SAMPLES`].
    pub batch: u64,
}

/// One timer interrupt, on the guest's virtual counter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// CNTV_CVAL: when the timer's output was due.
    pub deadline: u64,
    /// Counter at the first instruction of the interrupt vector; 0 if the interrupt never came.
    pub vector: u64,
    /// Counter after GICC_IAR was read.
    pub acknowledged: u64,
    /// Counter when the handler had silenced the timer.
    pub handled: u64,
    /// Counter after GICC_EOIR was written.
    pub ended: u64,
    /// Counter back in the interrupted code.
    pub resumed: u64,
    /// What GICC_IAR read, raw.
    pub iar: u64,
    /// Acknowledgements that read 1023 since the previous sample.
    pub spurious: u64,
}

/// Samples that fit into a vCPU's record area.
pub const MAX_SAMPLES: u64 = crate::layout::RECORDS_SIZE / size_of::<Sample>() as u64;
