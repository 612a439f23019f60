//! Random steps, and taking one with the GIC and with the model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vtick_gic::Gic;

use crate::model::Model;

const GICC_RPR: u64 = 0x14;
const GICC_APR: u64 = 0xd0;
const GICC_NSAPR: u64 = 0xe0;
const GICC_DIR: u64 = 0x1000;

/// How large a GIC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) cpus: usize,
    pub(crate) spis: usize,
}

/// Which frame an access goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Frame {
    Distributor,
    CpuInterface,
}

/// One thing that happens to a GIC.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// An input moves.
    Ppi {
        cpu: usize,
        intid: u32,
        level: bool,
    },
    Spi {
        intid: u32,
        level: bool,
    },
    /// An access.
    Read {
        frame: Frame,
        cpu: usize,
        offset: u64,
        len: usize,
    },
    Write {
        frame: Frame,
        cpu: usize,
        offset: u64,
        len: usize,
        value: u32,
    },
    /// A CPU reads GICC_IAR or, if so told, GICC_AIAR, and remembers the INTID if it is one.
    Acknowledge {
        cpu: usize,
        aliased: bool,
    },
    /// A CPU writes the INTID it remembered last to GICC_EOIR or GICC_AEOIR.
    End {
        cpu: usize,
        aliased: bool,
    },
    /// A CPU writes an INTID that it has ended to GICC_DIR.
    Deactivate {
        cpu: usize,
    },
    /// The GIC is saved and restored.
    Restore,
}

pub(crate) fn size() -> impl Strategy<Value = Size> {
    let spis = prop_oneof![4 => Just(32), 2 => Just(0), 2 => Just(1), 2 => Just(96), 1 => Just(988)];
    (1..=8_usize, spis).prop_map(|(cpus, spis)| Size { cpus, spis })
}

/// A few CPUs often, any now and then, one that doesn't exist rarely.
fn cpu() -> impl Strategy<Value = usize> {
    prop_oneof![10 => 0..2_usize, 5 => 0..8_usize, 1 => Just(8)]
}

/// A few interrupts often, so that steps meet; any of them now and then.
fn intid() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0..3_u32, 3 => 27..29_u32, 6 => 32..36_u32, 1 => 0..64_u32, 1 => 0..1024_u32, 1 => Just(1019)]
}

/// A value with few bits, any value, or one of those that matter.
fn value() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => any::<u32>(),
        3 => (0..32_u32).prop_map(|bit| 1 << bit),
        2 => Just(0),
        2 => Just(!0),
        2 => prop::sample::select(vec![0x4040_4040, 0x8080_8080, 0x0103_020f, 0x8040_c020]),
        3 => (intid(), 0..8_u32).prop_map(|(intid, source)| intid | source << 10),
        1 => 1020..1024_u32,
    ]
}

/// An access to a register of the Distributor about one interrupt, or to one that is not about interrupts.
fn distributor_access() -> impl Strategy<Value = (u64, usize)> {
    let bits = (1..8_u64, intid()).prop_map(|(n, intid)| (n * 0x80 + u64::from(intid / 32) * 4, 4));
    let bytes =
        (prop::sample::select(vec![0x400_u64, 0x800]), intid(), any::<bool>()).prop_map(|(base, intid, word)| {
            if word { (base + u64::from(intid & !3), 4) } else { (base + u64::from(intid), 1) }
        });
    let config = intid().prop_map(|intid| (0xc00 + u64::from(intid / 16) * 4, 4));
    let sgi = (0xf10_u64..0xf30, any::<bool>()).prop_map(|(at, word)| if word { (at & !3, 4) } else { (at, 1) });
    let plain = prop::sample::select(vec![(0x000, 4), (0x000, 4), (0x004, 4), (0x008, 4), (0xfd0, 4), (0xfe8, 4)]);
    let raw = (0..0x1010_u64, prop::sample::select(vec![1, 2, 4, 8]));
    let word = (0..0x404_u64).prop_map(|word| (word * 4, 4));
    prop_oneof![8 => bits, 6 => bytes, 2 => config, 2 => sgi, 2 => plain, 1 => raw, 1 => word]
}

