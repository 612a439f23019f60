//! The whole state as plain data.

use crate::cpu_interface::{self, CpuInterface};
use crate::distributor::{self, Distributor};
use crate::interrupt::{Interrupt, Trigger};
use crate::priority::{MIN_BINARY_POINT, PRIORITY_MASK};
use crate::{MAX_CPUS, MAX_INTERRUPTS, MAX_SPIS, PRIVATE, SGIS};

/// The whole state of a GIC: what [`Gic::save`](crate::Gic::save) gives and [`Gic::restore`](crate::Gic::restore) takes.
///
/// A `Gic` holds its state in this very structure, so nothing can be missing from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// [`State::VERSION`].
    pub version: u32,
    /// The number of CPU interfaces.
    pub cpus: usize,
    /// The number of INTIDs that exist.
    pub interrupts: usize,
    /// The Distributor.
    pub distributor: Distributor,
    /// The CPU interfaces.
    pub cpu_interfaces: [CpuInterface; MAX_CPUS],
}

/// Why a [`State`] is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The version isn't [`State::VERSION`].
    Version(u32),
    /// No GIC has this many CPUs or interrupts.
    Size {
        /// The number of CPUs.
        cpus: usize,
        /// The number of interrupts.
        interrupts: usize,
    },
    /// GICD_CTLR has bits that don't exist.
    Distributor,
    /// A register of this CPU's interface has a value that it can't have; or the CPU doesn't exist and isn't in its
    /// reset state.
    CpuInterface {
        /// The CPU.
        cpu: usize,
    },
    /// An interrupt is in a state that it can't be in; or it doesn't exist and isn't in its reset state.
    Interrupt {
        /// The CPU, for an SGI or PPI.
        cpu: usize,
        /// The interrupt.
        intid: usize,
    },
}

impl core::fmt::Display for StateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            StateError::Version(n) => write!(f, "version {n} of a GIC's state, where {} is known", State::VERSION),
            StateError::Size { cpus, interrupts } => write!(f, "no GICv2 has {cpus} CPUs and {interrupts} interrupts"),
            StateError::Distributor => write!(f, "GICD_CTLR cannot have this value"),
            StateError::CpuInterface { cpu } => write!(f, "the CPU interface of CPU {cpu} cannot be in this state"),
            StateError::Interrupt { cpu, intid } => write!(f, "interrupt {intid} of CPU {cpu} cannot be in this state"),
        }
    }
}

impl core::error::Error for StateError {}

impl State {
    /// The version of this structure, and of what its values mean.
    pub const VERSION: u32 = 1;

    pub(crate) fn reset(cpus: usize, interrupts: usize) -> State {
        let mut state = State {
            version: State::VERSION,
            cpus,
            interrupts,
            distributor: Distributor {
                ctlr: 0,
                private: [[Interrupt::default(); PRIVATE]; MAX_CPUS],
                shared: [Interrupt::default(); MAX_SPIS],
            },
            cpu_interfaces: [CpuInterface::RESET; MAX_CPUS],
        };
        for private in &mut state.distributor.private[..cpus] {
            for sgi in &mut private[..SGIS] {
                (sgi.enabled, sgi.trigger) = (true, Trigger::Edge);
            }
        }
        state
    }

    pub(crate) fn cpu_mask(&self) -> u8 {
        0xff >> (MAX_CPUS - self.cpus)
    }

    /// Whether a GIC can be in this state. This is what a GIC relies on, too, so whatever it does keeps it true.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        let State { version, cpus, interrupts, ref distributor, ref cpu_interfaces } = *self;
        if version != State::VERSION {
            return Err(StateError::Version(version));
        }
        let some_lines = (PRIVATE..MAX_INTERRUPTS).contains(&interrupts) && interrupts % 32 == 0;
        if !(1..=MAX_CPUS).contains(&cpus) || !(some_lines || interrupts == MAX_INTERRUPTS) {
            return Err(StateError::Size { cpus, interrupts });
        }
        if distributor.ctlr & !distributor::CTLR_BITS != 0 {
            return Err(StateError::Distributor);
        }
        for (cpu, cpu_interface) in cpu_interfaces.iter().enumerate() {
            let fits = if cpu < cpus { fits(cpu_interface) } else { *cpu_interface == CpuInterface::RESET };
            if !fits {
                return Err(StateError::CpuInterface { cpu });
            }
        }
        for (cpu, private) in distributor.private.iter().enumerate() {
            for (intid, interrupt) in private.iter().enumerate() {
                self.check_interrupt(cpu, intid, interrupt, cpu < cpus)?;
            }
        }
        for (n, interrupt) in distributor.shared.iter().enumerate() {
            self.check_interrupt(0, PRIVATE + n, interrupt, PRIVATE + n < interrupts)?;
        }
        Ok(())
    }

    fn check_interrupt(&self, cpu: usize, intid: usize, is: &Interrupt, exists: bool) -> Result<(), StateError> {
        let (is_sgi, is_spi) = (intid < SGIS, intid >= PRIVATE);
        let fits = if exists {
            is.priority & !PRIORITY_MASK == 0
                && (is_spi || is.targets == 0)
                && (is_spi || is.trigger == if is_sgi { Trigger::Edge } else { Trigger::Level })
                && (!is_sgi || (is.enabled && !is.pending_latch && !is.line_level))
                && (is_sgi || (is.sources == 0 && is.source == 0))
                && (is.active || is.source == 0)
                && (is.targets | is.sources) & !self.cpu_mask() == 0
                && usize::from(is.source) < self.cpus
        } else {
            *is == Interrupt::default()
        };
        if fits { Ok(()) } else { Err(StateError::Interrupt { cpu, intid }) }
    }
}

fn fits(cpu_interface: &CpuInterface) -> bool {
    let CpuInterface { ctlr, pmr, bpr, abpr, apr: _, nsapr: _ } = *cpu_interface;
    ctlr & !cpu_interface::CTLR_BITS == 0
        && pmr & !PRIORITY_MASK == 0
        && (MIN_BINARY_POINT..=7).contains(&bpr)
        && (MIN_BINARY_POINT..=7).contains(&abpr)
}
