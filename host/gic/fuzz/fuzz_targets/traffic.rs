//! Arbitrary traffic: whatever a guest and its host do to a GIC, it doesn't panic, its invariants hold, and what can be
//! seen of it from outside is consistent.
//!
//! In `host/gic`: `cargo +nightly fuzz run traffic -- -len_control=0 -max_len=4096`. Long inputs do the most: a first seed
//! of random bytes (`mkdir -p fuzz/corpus/traffic; head -c 3076 /dev/urandom > fuzz/corpus/traffic/seed`) saves the fuzzer
//! the time to grow one.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use vtick_gic::{Gic, Group, Lines, State, Trigger};

const GICD_IGROUPR: u64 = 0x080;
const GICD_ISENABLER: u64 = 0x100;
const GICD_ISACTIVER: u64 = 0x300;
const GICD_IPRIORITYR: u64 = 0x400;
const GICD_ITARGETSR: u64 = 0x800;
const GICD_SGIR: u64 = 0xf00;
const GICC_CTLR: u64 = 0x00;
const GICC_PMR: u64 = 0x04;
const GICC_IAR: u64 = 0x0c;
const GICC_EOIR: u64 = 0x10;
const GICC_RPR: u64 = 0x14;
const GICC_AIAR: u64 = 0x20;
const GICC_AEOIR: u64 = 0x24;
const GICC_APR: u64 = 0xd0;
const GICC_NSAPR: u64 = 0xe0;
const GICC_DIR: u64 = 0x1000;
const EOI_MODE: u32 = 1 << 9;

#[derive(Debug)]
struct Input {
    cpus: u8,
    spis: u16,
    /// Enables everything first, at all priorities, so that the traffic needn't find out how to.
    boot: bool,
    /// The guest is well-behaved: it ends what it has acknowledged, and writes nothing but priorities, targets and SGIs.
    well_behaved: bool,
    traffic: Vec<Event>,
}

/// Each event has so many bytes of the input to itself, so that a mutation of one leaves the others as they are, and so
/// that a long input is many events. (The derived form stops at the first of many coin tosses.)
const EVENT_BYTES: usize = 12;

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (cpus, spis, boot) = bytes.arbitrary::<(u8, u16, u8)>()?;
        let mut traffic = vec![];
        while bytes.len() >= EVENT_BYTES {
            traffic.push(Event::arbitrary(&mut Unstructured::new(bytes.bytes(EVENT_BYTES)?))?);
        }
        Ok(Input { cpus, spis, boot: boot % 8 != 0, well_behaved: boot & 0x80 != 0, traffic })
    }
}

#[derive(Arbitrary, Debug)]
enum Event {
    Ppi {
        cpu: u8,
        intid: u8,
        level: bool,
    },
    Spi {
        intid: u16,
        level: bool,
    },
    ReadDistributor {
        cpu: u8,
        offset: u16,
        len: u8,
    },
    WriteDistributor {
        cpu: u8,
        offset: u16,
        len: u8,
        value: u32,
    },
    WriteDistributorWord {
        cpu: u8,
        word: u8,
        register: u8,
        value: u32,
    },
    ReadCpuInterface {
        cpu: u8,
        word: u8,
    },
    WriteCpuInterface {
        cpu: u8,
        word: u8,
        value: u32,
    },
    /// A byte of GICD_IPRIORITYR or GICD_ITARGETSR.
    Byte {
        cpu: u8,
        intid: u16,
        targets: bool,
        value: u8,
    },
    Sgi {
        cpu: u8,
        targets: u8,
        intid: u8,
    },
    /// Any offset, width and CPU, sign-extended.
    Anywhere {
        cpu: i8,
        offset: i32,
        len: i8,
    },
    Acknowledge {
        cpu: u8,
        aliased: bool,
    },
    /// Ends what this CPU acknowledged last, as a well-behaved guest does.
    End {
        cpu: u8,
    },
    Deactivate {
        cpu: u8,
        value: u32,
    },
    Restore,
    /// The state is damaged and, if that makes one that a GIC can be in, restored.
    Damage {
        cpu: u8,
        intid: u16,
        field: u8,
        value: u32,
    },
}