fn cpu_interface_access() -> impl Strategy<Value = (u64, usize)> {
    let registers = (0..=0x28_u64 / 4).prop_map(|word| (word * 4, 4));
    let others = prop::sample::select(vec![(0xd0, 4), (0xd4, 4), (0xe0, 4), (0xec, 4), (0xfc, 4), (0x1000, 4)]);
    let raw = (0..0x1010_u64, prop::sample::select(vec![1, 2, 4, 8]));
    prop_oneof![10 => registers, 3 => others, 1 => raw]
}

/// GICD_SGIR.
fn sgir() -> impl Strategy<Value = u32> {
    let filter = prop_oneof![4 => Just(0_u32), 2 => Just(1), 2 => Just(2), 1 => Just(3)];
    (filter, prop_oneof![0..4_u32, 0..256_u32], 0..3_u32, any::<u32>())
        .prop_map(|(filter, targets, intid, noise)| noise & 0xfc00_fff0 | filter << 24 | targets << 16 | intid)
}

/// GICC_CTLR: with Group 0 or both enabled mostly.
fn ctlr() -> impl Strategy<Value = u32> {
    prop_oneof![4 => any::<u32>().prop_map(|value| value | 3), 1 => any::<u32>(), 2 => Just(1), 2 => Just(0x203)]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    use Frame::{CpuInterface, Distributor};
    prop_oneof![
        10 => (cpu(), intid(), any::<bool>()).prop_map(|(cpu, intid, level)| Step::Ppi { cpu, intid, level }),
        15 => (intid(), any::<bool>()).prop_map(|(intid, level)| Step::Spi { intid, level }),
        10 => (cpu(), distributor_access())
            .prop_map(|(cpu, (offset, len))| Step::Read { frame: Distributor, cpu, offset, len }),
        20 => (cpu(), distributor_access(), value())
            .prop_map(|(cpu, (offset, len), value)| Step::Write { frame: Distributor, cpu, offset, len, value }),
        8 => (cpu(), sgir())
            .prop_map(|(cpu, value)| Step::Write { frame: Distributor, cpu, offset: 0xf00, len: 4, value }),
        6 => (cpu(), cpu_interface_access())
            .prop_map(|(cpu, (offset, len))| Step::Read { frame: CpuInterface, cpu, offset, len }),
        6 => (cpu(), cpu_interface_access(), value())
            .prop_map(|(cpu, (offset, len), value)| Step::Write { frame: CpuInterface, cpu, offset, len, value }),
        3 => (cpu(), ctlr())
            .prop_map(|(cpu, value)| Step::Write { frame: CpuInterface, cpu, offset: 0, len: 4, value }),
        3 => cpu().prop_map(|cpu| Step::Write { frame: CpuInterface, cpu, offset: 4, len: 4, value: 0xff }),
        3 => (cpu(), prop::sample::select(vec![0x08, 0x1c]), 0..8_u32)
            .prop_map(|(cpu, offset, value)| Step::Write { frame: CpuInterface, cpu, offset, len: 4, value }),
        2 => (cpu(), prop::sample::select(vec![0xd0, 0xe0]))
            .prop_map(|(cpu, offset)| Step::Write { frame: CpuInterface, cpu, offset, len: 4, value: 0 }),
        20 => (cpu(), prop::bool::weighted(0.2)).prop_map(|(cpu, aliased)| Step::Acknowledge { cpu, aliased }),
        12 => (cpu(), prop::bool::weighted(0.2)).prop_map(|(cpu, aliased)| Step::End { cpu, aliased }),
        6 => cpu().prop_map(|cpu| Step::Deactivate { cpu }),
        4 => (cpu(), intid(), 0..3_u32).prop_map(|(cpu, intid, source)| Step::Write {
            frame: CpuInterface,
            cpu,
            offset: GICC_DIR,
            len: 4,
            value: intid | source << 10,
        }),
        1 => Just(Step::Restore),
    ]
}

