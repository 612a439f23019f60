//! What is measured.

use serde::Serialize;
use vtick_abi::measure::wait;

/// How the guest waits for its interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// It spins, and KVM has to take the CPU away from it.
    Spin,
    /// It sleeps in WFI, and KVM has to wake the vCPU's thread.
    Wfi,
}

impl Wait {
    /// The number the guest knows it by.
    pub fn abi(self) -> u32 {
        match self {
            Wait::Spin => wait::SPIN,
            Wait::Wfi => wait::WFI,
        }
    }
}

/// A length of time that does not depend on the counter's frequency, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Span {
    /// In ticks of a counter that runs at `cntfrq` Hz.
    pub fn ticks(self, cntfrq: u64) -> u64 {
        self.0 * cntfrq / 1_000_000
    }
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// What it measures, in one sentence.
    pub what: &'static str,
    /// How the guest waits.
    pub wait: Wait,
    /// From arming the timer to its deadline.
    pub delay: Span,
    /// Interrupts taken before the ones that count: caches, page tables and the host's timers settle.
    pub warm_up: u64,
    /// Interrupts that count.
    pub interrupts: u64,
}

/// All scenarios.
pub const SCENARIOS: [Scenario; 2] = [
    Scenario {
        name: "vtimer-spin",
        what: "one-shot virtual timer, vCPU spinning",
        wait: Wait::Spin,
        delay: Span(20),
        warm_up: 100,
        interrupts: 10_000,
    },
    Scenario {
        name: "vtimer-wfi",
        what: "one-shot virtual timer, vCPU asleep in WFI",
        wait: Wait::Wfi,
        // Longer than KVM polls before it lets a halted vCPU sleep (halt_poll_ns, 500 us).
        delay: Span(1000),
        warm_up: 100,
        interrupts: 10_000,
    },
];
