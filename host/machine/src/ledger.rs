//! What the runner did for its guest, counted.

use std::collections::BTreeSet;
use std::fmt::{Display, Formatter, Result};

use super::Nowhere;
use vtick_core::figures::{plural, thousands};

/// INTIDs from here on name no interrupt `[GICv2/2.2.1]`.
const SPECIAL: usize = 1020;

/// The books of one vCPU's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Interrupts that the vCPU acknowledged, by INTID.
    acknowledged: Vec<u64>,
    /// Reads of GICC_IAR that found nothing: a Linux guest reads on until one does.
    pub spurious: u64,
    /// Returns of KVM_RUN with EINTR that carried a changed level.
    pub level_exits: u64,
    /// Returns of KVM_RUN with EINTR and no changed level: signals, of the watchdog.
    pub signals: u64,
    /// Reads of the GIC.
    pub gic_reads: u64,
    /// Writes to the GIC.
    pub gic_writes: u64,
    /// Reads of other devices.
    pub device_reads: u64,
    /// Writes to other devices.
    pub device_writes: u64,
    /// Any other return of KVM_RUN.
    pub others: u64,
    /// Level changes, up or down, that came with a return for another reason.
    pub coalesced: u64,
    /// KVM_IRQ_LINE calls.
    pub lines: u64,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger {
            acknowledged: vec![0; SPECIAL],
            spurious: 0,
            level_exits: 0,
            signals: 0,
            gic_reads: 0,
            gic_writes: 0,
            device_reads: 0,
            device_writes: 0,
            others: 0,
            coalesced: 0,
            lines: 0,
        }
    }
}

impl Ledger {
    /// Notes what a read of GICC_IAR returned.
    #[inline]
    pub fn acknowledge(&mut self, iar: u64) {
        match self.acknowledged.get_mut(iar as usize & 0x3ff) {
            Some(count) => *count += 1,
            None => self.spurious += 1,
        }
    }

    /// How often an interrupt was acknowledged.
    pub fn acknowledged(&self, intid: usize) -> u64 {
        self.acknowledged.get(intid).copied().unwrap_or(0)
    }

    /// Interrupts acknowledged, of all INTIDs.
    pub fn interrupts(&self) -> u64 {
        self.acknowledged.iter().sum()
    }

    /// Returns of KVM_RUN.
    pub fn returns(&self) -> u64 {
        self.level_exits
            + self.signals
            + self.gic_reads
            + self.gic_writes
            + self.device_reads
            + self.device_writes
            + self.others
    }
}

/// The books of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// One for each vCPU.
    pub vcpus: Vec<Ledger>,
    /// KVM_IRQ_LINE calls of threads that are no vCPU's: what was typed.
    pub other_lines: u64,
    /// How often the guest was started again.
    pub restarts: u64,
    /// Accesses to addresses where there is nothing.
    pub nowhere: Nowhere,
    /// Ticks of the counter from the creation of the VM to the first KVM_RUN.
    pub to_start: u64,
    /// Ticks from the creation of the VM to the end of the line in which the guest first printed what was to be marked.
    pub to_mark: Option<u64>,
    /// Ticks from the creation of the VM to its end.
    pub to_end: u64,
    /// Ticks per second, where the counter counts time.
    pub frequency: Option<u64>,
}

impl Account {
    fn sum(&self, of: impl Fn(&Ledger) -> u64) -> u64 {
        self.vcpus.iter().map(of).sum()
    }

    fn ticks(&self, ticks: u64) -> String {
        match self.frequency {
            Some(frequency) => format!("{:.6} s", ticks as f64 / frequency as f64),
            None => format!("{} instructions", thousands(ticks)),
        }
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "from the creation of the VM")?;
        writeln!(f, "  to its first instruction  {:>30}", self.ticks(self.to_start))?;
        if let Some(mark) = self.to_mark {
            writeln!(f, "  to the mark               {:>30}", self.ticks(mark))?;
        }
        writeln!(f, "  to its end                {:>30}", self.ticks(self.to_end))?;

        if self.restarts > 0 {
            writeln!(f, "  started again             {:>30}", format!("{} times", thousands(self.restarts)))?;
        }

