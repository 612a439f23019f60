//! What is measured.

use std::borrow::Cow;
use std::sync::LazyLock;
use vtick_abi::intid;

use serde::{Deserialize, Serialize};
use vtick_abi::measure::{chip, stimulus, wait};

/// What the guest does until its interrupt comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// It spins, and KVM has to take the CPU away from it.
    Spin,
    /// It sleeps in WFI, and KVM has to wake the vCPU's thread.
    Wfi,
    /// It reads a register that userspace answers: the interrupt comes between two returns of KVM_RUN, or with one.
    Mmio,
}

impl Wait {
    /// The number the guest knows it by.
    pub fn abi(self) -> u32 {
        match self {
            Wait::Spin => wait::SPIN,
            Wait::Wfi => wait::WFI,
            Wait::Mmio => wait::MMIO,
        }
    }
}

/// What is measured: an interrupt, or an operation of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stimulus {
    /// An interrupt of the virtual timer.
    Vtimer,
    /// An interrupt of the physical timer.
    Ptimer,
    /// An SGI of the vCPU to itself.
    Sgi,
    /// An SGI of one vCPU to another, and one back.
    SgiOther,
    /// A call that the kernel answers.
    Hvc,
    /// An MMIO read that userspace answers.
    MmioRead,
    /// An MMIO write to userspace.
    MmioWrite,
    /// A read of a register of the GIC's distributor.
    GicRead,
    /// A write to a register of the GIC that changes nothing.
    GicWrite,
}

impl Stimulus {
    /// The number the guest knows it by.
    pub fn abi(self) -> u32 {
        match self {
            Stimulus::Vtimer => stimulus::VTIMER,
            Stimulus::Ptimer => stimulus::PTIMER,
            Stimulus::Sgi => stimulus::SGI,
            Stimulus::SgiOther => stimulus::SGI_OTHER,
            Stimulus::Hvc => stimulus::HVC,
            Stimulus::MmioRead => stimulus::MMIO_READ,
            Stimulus::MmioWrite => stimulus::MMIO_WRITE,
            Stimulus::GicRead => stimulus::GIC_READ,
            Stimulus::GicWrite => stimulus::GIC_WRITE,
        }
    }

    /// The interrupt that it is to end in; `None`: it is an operation, without one.
    pub fn intid(self) -> Option<u64> {
        match self {
            Stimulus::Vtimer => Some(intid::VTIMER.into()),
            Stimulus::Ptimer => Some(intid::PTIMER.into()),
            Stimulus::Sgi | Stimulus::SgiOther => Some(intid::SGI.into()),
            _ => None,
        }
    }

    /// Whether it is a timer's interrupt.
    pub fn is_timer(self) -> bool {
        matches!(self, Stimulus::Vtimer | Stimulus::Ptimer)
    }
}

/// The interrupt controller that the guest is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Irqchip {
    /// vtick's GICv2, in userspace.
    User,
    /// No GIC: the runner copies the timer's level to the CPU's IRQ line, and gives the guest's accesses to a GIC the one
    /// answer that the guest needs. Userspace cannot do less, so this is the kernel's floor.
    Bare,
    /// The kernel's GICv2; needs a host with a GICv2, or with a GICv3 that can stand in for one.
    Vgicv2,
    /// The kernel's GICv3; needs a host with a GICv3.
    Vgicv3,
}

impl Irqchip {
    /// The number the guest knows the controller by that it finds.
    pub fn abi(self) -> u32 {
        match self {
            Irqchip::User | Irqchip::Bare | Irqchip::Vgicv2 => chip::GICV2,
            Irqchip::Vgicv3 => chip::GICV3,
        }
    }

    /// Whether it is the kernel's: then the levels never come to userspace.
    pub fn in_kernel(self) -> bool {
        matches!(self, Irqchip::Vgicv2 | Irqchip::Vgicv3)
    }
}

impl std::fmt::Display for Irqchip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Irqchip::User => "user",
            Irqchip::Bare => "bare",
            Irqchip::Vgicv2 => "vgicv2",
            Irqchip::Vgicv3 => "vgicv3",
        })
    }
}

