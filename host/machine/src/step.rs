//! What a return of KVM_RUN means to the machine: one function, which needs no vCPU.

use super::Ledger;
use super::bus::{Bus, Moved};
use vtick_core::controller::{Access, Controller};
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Routing};

/// KVM_SYSTEM_EVENT_SHUTDOWN [KVM-API/5].
const SHUTDOWN: u32 = 1;
/// KVM_SYSTEM_EVENT_RESET.
const RESET: u32 = 2;
/// KVM_SYSTEM_EVENT_WAKEUP.
const WAKE: u32 = 4;
/// KVM_SYSTEM_EVENT_SUSPEND.
const SUSPEND: u32 = 5;

/// The interrupt controller and the devices.
pub struct Machine {
    /// From levels to lines.
    pub controller: Controller,
    /// Everything else.
    pub bus: Bus,
}

/// What one vCPU's thread keeps.
#[derive(Default)]
pub struct Books {
    /// The levels that the controller knows of.
    pub seen: Levels,
    /// What was done.
    pub ledger: Ledger,
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Into KVM_RUN again.
    Resume,
    /// The same, with the answer to an MMIO read.
    Answer(u64),
    /// KVM_RUN was interrupted and no level changed: somebody wants something of this thread.
    Interrupted,
    /// The guest switched the machine off.
    PowerOff,
    /// The guest wants to start again.
    Reset,
    /// The guest wants the whole system to sleep (PSCI SYSTEM_SUSPEND).
    Suspend,
    /// An interrupt has come for a vCPU that sleeps so.
    Wake,
    /// The guest accesses an address where this machine has nothing: reads are zero and writes are ignored, unless the
    /// run is to end here.
    Nowhere,
    /// The guest cannot go on; the exit says why.
    Broken,
}

impl Machine {
    /// A machine with so many vCPUs (1 to 8).
    pub fn new(vcpus: usize, bus: Bus) -> Machine {
        Machine { controller: Controller::new(vcpus, Routing::Gic), bus }
    }

    /// Takes in a return of KVM_RUN on `cpu`: its levels first, then what the guest did. What moved is still to be
    /// [`settled`](Controller::settle), before KVM_RUN.
    #[inline(always)]
    pub fn step(&self, cpu: usize, books: &mut Books, exit: Exit, levels: Levels) -> (Flow, Moved) {
        let access = Access::of(exit);
        let changed = levels != books.seen;
        let ledger = &mut books.ledger;
        ledger.coalesced += u64::from(changed && exit != Exit::Interrupted);
        let (answer, cpus) = self.controller.update(cpu, &mut books.seen, levels, access);
        if let Some(access) = access {
            let moved = Moved { cpus, output: None };
            if access.write().is_some() {
                ledger.gic_writes += 1;
                return (Flow::Resume, moved);
            }
            ledger.gic_reads += 1;
            if access.acknowledges() {
                ledger.acknowledge(answer);
            }
            return (Flow::Answer(answer), moved);
        }
        let (flow, moved) = match exit {
            Exit::Interrupted if changed => {
                ledger.level_exits += 1;
                (Flow::Resume, Moved::default())
            }
            Exit::Interrupted => {
                ledger.signals += 1;
                (Flow::Interrupted, Moved::default())
            }
            _ => self.device(ledger, exit),
        };
        (flow, Moved { cpus: moved.cpus | cpus, ..moved })
    }

