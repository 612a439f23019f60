//! What userspace spends on an access of the guest to the GIC: from the return of KVM_RUN, parsed, to its next entry.

use vtick_abi::layout::{GICC_BASE, GICD_BASE};
use vtick_contract::{Program, Step, Value};
use vtick_core::controller::Access;

/// A register whose accesses are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "registers by their names")]
pub enum Register {
    Iar,
    Eoir,
    Dir,
    Isenabler,
    Sgir,
}

impl Register {
    /// All of them.
    pub const ALL: [Register; 5] = [Register::Iar, Register::Eoir, Register::Dir, Register::Isenabler, Register::Sgir];

    /// Its name, and what is done to it.
    pub fn name(self) -> &'static str {
        match self {
            Register::Iar => "GICC_IAR, read",
            Register::Eoir => "GICC_EOIR, written",
            Register::Dir => "GICC_DIR, written",
            Register::Isenabler => "GICD_ISENABLER, written",
            Register::Sgir => "GICD_SGIR, written",
        }
    }

    /// Its guest physical address. Of GICD_ISENABLER, that of INTIDs 32 to 63.
    fn address(self) -> u64 {
        match self {
            Register::Iar => GICC_BASE + 0x0c,
            Register::Eoir => GICC_BASE + 0x10,
            Register::Dir => GICC_BASE + 0x1000,
            Register::Isenabler => GICD_BASE + 0x104,
            Register::Sgir => GICD_BASE + 0xf00,
        }
    }

    /// The register that an access is to, if it is counted.
    pub fn of(access: &Access) -> Option<Register> {
        Register::ALL.into_iter().find(|register| register.address() == access.address())
    }
}

/// The most instructions that an access may take.
pub const BOUND: u64 = 400;

/// Times round the loop of [`program`].
const TURNS: u64 = 500;

/// Counter ticks of each access, KVM_IRQ_LINE apart. Room is made at the start: noting one allocates nothing.
#[derive(Clone, Debug)]
pub struct AccessCosts([Vec<u64>; Register::ALL.len()]);

impl Default for AccessCosts {
    fn default() -> AccessCosts {
        AccessCosts(std::array::from_fn(|_| Vec::with_capacity(TURNS as usize)))
    }
}

/// A register's accesses: how many, and counter ticks of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessCost {
    /// The register.
    pub register: Register,
    /// How many accesses.
    pub count: usize,
    /// The cheapest.
    pub min: u64,
    /// The median.
    pub p50: u64,
    /// The 99th percentile: dearer ones met an interrupt of the host.
    pub p99: u64,
}

impl AccessCosts {
    /// Notes an access.
    #[inline(always)]
    pub fn note(&mut self, register: Register, ticks: u64) {
        let costs = &mut self.0[register as usize];
        if costs.len() < costs.capacity() {
            costs.push(ticks);
        }
    }

    /// The registers that were accessed.
    pub fn summary(&self) -> Vec<AccessCost> {
        let accessed = Register::ALL.into_iter().zip(&self.0).filter(|(_, costs)| !costs.is_empty());
        accessed
            .map(|(register, costs)| {
                let mut sorted = costs.clone();
                sorted.sort_unstable();
                let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
                AccessCost { register, count: sorted.len(), min: sorted[0], p50: at(50), p99: at(99) }
            })
            .collect()
    }
}

/// The guest's program: an SGI to itself, acknowledged, ended and deactivated with EOImode 1, and an SPI disabled and
/// enabled; over and over, with interrupts masked.
pub fn program(cntfrq: u64) -> Program {
    const SGI: u64 = 1;
    const TO_SELF: u64 = 0b10 << 24;
    const EOI_MODE_1: u64 = 1 << 9;
    const ICENABLER: u64 = GICD_BASE + 0x184;
    let mut p = Program::new(cntfrq);
    for (address, value) in [(GICD_BASE, 1), (GICC_BASE + 4, 0xff), (GICC_BASE, EOI_MODE_1 | 1)] {
        p.store(4, address, value);
    }
    let turns = p.note(TURNS);
    p.into_register(turns, 0);
    let first: Step = p.store(4, Register::Sgir.address(), TO_SELF | SGI);
    let iar = p.load(4, Register::Iar.address());
    p.into_register(iar, 1);
    p.store(4, Register::Eoir.address(), Value::Register(1, 0));
    p.store(4, Register::Dir.address(), Value::Register(1, 0));
    p.store(4, ICENABLER, 1 << 8);
    p.store(4, Register::Isenabler.address(), 1 << 8);
    p.loop_to(0, first);
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_dear_access() {
        let mut costs = AccessCosts::default();
        (0..200).for_each(|n| costs.note(Register::Dir, if n == 7 { 9000 } else { 120 }));
        let due = AccessCost { register: Register::Dir, count: 200, min: 120, p50: 120, p99: 120 };
        assert_eq!(costs.summary(), [due]);
    }

    #[test]
    fn the_program_accesses_each_register_that_is_counted() {
        let (_, ops) = program(1_000_000_000).encode();
        for register in Register::ALL {
            assert!(ops.iter().any(|op| op.extra == register.address()), "{register:?}");
        }
        assert!(ops.len() as u64 * TURNS < vtick_abi::litmus::MAX_RECORDS as u64, "its records fit");
    }

    #[test]
    fn a_register_is_known_by_the_address_of_an_access() {
        let access = |address| Access::at(address, 4, None).unwrap();
        assert_eq!(Register::of(&access(GICC_BASE + 0x1000)), Some(Register::Dir));
        assert_eq!(Register::of(&access(GICD_BASE)), None);
    }
}