/// What runs on the host beside what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Beside {
    /// Nothing of ours.
    Nothing,
    /// A thread that never sleeps.
    Hog,
    /// A VM with an in-kernel GIC, whose timer wakes it once in a millisecond.
    Neighbour,
}

/// A length of time that does not depend on the counter's frequency, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Span(pub u64);

impl Span {
    /// In ticks of a counter that runs at `cntfrq` Hz.
    pub fn ticks(self, cntfrq: u64) -> u64 {
        u64::try_from(u128::from(self.0) * u128::from(cntfrq) / 1_000_000).unwrap_or(u64::MAX)
    }
}

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Scenario {
    /// Its name on the command line and in reports.
    pub name: Cow<'static, str>,
    /// What it measures, in one sentence.
    pub what: Cow<'static, str>,
    /// What is measured.
    pub stimulus: Stimulus,
    /// How the guest waits.
    pub wait: Wait,
    /// From arming the timer to its deadline.
    pub delay: Span,
    /// Added to the delay, a little more each time, up to this.
    pub spread: Span,
    /// Between two deadlines of a periodic timer; zero: one-shot.
    pub period: Span,
    /// vCPUs that do this at the same time.
    pub vcpus: usize,
    /// What else runs on the host.
    pub beside: Beside,
    /// Interrupts taken before the ones that count: caches, page tables and the host's timers settle.
    pub warm_up: u64,
    /// Interrupts, or operations, that count, for each vCPU.
    pub interrupts: u64,
}

impl Scenario {
    /// Whether the bare runner can do it: it knows of timers and of MMIO, not of SGIs.
    pub fn has_floor(&self) -> bool {
        !matches!(self.stimulus, Stimulus::Sgi | Stimulus::SgiOther)
    }

    /// CPUs that the host must have for it to say anything: two vCPUs that spin until the other one acts do nothing on
    /// one CPU but wait for the scheduler.
    pub fn cpus(&self) -> usize {
        if self.stimulus == Stimulus::SgiOther && self.wait == Wait::Spin { self.vcpus } else { 1 }
    }

    /// Whether it is one of those whose floor says it all: one vCPU, nothing beside it, a one-shot timer or an MMIO
    /// access to userspace.
    pub fn is_plain(&self) -> bool {
        let access = matches!(self.stimulus, Stimulus::MmioRead | Stimulus::MmioWrite);
        (self.stimulus == Stimulus::Vtimer || access)
            && self.period.0 == 0
            && self.vcpus == 1
            && self.beside == Beside::Nothing
    }
}

/// The least of a scenario; what makes each one differs from it.
const PLAIN: Scenario = Scenario {
    name: Cow::Borrowed(""),
    what: Cow::Borrowed(""),
    stimulus: Stimulus::Vtimer,
    wait: Wait::Spin,
    delay: Span(20),
    spread: Span(0),
    period: Span(0),
    vcpus: 1,
    beside: Beside::Nothing,
    warm_up: 100,
    interrupts: 1000,
};

/// From arming to the deadline where the vCPU sleeps: longer than KVM polls before it lets a halted vCPU sleep
/// (halt_poll_ns, 500 us).
const SLEEP: Span = Span(1000);

fn named(name: &'static str, what: &'static str) -> Scenario {
    Scenario { name: Cow::Borrowed(name), what: Cow::Borrowed(what), ..PLAIN }
}

fn sleeping(name: &'static str, what: &'static str) -> Scenario {
    Scenario { wait: Wait::Wfi, delay: SLEEP, ..named(name, what) }
}

fn periodic(name: &'static str, what: &'static str, period: u64, wait: Wait) -> Scenario {
    Scenario { period: Span(period), delay: SLEEP, wait, interrupts: 500, ..named(name, what) }
}

fn operation(name: &'static str, what: &'static str, stimulus: Stimulus) -> Scenario {
    Scenario { stimulus, ..named(name, what) }
}