impl Event {
    fn is_well_behaved(&self) -> bool {
        matches!(
            self,
            Event::Ppi { .. }
                | Event::Spi { .. }
                | Event::ReadDistributor { .. }
                | Event::Byte { .. }
                | Event::Sgi { .. }
                | Event::Acknowledge { .. }
                | Event::End { .. }
                | Event::Restore
        )
    }
}

/// An active priority that this CPU has acknowledged and not yet ended.
#[derive(Clone, Copy)]
struct Running {
    iar: u32,
    group: Group,
}

struct Fuzzed {
    gic: Gic,
    running: Vec<Vec<Running>>,
    /// All ends so far were those of well-behaved guests, and nobody wrote what is active or in which group.
    is_clean: bool,
}

/// GICC_APR and GICC_NSAPR of each CPU.
type ActivePriorities = Vec<[u32; 2]>;

fn active_priorities(state: &State) -> ActivePriorities {
    state.cpu_interfaces[..state.cpus].iter().map(|cpu| [cpu.apr.0, cpu.nsapr.0]).collect()
}

fn active_interrupts(state: &State) -> usize {
    let private = state.distributor.private[..state.cpus].iter().flatten();
    private.chain(&state.distributor.shared).filter(|interrupt| interrupt.active).count()
}

fn without_highest(bits: u32) -> u32 {
    bits & bits.wrapping_sub(1)
}

impl Fuzzed {
    fn take(&mut self, event: &Event) {
        let cpus = self.gic.cpus();
        match *event {
            Event::Ppi { cpu, intid, level } => {
                self.gic.set_ppi(cpu as usize % (cpus + 1), u32::from(intid) % 34, level)
            }
            Event::Spi { intid, level } => self.gic.set_spi(self.near(intid), level),
            Event::ReadDistributor { cpu, offset, len } => {
                self.read_d(cpu.into(), u64::from(offset) % 0x1008, len as usize % 9);
            }
            Event::WriteDistributor { cpu, offset, len, value } => {
                self.write_d(cpu.into(), u64::from(offset) % 0x1008, len as usize % 9, value);
            }
            Event::WriteDistributorWord { cpu, word, register, value } => {
                let offset = u64::from(register % 32) * 0x80 + u64::from(word % 32) * 4;
                self.write_d(cpu as usize % cpus, offset, 4, value);
            }
            Event::ReadCpuInterface { cpu, word } => {
                self.read_c(cpu.into(), u64::from(word) * 4, 4);
            }
            Event::WriteCpuInterface { cpu, word, value } => {
                self.write_c(cpu as usize % cpus, u64::from(word) * 4, 4, value);
            }
            Event::Byte { cpu, intid, targets, value } => {
                let offset = if targets { GICD_ITARGETSR } else { GICD_IPRIORITYR } + u64::from(self.near(intid));
                self.read_d(cpu as usize % cpus, offset, 1);
                self.write_d(cpu as usize % cpus, offset, 1, value.into());
            }
            Event::Sgi { cpu, targets, intid } => {
                self.write_d(cpu as usize % cpus, GICD_SGIR, 4, u32::from(targets) << 16 | u32::from(intid % 16));
            }
            Event::Anywhere { cpu, offset, len } => {
                let (cpu, len, value) = (cpu as usize, len as usize, offset as u32);
                let offset = offset as u64;
                self.read_d(cpu, offset, len);
                self.read_c(cpu, offset, len);
                self.write_d(cpu, offset, len, value);
                self.write_c(cpu, offset, len, value);
                self.gic.set_spi(value, len & 1 == 0);
                self.gic.set_ppi(cpu, value, len & 1 == 0);
                assert!(cpu < cpus || self.gic.output(cpu) == Lines::default());
            }
            Event::Acknowledge { cpu, aliased } => {
                self.read_c(cpu as usize % cpus, if aliased { GICC_AIAR } else { GICC_IAR }, 4);
            }
            Event::End { cpu } => {
                let cpu = cpu as usize % cpus;
                if let Some(Running { iar, group }) = self.running[cpu].pop() {
                    let offset = if group == Group::One { GICC_AEOIR } else { GICC_EOIR };
                    let is_clean = self.is_clean;
                    self.write_c(cpu, offset, 4, iar);
                    self.is_clean = is_clean;
                }
            }
            Event::Deactivate { cpu, value } => self.write_c(cpu as usize % cpus, GICC_DIR, 4, value),
            Event::Restore => {
                let state = self.gic.save();
                let restored = Gic::restore(&state).expect("a GIC's own state");
                assert!(restored.save() == state);
                for cpu in 0..cpus {
                    assert_eq!(restored.output(cpu), self.gic.output(cpu));
                }
                self.gic = restored;
            }
            // Not often: it ends the history that the checks of active priorities follow.
            Event::Damage { cpu, intid, field, value } if cpu >= 0xf8 => self.damage(cpu, intid, field, value),
            Event::Damage { .. } => {}
        }
    }

