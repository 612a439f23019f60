//! Accesses to addresses where this machine has nothing: answered (reads are zero, writes are ignored), and counted.

use std::fmt::{Display, Formatter, Result};

use vtick_core::exit::Exit;
use vtick_core::figures::thousands;

/// How many addresses are told apart.
const ADDRESSES: usize = 8;

/// The accesses to nothing of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nowhere {
    seen: Vec<Seen>,
    /// Accesses to addresses beyond those that are told apart.
    others: u64,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    address: u64,
    /// The first access.
    first: Exit,
    vcpu: usize,
    pc: u64,
    count: u64,
}

impl Nowhere {
    /// Notes an access of `vcpu` at `pc`. Whether it is the first to its address, and so to be shown.
    pub fn note(&mut self, vcpu: usize, pc: u64, access: Exit) -> bool {
        let Some(address) = access.address() else { return false };
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.address == address) {
            seen.count += 1;
            false
        } else if self.seen.len() < ADDRESSES {
            self.seen.push(Seen { address, first: access, vcpu, pc, count: 1 });
            true
        } else {
            self.others += 1;
            false
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.seen.iter().map(|seen| seen.count).sum::<u64>() + self.others
    }
}

impl Display for Nowhere {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let count = self.count();
        if count == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "{} {} at addresses where this machine has nothing",
            thousands(count),
            if count == 1 { "access" } else { "accesses" }
        )?;
        for seen in &self.seen {
            writeln!(
                f,
                "  {:>12} at {:#x}, first by vCPU {} at PC {:#x}: {}",
                thousands(seen.count),
                seen.address,
                seen.vcpu,
                seen.pc,
                seen.first
            )?;
        }
        if self.others > 0 {
            writeln!(f, "  {:>12} at other addresses", thousands(self.others))?;
        }
        Ok(())
    }
}

/// What a guest did at an address where there is nothing, as the first half of a sentence.
pub(super) fn told(access: Exit) -> String {
    match access {
        Exit::MmioWrite { address, len, value } => {
            format!("the guest writes {value:#x}, {}, at {address:#x}, where this machine has nothing", bytes(len))
        }
        Exit::MmioRead { address, len } => {
            format!("the guest reads {} at {address:#x}, where this machine has nothing", bytes(len))
        }
        other => other.to_string(),
    }
}

fn bytes(len: u8) -> String {
    if len == 1 { "1 byte".to_owned() } else { format!("{len} bytes") }
}

/// The line that says of the first access to an address what became of it.
pub fn notice(vcpu: usize, pc: u64, access: Exit) -> String {
    let became = if matches!(access, Exit::MmioWrite { .. }) { "it is ignored" } else { "it reads zero" };
    format!("vtick: vCPU {vcpu} at PC {pc:#x}: {}; {became} (--strict ends the run there)", told(access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_access_to_an_address_is_shown_and_all_are_counted() {
        let mut nowhere = Nowhere::default();
        let read = |address| Exit::MmioRead { address, len: 4 };
        assert!(nowhere.note(0, 0x4008_0000, read(0x903_0000)));
        assert!(!nowhere.note(1, 0x4008_0010, read(0x903_0000)));
        assert!(nowhere.note(1, 0x4008_0020, Exit::MmioWrite { address: 0x903_0004, len: 1, value: 7 }));
        assert_eq!(nowhere.count(), 3);
        let text = nowhere.to_string();
        for due in [
            "3 accesses at addresses where this machine has nothing\n",
            "             2 at 0x9030000, first by vCPU 0 at PC 0x40080000: MMIO read 4 at 0x9030000\n",
            "             1 at 0x9030004, first by vCPU 1 at PC 0x40080020: MMIO write 1 at 0x9030004 = 0x7\n",
        ] {
            assert!(text.contains(due), "{due:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_guest_that_reads_all_over_the_place_fills_no_memory() {
        let mut nowhere = Nowhere::default();
        let shown = (0..1000).filter(|n| nowhere.note(0, 0, Exit::MmioRead { address: n * 8, len: 8 })).count();
        assert_eq!((shown, nowhere.seen.len(), nowhere.count()), (ADDRESSES, ADDRESSES, 1000));
        assert!(nowhere.to_string().contains("992 at other addresses"), "{nowhere}");
        assert_eq!(Nowhere::default().to_string(), "");
    }

    #[test]
    fn a_notice_says_who_where_and_what_became_of_it() {
        let line = notice(1, 0x4008_0000, Exit::MmioRead { address: 0xdead_0000, len: 1 });
        assert_eq!(
            line,
            "vtick: vCPU 1 at PC 0x40080000: the guest reads 1 byte at 0xdead0000, where this machine has nothing; \
             it reads zero (--strict ends the run there)"
        );
    }
}