/// What an operating system writes first, so that most runs get to deliver interrupts; some are left as after reset.
pub(crate) fn preamble() -> impl Strategy<Value = Vec<Step>> {
    let write = |frame, cpu, offset, value| Step::Write { frame, cpu, offset, len: 4, value };
    let boot = (1..4_u32, prop::collection::vec((ctlr(), any::<u32>()), 8), any::<[u32; 24]>()).prop_map(
        move |(enables, cpus, priorities)| {
            let mut steps = vec![write(Frame::Distributor, 0, 0x000, enables)];
            for (cpu, (ctlr, group)) in cpus.into_iter().enumerate() {
                steps.push(write(Frame::CpuInterface, cpu, 0x000, ctlr));
                steps.push(write(Frame::CpuInterface, cpu, 0x004, 0xff));
                steps.push(write(Frame::Distributor, cpu, 0x100, !0));
                steps.push(write(Frame::Distributor, cpu, 0x080, group));
                steps.push(write(Frame::Distributor, cpu, 0x41c, priorities[cpu]));
            }
            steps.push(write(Frame::Distributor, 0, 0x104, !0));
            steps.push(write(Frame::Distributor, 0, 0x820, priorities[8]));
            steps.push(write(Frame::Distributor, 0, 0xc08, priorities[9]));
            for (word, priority) in priorities[10..].iter().enumerate() {
                steps.push(write(Frame::Distributor, 0, 0x420 + 4 * word as u64, *priority));
            }
            steps
        },
    );
    prop_oneof![1 => Just(vec![]), 5 => boot]
}

/// How often the steps reached what they are there for, by name.
pub(crate) type Reached = BTreeMap<&'static str, usize>;

/// The GIC and the model side by side.
pub(crate) struct Stepper {
    gic: Gic,
    model: Model,
    /// What each CPU has acknowledged and not yet ended.
    acknowledged: Vec<Vec<u32>>,
    /// What each CPU has ended.
    ended: Vec<Vec<u32>>,
    /// The lines as they were when the GIC was last asked which have changed.
    lines: Vec<(bool, bool)>,
    pub(crate) reached: Reached,
}

impl Stepper {
    pub(crate) fn new(mut gic: Gic, model: Model) -> Stepper {
        gic.take_changed();
        let (acknowledged, ended, lines) = (vec![vec![]; 9], vec![vec![]; 9], vec![(false, false); model.cpus]);
        Stepper { gic, model, acknowledged, ended, lines, reached: Reached::new() }
    }

    fn reached(&mut self, what: &'static str, it_did: bool) {
        *self.reached.entry(what).or_default() += usize::from(it_did);
    }

    fn read(&mut self, frame: Frame, cpu: usize, offset: u64, len: usize) -> Result<u32, String> {
        let (gic, model) = match frame {
            Frame::Distributor => {
                (self.gic.read_distributor(cpu, offset, len), self.model.read_distributor(cpu, offset, len))
            }
            Frame::CpuInterface => {
                (self.gic.read_cpu_interface(cpu, offset, len), self.model.read_cpu_interface(cpu, offset, len))
            }
        };
        if gic != model {
            return Err(format!("CPU {cpu} reads {frame:?} {offset:#x}: {gic:#x} in the GIC, {model:#x} in the model"));
        }
        Ok(gic)
    }

    fn write(&mut self, frame: Frame, cpu: usize, offset: u64, len: usize, value: u32) {
        match frame {
            Frame::Distributor => {
                self.gic.write_distributor(cpu, offset, len, value);
                self.model.write_distributor(cpu, offset, len, value);
            }
            Frame::CpuInterface => {
                self.gic.write_cpu_interface(cpu, offset, len, value);
                self.model.write_cpu_interface(cpu, offset, len, value);
            }
        }
    }