        write!(f, "interrupts acknowledged     ")?;
        (0..self.vcpus.len()).try_for_each(|vcpu| write!(f, "{:>12}", format!("vCPU {vcpu}")))?;
        writeln!(f)?;
        let seen: BTreeSet<usize> =
            self.vcpus.iter().flat_map(|ledger| (0..SPECIAL).filter(|&id| ledger.acknowledged(id) != 0)).collect();
        for intid in seen {
            write!(f, "  {:<26}", format!("{intid} ({})", name(intid)))?;
            self.vcpus.iter().try_for_each(|ledger| write!(f, "{:>12}", thousands(ledger.acknowledged(intid))))?;
            writeln!(f)?;
        }
        let rows: [Row; 9] = [
            ("KVM_RUN returned", Ledger::returns),
            ("  for a level", |ledger| ledger.level_exits),
            ("  for a signal", |ledger| ledger.signals),
            ("  for a read of the GIC", |ledger| ledger.gic_reads),
            ("  for a write to the GIC", |ledger| ledger.gic_writes),
            ("  for a read of a device", |ledger| ledger.device_reads),
            ("  for a write to a device", |ledger| ledger.device_writes),
            ("  for another reason", |ledger| ledger.others),
            ("KVM_IRQ_LINE called", |ledger| ledger.lines),
        ];
        for (what, of) in rows {
            write!(f, "{what:<28}")?;
            self.vcpus.iter().try_for_each(|ledger| write!(f, "{:>12}", thousands(of(ledger))))?;
            writeln!(f)?;
        }
        write!(f, "{}", self.nowhere)?;
        let interrupts = self.sum(Ledger::interrupts);
        let lines = self.sum(|ledger| ledger.lines) + self.other_lines;
        writeln!(
            f,
            "in all {}; reads of GICC_IAR without an interrupt: {}; KVM_RUN: {}; KVM_IRQ_LINE: {}; level changes that \
             another exit carried: {}",
            plural(&thousands(interrupts), "interrupt"),
            thousands(self.sum(|ledger| ledger.spurious)),
            thousands(self.sum(Ledger::returns)),
            thousands(lines),
            thousands(self.sum(|ledger| ledger.coalesced)),
        )?;
        if interrupts > 0 {
            write!(f, "per interrupt {:.2} KVM_IRQ_LINE", lines as f64 / interrupts as f64)?;
            match self.frequency {
                Some(frequency) if self.to_end > 0 => {
                    writeln!(
                        f,
                        "; {:.1} interrupts a second",
                        interrupts as f64 * frequency as f64 / self.to_end as f64
                    )
                }
                _ => writeln!(f, ", {} instructions of the whole run", thousands(self.to_end / interrupts)),
            }?;
        }
        Ok(())
    }
}

/// A line of the table: what is counted, and where it stands.
type Row = (&'static str, fn(&Ledger) -> u64);

/// What an INTID is on this machine.
fn name(intid: usize) -> String {
    match intid {
        0..16 => "SGI".to_owned(),
        23 => "PMU".to_owned(),
        27 => "virtual timer".to_owned(),
        30 => "physical timer".to_owned(),
        33 => "UART".to_owned(),
        34 => "RTC".to_owned(),
        48..80 => format!("virtio {}", intid - 48),
        _ => "unassigned".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_counted_by_intid_whoever_sent_it_and_nothing_is_spurious() {
        let mut ledger = Ledger::default();
        [27, 27, 3 | 1 << 10, 3 | 2 << 10, 1023, 33].iter().for_each(|&iar| ledger.acknowledge(iar));
        assert_eq!([27, 3, 33, 30].map(|intid| ledger.acknowledged(intid)), [2, 2, 1, 0]);
        assert_eq!((ledger.interrupts(), ledger.spurious), (5, 1));
    }

    #[test]
    fn an_account_shows_each_interrupt_of_each_vcpu() {
        let mut first = Ledger { level_exits: 2, gic_reads: 1234, lines: 4, ..Ledger::default() };
        first.acknowledge(27);
        first.acknowledge(33);
        let mut second = Ledger::default();
        second.acknowledge(27);
        let account = Account {
            vcpus: vec![first, second],
            other_lines: 2,
            to_end: 3_000_000,
            to_mark: Some(2),
            ..Account::default()
        };
        let text = account.to_string();
        for due in [
            "  to its end                        3,000,000 instructions\n",
            "  27 (virtual timer)                   1           1\n",
            "  33 (UART)                            1           0\n",
            "KVM_RUN returned                   1,236           0\n",
            "in all 3 interrupts; reads of GICC_IAR without an interrupt: 0; KVM_RUN: 1,236; KVM_IRQ_LINE: 6;",
            "per interrupt 2.00 KVM_IRQ_LINE, 1,000,000 instructions of the whole run\n",
        ] {
            assert!(text.contains(due), "{due:?} is not in\n{text}");
        }
        let timed = Account { frequency: Some(1_000_000), ..account };
        assert!(timed.to_string().contains("3.000000 s"), "{timed}");
        assert!(timed.to_string().contains("1.0 interrupts a second"), "{timed}");
    }
}
