//! A GICv2 as a pure state machine: register accesses and input levels in, CPU line levels out.
//!
//! No KVM, clock, lock, thread, I/O or allocation. The specification is `[GICv2]`, Arm IHI 0048B.b, *Generic Interrupt
//! Controller Architecture Specification, version 2.0*; `[GICv2/4.3.11]` is its section 4.3.11. Where the
//! specification leaves a choice (IMPLEMENTATION DEFINED) or a hole (UNPREDICTABLE), the answer given here is stated
//! where it is taken, with the word "choice". The large ones:
//!
//! * **No Security Extensions, with interrupt grouping**: what KVM's in-kernel vGICv2 shows its guests. Every access is
//!   treated as the specification treats a Secure access; GICC_CTLR has the unbanked layout with one EOImode;
//!   GICD_NSACR is RAZ/WI and GICD_SGIR.NSATT is ignored. At reset all interrupts are in Group 0 and, FIQEn being 0,
//!   Group 0 raises IRQ: Linux, which knows of no groups here, works as it stands.
//! * **32 priority levels** (bits \[7:3\]), as in GIC-400 and KVM's vGIC. So the least binary point is 2, there are 32
//!   preemption levels, and one word each of GICC_APR and GICC_NSAPR holds them.
//! * **SGIs are always enabled** (their enable bits are RAO/WI) and **PPIs are always level-sensitive** (their
//!   GICD_ICFGR is read-only), as in GIC-400.
//! * **No legacy interrupt inputs**: the bypass bits of GICC_CTLR hold what is written, and a bypassed input is low.
//! * **GICD_ITARGETSR with one CPU** keeps bit 0, as KVM's vGIC does and kvm-unit-tests requires, where
//!   `[GICv2/4.3.12]` has it RAZ/WI; but, as the specification says, every SPI then goes to the one CPU whatever it holds.
//! * **Accesses that the specification does not allow** (width, alignment, reserved space, an interrupt or a CPU that
//!   does not exist) read as zero and write nothing.
//!
//! # Map of the source
//!
//! * `interrupt`: the state of one interrupt, and the one predicate for "pending".
//! * `forwarding`: which interrupts the Distributor offers each CPU, the highest of them, and the level of the lines.
//! * `registers`: the two tables of registers, and the decoder.
//! * `distributor`, `cpu_interface`: what the registers' rows do.
//! * `priority`: priority bits, binary point, active priorities.
//! * `state`: the whole state as plain data; saving it and checking it before it is restored.
//!
//! **Invariant**: [`State`] is all there is. What [`Gic`] holds besides it is derived from it (`forwarding`), and
//! [`Gic::check_invariants`] derives it again the slow way and compares.

#![no_std]
#![forbid(unsafe_code)]

mod cpu_interface;
mod distributor;
mod forwarding;
mod interrupt;
mod invariants;
mod priority;
mod registers;
mod state;

pub use cpu_interface::CpuInterface;
pub use distributor::Distributor;
pub use interrupt::{Group, Interrupt, Trigger};
pub use invariants::Violation;
pub use registers::register_name;
pub use state::{State, StateError};

use forwarding::Forwarding;

/// CPU interfaces at most.
pub const MAX_CPUS: usize = 8;
/// SPIs at most: INTIDs 32 to 1019 `[GICv2/2.2.1]`.
pub const MAX_SPIS: usize = MAX_INTERRUPTS - PRIVATE;
/// Interrupts at most: INTIDs 1020 to 1023 are special `[GICv2/2.2.1]`.
pub const MAX_INTERRUPTS: usize = 1020;

/// The first PPI: below it are the SGIs.
pub(crate) const SGIS: usize = 16;
/// The first SPI: below it are the interrupts that each CPU has for itself.
pub(crate) const PRIVATE: usize = 32;

/// Levels of the two lines that one CPU interface drives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lines {
    /// The IRQ line is asserted.
    pub irq: bool,
    /// The FIQ line is asserted.
    pub fiq: bool,
}

/// Why [`Gic::new`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Not 1 to [`MAX_CPUS`] CPUs.
    Cpus(usize),
    /// More than [`MAX_SPIS`] SPIs.
    Spis(usize),
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ConfigError::Cpus(n) => write!(f, "a GICv2 has 1 to {MAX_CPUS} CPU interfaces, not {n}"),
            ConfigError::Spis(n) => write!(f, "a GICv2 has at most {MAX_SPIS} SPIs, not {n}"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// A GICv2: one Distributor and one CPU interface for each CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gic {
    state: State,
    /// Derived from `state`, one for each CPU.
    forwarding: [Forwarding; MAX_CPUS],
    /// Derived from `state`: the CPUs that each SPI is forwarded to, from INTID 32.
    forwarded_to: [u8; MAX_SPIS],
    /// CPUs whose `forwarding` is to be settled before the current call returns.
    stale: u8,
    /// CPUs whose lines have moved since [`Gic::take_changed`] was last called.
    changed: u8,
}