/// All scenarios.
pub static SCENARIOS: LazyLock<[Scenario; 26]> = LazyLock::new(|| {
    [
        Scenario { interrupts: 10_000, ..named("vtimer-spin", "one-shot virtual timer, vCPU spinning") },
        Scenario { interrupts: 10_000, ..sleeping("vtimer-wfi", "one-shot virtual timer, vCPU asleep in WFI") },
        Scenario {
            wait: Wait::Mmio,
            // Longer than an access to userspace takes: the deadline falls into each part of one.
            spread: Span(20),
            ..named("vtimer-mmio", "one-shot virtual timer, vCPU in MMIO traffic to userspace")
        },
        Scenario { stimulus: Stimulus::Ptimer, ..named("ptimer-spin", "one-shot physical timer, vCPU spinning") },
        Scenario {
            stimulus: Stimulus::Ptimer,
            ..sleeping("ptimer-wfi", "one-shot physical timer, vCPU asleep in WFI")
        },
        Scenario {
            interrupts: 100,
            ..periodic("periodic-100hz", "periodic virtual timer at 100 Hz, in WFI", 10_000, Wait::Wfi)
        },
        periodic("periodic-1khz", "periodic virtual timer at 1 kHz, in WFI", 1_000, Wait::Wfi),
        periodic("periodic-10khz", "periodic virtual timer at 10 kHz, spinning", 100, Wait::Spin),
        periodic("periodic-40khz", "periodic virtual timer at 40 kHz, spinning", 25, Wait::Spin),
        periodic("periodic-50khz", "periodic virtual timer at 50 kHz, spinning", 20, Wait::Spin),
        periodic("periodic-100khz", "periodic virtual timer at 100 kHz, spinning", 10, Wait::Spin),
        periodic("periodic-200khz", "periodic virtual timer at 200 kHz, spinning", 5, Wait::Spin),
        periodic("periodic-saturated", "periodic virtual timer at 1 MHz: as fast as the path allows", 1, Wait::Spin),
        operation("hvc", "PSCI_VERSION by HVC: to the kernel and back", Stimulus::Hvc),
        operation("mmio-read", "MMIO read answered by userspace", Stimulus::MmioRead),
        operation("mmio-write", "MMIO write to userspace", Stimulus::MmioWrite),
        operation("gic-read", "read of GICD_CTLR", Stimulus::GicRead),
        operation(
            "gic-write",
            "write to GICD_ISENABLER0, or GICR_ISENABLER0, that changes nothing",
            Stimulus::GicWrite,
        ),
        operation("sgi-self", "SGI of a vCPU to itself", Stimulus::Sgi),
        Scenario {
            vcpus: 2,
            wait: Wait::Wfi,
            ..operation("sgi-other", "SGI to another vCPU, asleep in WFI", Stimulus::SgiOther)
        },
        Scenario {
            vcpus: 2,
            ..operation("sgi-other-spin", "SGI to another vCPU, spinning on a host CPU of its own", Stimulus::SgiOther)
        },
        Scenario { vcpus: 2, ..sleeping("vtimer-wfi-2cpu", "two vCPUs, each with its virtual timer, in WFI") },
        Scenario {
            vcpus: 4,
            interrupts: 500,
            ..sleeping("vtimer-wfi-4cpu", "four vCPUs, each with its virtual timer, in WFI")
        },
        Scenario {
            vcpus: 8,
            interrupts: 250,
            ..sleeping("vtimer-wfi-8cpu", "eight vCPUs, each with its virtual timer, in WFI")
        },
        Scenario {
            beside: Beside::Hog,
            interrupts: 100,
            warm_up: 20,
            ..sleeping("vtimer-wfi-hog", "vCPU in WFI beside a host thread that never sleeps")
        },
        Scenario {
            beside: Beside::Neighbour,
            interrupts: 200,
            ..sleeping("vtimer-wfi-neighbour", "vCPU in WFI beside a VM with an in-kernel GIC")
        },
    ]
});