    fn active_priorities(&mut self) -> ActivePriorities {
        let cpus = 0..self.gic.cpus();
        cpus.map(|cpu| [GICC_APR, GICC_NSAPR].map(|offset| self.gic.read_cpu_interface(cpu, offset, 4))).collect()
    }

    /// An interrupt that exists, or one of those just beyond.
    fn near(&self, intid: u16) -> u32 {
        u32::from(intid) % (self.gic.interrupts() as u32 + 4)
    }

    fn read_d(&mut self, cpu: usize, offset: u64, len: usize) {
        let state = self.gic.save();
        self.gic.read_distributor(cpu, offset, len);
        assert!(self.gic.save() == state, "reading GICD {offset:#x} changed something");
    }

    fn write_d(&mut self, cpu: usize, offset: u64, len: usize, value: u32) {
        let before = self.active_priorities();
        self.gic.write_distributor(cpu, offset, len, value);
        assert_eq!(self.active_priorities(), before, "GICD {offset:#x} changed active priorities");
        if (GICD_ISACTIVER..GICD_IPRIORITYR).contains(&offset) || (GICD_IGROUPR..0x100).contains(&offset) {
            self.is_clean = false;
        }
    }

    /// Only an acknowledge changes the state, and it raises one active priority above all others.
    fn read_c(&mut self, cpu: usize, offset: u64, len: usize) {
        let before = self.gic.save();
        let value = self.gic.read_cpu_interface(cpu, offset, len);
        let after = self.gic.save();
        let acknowledges = len == 4 && [GICC_IAR, GICC_AIAR].contains(&offset) && value & 0x3ff < 1020;
        if !acknowledges || cpu >= self.gic.cpus() {
            assert!(after == before, "reading GICC {offset:#x} changed something");
            return;
        }
        let intid = (value & 0x3ff) as usize;
        let interrupt = before.distributor.interrupt(cpu, intid);
        assert!(interrupt.enabled && interrupt.is_pending() && !interrupt.active, "{intid} wasn't deliverable");
        assert!(after.distributor.interrupt(cpu, intid).active);
        assert!(interrupt.priority < before.cpu_interfaces[cpu].pmr);
        let (old, new) = (active_priorities(&before)[cpu], active_priorities(&after)[cpu]);
        let group = interrupt.group as usize;
        assert_eq!(without_highest(new[group]), old[group], "an acknowledge raises one priority");
        assert_eq!(new[1 - group], old[1 - group]);
        let highest = |bits: [u32; 2]| (bits[0] | bits[1]).trailing_zeros();
        assert!(highest(new) < highest(old), "and that is the highest");
        assert_eq!(self.gic.read_cpu_interface(cpu, GICC_RPR, 4), highest(new) << 3);
        self.running[cpu].push(Running { iar: value, group: interrupt.group });
    }

    /// Only EOIR and AEOIR drop, and one priority at most, the highest of its group; only APR and NSAPR set.
    fn write_c(&mut self, cpu: usize, offset: u64, len: usize, value: u32) {
        let before = self.active_priorities();
        self.gic.write_cpu_interface(cpu, offset, len, value);
        let after = self.active_priorities();
        match offset {
            GICC_EOIR | GICC_AEOIR => {
                self.is_clean = false;
                for (other, (old, new)) in before.iter().zip(&after).enumerate() {
                    let dropped = [[without_highest(old[0]), old[1]], [old[0], without_highest(old[1])]];
                    assert!(new == old || (other == cpu && dropped.contains(new)), "{old:x?} became {new:x?}");
                }
            }
            GICC_APR..=0xec => self.is_clean = false,
            _ => assert_eq!(after, before, "GICC {offset:#x} changed active priorities"),
        }
        if offset == GICC_DIR || offset == GICC_CTLR && value & EOI_MODE != 0 {
            self.is_clean = false;
        }
    }