    /// An exit that is not for the GIC.
    fn device(&self, ledger: &mut Ledger, exit: Exit) -> (Flow, Moved) {
        match exit {
            Exit::MmioRead { address, len } => {
                ledger.device_reads += 1;
                let Some((port, offset)) = self.bus.find(address, len) else {
                    return (Flow::Nowhere, Moved::default());
                };
                let mut data = [0; 8];
                let asked = &mut data[..usize::from(len)];
                let ((), moved) = port.with(&self.controller, |device| device.read(offset, asked));
                (Flow::Answer(u64::from_le_bytes(data)), moved)
            }
            Exit::MmioWrite { address, len, value } => {
                ledger.device_writes += 1;
                let Some((port, offset)) = self.bus.find(address, len) else {
                    return (Flow::Nowhere, Moved::default());
                };
                let data = value.to_le_bytes();
                let written = &data[..usize::from(len)];
                let ((), moved) = port.with(&self.controller, |device| device.write(offset, written));
                (Flow::Resume, moved)
            }
            other => {
                ledger.others += 1;
                let flow = match other {
                    Exit::SystemEvent { event: SHUTDOWN } => Flow::PowerOff,
                    Exit::SystemEvent { event: RESET } => Flow::Reset,
                    Exit::SystemEvent { event: SUSPEND } => Flow::Suspend,
                    Exit::SystemEvent { event: WAKE } => Flow::Wake,
                    _ => Flow::Broken,
                };
                (flow, Moved::default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vtick_abi::layout::{GICC_BASE, GICD_BASE};

    use super::*;
    use crate::time::manual::clock;
    use crate::{Pl011, Port, map};

    /// Room for what the guest prints.
    fn machine(vcpus: usize) -> (Machine, std::sync::mpsc::Receiver<u8>) {
        let (sender, printed) = std::sync::mpsc::channel();
        let mut bus = Bus::new(clock());
        bus.attach(map::UART, Port::new(map::UART, Pl011::new(clock(), move |byte| sender.send(byte).unwrap())));
        (Machine::new(vcpus, bus), printed)
    }

    fn write(address: u64, value: u64) -> Exit {
        Exit::MmioWrite { address, len: 4, value }
    }

    fn read(address: u64) -> Exit {
        Exit::MmioRead { address, len: 4 }
    }

    /// Enables Distributor, INTIDs 27 and 33 (to CPU 0) and the CPU interface.
    fn enable(machine: &Machine, books: &mut Books) {
        for exit in [
            write(GICD_BASE, 1),
            write(GICD_BASE + 0x100, 1 << 27),
            write(GICD_BASE + 0x104, 1 << 1),
            write(GICD_BASE + 0x820, 1 << 8),
            write(GICC_BASE + 4, 0xff),
            write(GICC_BASE, 1),
        ] {
            assert_eq!(machine.step(0, books, exit, Levels::NONE).0, Flow::Resume);
        }
    }

    #[test]
    fn a_timer_interrupt_is_taken_by_its_level_and_counted_where_it_is_acknowledged() {
        let (machine, _) = machine(1);
        let mut books = Books::default();
        enable(&machine, &mut books);
        let mut step = |exit, levels| machine.step(0, &mut books, exit, levels);
        assert_eq!(step(Exit::Interrupted, Levels::VTIMER), (Flow::Resume, Moved { cpus: 1, output: None }));
        assert_eq!(step(read(GICC_BASE + 0xc), Levels::VTIMER).0, Flow::Answer(27));
        assert_eq!(step(write(GICC_BASE + 0x10, 27), Levels::NONE).0, Flow::Resume);
        assert_eq!(step(read(GICC_BASE + 0xc), Levels::NONE).0, Flow::Answer(1023));
        let counted = &books.ledger;
        assert_eq!((counted.acknowledged(27), counted.interrupts(), counted.spurious), (1, 1, 1));
        assert_eq!((counted.level_exits, counted.coalesced, counted.gic_reads, counted.gic_writes), (1, 1, 2, 7));
        assert_eq!(counted.returns(), 10);
    }

    #[test]
    fn a_devices_interrupt_comes_with_the_access_that_raised_it() {
        let (machine, printed) = machine(2);
        let mut books = Books::default();
        enable(&machine, &mut books);
        let mut other = Books::default();
        // Unmask the UART's transmit interrupt on CPU 0, print on CPU 1.
        machine.step(0, &mut books, write(map::UART.base + 0x38, 1 << 5), Levels::NONE);
        let (flow, moved) = machine.step(1, &mut other, write(map::UART.base, b'!'.into()), Levels::NONE);
        assert_eq!((flow, moved), (Flow::Resume, Moved { cpus: 1, output: Some((33, true)) }));
        assert_eq!(printed.try_recv(), Ok(b'!'));
        assert_eq!(machine.step(0, &mut books, read(GICC_BASE + 0xc), Levels::NONE).0, Flow::Answer(33));
        assert_eq!((other.ledger.device_writes, books.ledger.acknowledged(33)), (1, 1));
    }

    #[test]
    fn a_level_that_comes_with_a_devices_access_is_not_lost() {
        let (machine, _) = machine(1);
        let mut books = Books::default();
        enable(&machine, &mut books);
        let (flow, moved) = machine.step(0, &mut books, read(map::UART.base + 0x18), Levels::VTIMER);
        assert_eq!((flow, moved.cpus), (Flow::Answer(0x90), 1));
        assert_eq!((books.ledger.coalesced, books.ledger.device_reads), (1, 1));
    }

    #[test]
    fn every_exit_has_a_flow_and_what_is_nobodys_goes_nowhere() {
        let (machine, _) = machine(1);
        for (exit, due) in [
            (Exit::Interrupted, Flow::Interrupted),
            (Exit::SystemEvent { event: 1 }, Flow::PowerOff),
            (Exit::SystemEvent { event: 2 }, Flow::Reset),
            (Exit::SystemEvent { event: 3 }, Flow::Broken),
            (Exit::SystemEvent { event: 4 }, Flow::Wake),
            (Exit::SystemEvent { event: 5 }, Flow::Suspend),
            (Exit::NoSyndrome, Flow::Broken),
            (Exit::InternalError, Flow::Broken),
            (Exit::Failed { errno: 14 }, Flow::Broken),
            (read(0xdead_0000), Flow::Nowhere),
            (write(0xdead_0000, 1), Flow::Nowhere),
            (Exit::MmioRead { address: map::UART.base + 0xfff, len: 8 }, Flow::Nowhere),
        ] {
            assert_eq!(machine.step(0, &mut Books::default(), exit, Levels::NONE).0, due, "{exit}");
        }
    }
}