    /// Takes one step with both and compares what can be seen of them from outside.
    pub(crate) fn take(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Ppi { cpu, intid, level } => {
                self.gic.set_ppi(cpu, intid, level);
                self.model.set_ppi(cpu, intid as usize, level);
            }
            Step::Spi { intid, level } => {
                self.gic.set_spi(intid, level);
                self.model.set_spi(intid as usize, level);
            }
            Step::Read { frame, cpu, offset, len } => {
                self.read(frame, cpu, offset, len)?;
            }
            Step::Write { frame, cpu, offset, len, value } => self.write(frame, cpu, offset, len, value),
            Step::Acknowledge { cpu, aliased } => {
                let iar = self.read(Frame::CpuInterface, cpu, if aliased { 0x20 } else { 0x0c }, 4)?;
                if iar & 0x3ff < 1020 {
                    self.acknowledged[cpu].push(iar);
                    self.reached("acknowledged", true);
                    self.reached("acknowledged while another waits", self.acknowledged[cpu].len() > 1);
                    self.reached("acknowledged while two others wait", self.acknowledged[cpu].len() > 2);
                    self.reached("SGI from another CPU acknowledged", iar >> 10 != 0);
                }
                self.reached("1022 read", iar == 1022);
            }
            Step::End { cpu, aliased } => {
                if let Some(iar) = self.acknowledged[cpu].pop() {
                    self.write(Frame::CpuInterface, cpu, if aliased { 0x24 } else { 0x10 }, 4, iar);
                    self.ended[cpu].push(iar);
                    self.reached("ended", true);
                }
            }
            Step::Deactivate { cpu } => {
                if let Some(iar) = self.ended[cpu].pop() {
                    self.write(Frame::CpuInterface, cpu, 0x1000, 4, iar);
                    self.reached("deactivated", true);
                }
            }
            Step::Restore => {
                self.gic = Gic::restore(&self.gic.save()).map_err(|error| error.to_string())?;
            }
        }
        for cpu in 0..self.model.cpus {
            for register in [GICC_RPR, GICC_APR, GICC_NSAPR] {
                self.read(Frame::CpuInterface, cpu, register, 4)?;
            }
        }
        self.compare_lines()
    }

    fn compare_lines(&mut self) -> Result<(), String> {
        let changed = self.gic.take_changed();
        for cpu in 0..self.model.cpus {
            let model = self.model.lines(cpu);
            let gic = self.gic.output(cpu);
            if (gic.irq, gic.fiq) != model {
                return Err(format!("(IRQ, FIQ) of CPU {cpu} is {gic:?} in the GIC and {model:?} in the model"));
            }
            if self.lines[cpu] != model && changed >> cpu & 1 == 0 {
                return Err(format!("the lines of CPU {cpu} have changed and take_changed() is {changed:#b}"));
            }
            self.reached("IRQ up", model.0 && !self.lines[cpu].0);
            self.reached("FIQ up", model.1 && !self.lines[cpu].1);
            self.lines[cpu] = model;
        }
        Ok(())
    }

    /// Compares every register that can be read without a side effect, on every CPU, and checks the invariants.
    pub(crate) fn compare_everything(&mut self) -> Result<(), String> {
        for cpu in 0..self.model.cpus {
            for offset in (0..0x1000).step_by(4) {
                self.read(Frame::Distributor, cpu, offset, 4)?;
            }
            for offset in (0..0x1004).step_by(4).filter(|offset| ![0x0c, 0x20].contains(offset)) {
                self.read(Frame::CpuInterface, cpu, offset, 4)?;
            }
        }
        self.gic.check_invariants().map_err(|violation| format!("{violation:?}"))
    }
}