impl Gic {
    /// A GIC as it is after reset, with `cpus` CPU interfaces (1 to 8) and at least `spis` SPIs (0 to 988).
    ///
    /// GICD_TYPER can only count interrupts in steps of 32, so `spis` is rounded up to the next multiple of 32, or to 988.
    pub fn new(cpus: usize, spis: usize) -> Result<Gic, ConfigError> {
        if !(1..=MAX_CPUS).contains(&cpus) {
            return Err(ConfigError::Cpus(cpus));
        }
        if spis > MAX_SPIS {
            return Err(ConfigError::Spis(spis));
        }
        let interrupts = (PRIVATE + spis.next_multiple_of(32)).min(MAX_INTERRUPTS);
        Ok(Gic::from_state(State::reset(cpus, interrupts)))
    }

    fn from_state(state: State) -> Gic {
        let (forwarding, forwarded_to) = ([Forwarding::EMPTY; MAX_CPUS], [0; MAX_SPIS]);
        let mut gic = Gic { state, forwarding, forwarded_to, stale: 0, changed: 0 };
        gic.forward_all();
        gic.settle();
        // Whoever drives the lines doesn't know the level of any of them yet.
        gic.changed = gic.cpu_mask();
        gic
    }

    /// The number of CPU interfaces.
    pub fn cpus(&self) -> usize {
        self.state.cpus
    }

    /// The number of INTIDs that exist, SGIs and PPIs included.
    pub fn interrupts(&self) -> usize {
        self.state.interrupts
    }

    /// Drives the input of a PPI (`intid` 16 to 31) of one CPU. An input that doesn't exist is ignored.
    pub fn set_ppi(&mut self, cpu: usize, intid: u32, level: bool) {
        let intid = intid as usize;
        if cpu < self.cpus()
            && (SGIS..PRIVATE).contains(&intid)
            && self.state.distributor.private[cpu][intid].set_level(level)
        {
            self.forward_private(cpu, intid);
            self.settle();
        }
    }

    /// Drives the input of an SPI (`intid` 32 and above). An input that doesn't exist is ignored.
    pub fn set_spi(&mut self, intid: u32, level: bool) {
        let intid = intid as usize;
        if (PRIVATE..self.interrupts()).contains(&intid)
            && self.state.distributor.shared[intid - PRIVATE].set_level(level)
        {
            self.forward_shared(intid);
            self.settle();
        }
    }

    /// What CPU `cpu` reads with `len` bytes at `offset` in the Distributor's frame.
    pub fn read_distributor(&mut self, cpu: usize, offset: u64, len: usize) -> u32 {
        registers::DISTRIBUTOR.read(self, cpu, offset, len)
    }

    /// CPU `cpu` writes the low `len` bytes of `value` at `offset` in the Distributor's frame.
    pub fn write_distributor(&mut self, cpu: usize, offset: u64, len: usize, value: u32) {
        registers::DISTRIBUTOR.write(self, cpu, offset, len, value);
    }

    /// What CPU `cpu` reads with `len` bytes at `offset` in the frame of its CPU interface. Reading GICC_IAR or GICC_AIAR
    /// acknowledges an interrupt.
    pub fn read_cpu_interface(&mut self, cpu: usize, offset: u64, len: usize) -> u32 {
        registers::CPU_INTERFACE.read(self, cpu, offset, len)
    }

    /// CPU `cpu` writes the low `len` bytes of `value` at `offset` in the frame of its CPU interface.
    pub fn write_cpu_interface(&mut self, cpu: usize, offset: u64, len: usize, value: u32) {
        registers::CPU_INTERFACE.write(self, cpu, offset, len, value);
    }

    /// The level of both lines of one CPU, now. Both are low for a CPU that doesn't exist.
    pub fn output(&self, cpu: usize) -> Lines {
        self.forwarding.get(cpu).map_or(Lines::default(), |forwarding| forwarding.lines)
    }

    /// The CPUs (bit n for CPU n) whose output has moved since the last call. After [`Gic::new`] and [`Gic::restore`],
    /// all of them.
    pub fn take_changed(&mut self) -> u8 {
        core::mem::take(&mut self.changed)
    }

    /// The whole state, input levels included.
    pub fn save(&self) -> State {
        self.state.clone()
    }

    /// A GIC in the state that [`Gic::save`] gave. A state that no GIC can be in is refused.
    pub fn restore(state: &State) -> Result<Gic, StateError> {
        state.check()?;
        Ok(Gic::from_state(state.clone()))
    }

    /// One bit for each CPU that exists.
    fn cpu_mask(&self) -> u8 {
        self.state.cpu_mask()
    }
}