    fn damage(&mut self, cpu: u8, intid: u16, field: u8, value: u32) {
        let mut state = self.gic.save();
        let cpu = cpu as usize % 8;
        let interrupt = if intid < 32 {
            &mut state.distributor.private[cpu][intid as usize]
        } else {
            &mut state.distributor.shared[intid as usize % 988]
        };
        let (byte, bit) = (value as u8, value & 1 != 0);
        let interface = &mut state.cpu_interfaces[cpu];
        match field % 20 {
            0 => interrupt.enabled = bit,
            1 => interrupt.pending_latch = bit,
            2 => interrupt.line_level = bit,
            3 => interrupt.active = bit,
            4 => interrupt.group = if bit { Group::One } else { Group::Zero },
            5 => interrupt.trigger = if bit { Trigger::Edge } else { Trigger::Level },
            6 => interrupt.priority = byte,
            7 => interrupt.targets = byte,
            8 => interrupt.sources = byte,
            9 => interrupt.source = byte,
            10 => interface.ctlr = value,
            11 => interface.pmr = byte,
            12 => interface.bpr = byte,
            13 => interface.abpr = byte,
            14 => interface.apr.0 = value,
            15 => interface.nsapr.0 = value,
            16 => state.distributor.ctlr = value,
            17 => state.version = value,
            18 => state.cpus = value as usize,
            _ => state.interrupts = value as usize,
        }
        if let Ok(gic) = Gic::restore(&state) {
            assert!(gic.save() == state);
            self.gic = gic;
            self.running = vec![vec![]; self.gic.cpus()];
            self.is_clean = false;
        }
    }

    fn check(&self) {
        self.gic.check_invariants().expect("the invariants hold");
        let state = self.gic.save();
        if self.is_clean {
            let priorities: u32 = active_priorities(&state).iter().flatten().map(|bits| bits.count_ones()).sum();
            assert_eq!(active_interrupts(&state), priorities as usize, "each active interrupt has its priority");
        }
        // A line is up if and only if there is something to acknowledge.
        for cpu in 0..self.gic.cpus() {
            let lines = self.gic.output(cpu);
            let iar = self.gic.clone().read_cpu_interface(cpu, GICC_IAR, 4);
            let aiar = self.gic.clone().read_cpu_interface(cpu, GICC_AIAR, 4);
            assert_eq!(lines.irq || lines.fiq, iar != 1023 || aiar != 1023, "{lines:?}, {iar}, {aiar}");
            assert!(!(lines.irq && lines.fiq), "one interrupt raises one line");
            assert!(!lines.fiq || (iar & 0x3ff < 1020 && aiar == 1023), "FIQ is for Group 0");
        }
    }
}

fuzz_target!(|input: Input| {
    let cpus = 1 + usize::from(input.cpus % 8);
    let spis = usize::from(input.spis) % 989;
    let gic = Gic::new(cpus, spis).expect("a GIC of this size");
    let mut fuzzed = Fuzzed { gic, running: vec![vec![]; cpus], is_clean: true };
    if input.boot {
        fuzzed.gic.write_distributor(0, 0, 4, 3);
        for cpu in 0..cpus {
            fuzzed.gic.write_cpu_interface(cpu, GICC_CTLR, 4, 3);
            fuzzed.gic.write_cpu_interface(cpu, GICC_PMR, 4, 0xff);
            // SGIs and PPIs are each CPU's own; SPIs need it once.
            for intid in if cpu == 0 { 0..1020 } else { 0..32 } {
                fuzzed.gic.write_distributor(cpu, GICD_ISENABLER + intid / 32 * 4, 4, 1 << (intid % 32));
                fuzzed.gic.write_distributor(cpu, GICD_IPRIORITYR + intid, 1, intid as u32 * 0x38);
                fuzzed.gic.write_distributor(cpu, GICD_ITARGETSR + intid, 1, !0);
            }
        }
    }
    for (n, event) in input.traffic.iter().take(256).enumerate() {
        if !input.well_behaved || event.is_well_behaved() {
            fuzzed.take(event);
        }
        if n % 8 == 7 {
            fuzzed.check();
        }
    }
    fuzzed.check();
});
