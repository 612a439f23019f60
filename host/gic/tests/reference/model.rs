//! A GICv2 written for clarity: plain vectors, naive scans, no caches, and nothing of the implementation.
//!
//! It follows the pseudocode of `[GICv2]` (Arm IHI 0048B.b), whose function names it keeps, for an implementation without
//! the Security Extensions, with interrupt grouping and 32 priority levels. Registers are decoded byte by byte.

mod cpu_interface;
mod distributor;

use std::collections::BTreeSet;

const SPURIOUS: usize = 1023;

/// GICC_CTLR, taken apart.
#[derive(Clone, Copy, Default)]
struct CpuControl {
    enable_group: [bool; 2],
    ack_ctl: bool,
    fiq_en: bool,
    cbpr: bool,
    bypass: u32,
    eoi_mode: bool,
}

/// One CPU interface.
#[derive(Clone, Default)]
struct Interface {
    control: CpuControl,
    priority_mask: u32,
    /// GICC_BPR and GICC_ABPR.
    binary_point: [u32; 2],
    /// The active group priorities of each group.
    active_priorities: [BTreeSet<u32>; 2],
}

/// One bit, or one number, for each interrupt on each CPU. An SPI's is in CPU 0's row.
type PerInterrupt<T> = Vec<Vec<T>>;

pub(crate) struct Model {
    pub(crate) cpus: usize,
    pub(crate) interrupts: usize,
    enable_group: [bool; 2],
    group: PerInterrupt<usize>,
    enabled: PerInterrupt<bool>,
    latched: PerInterrupt<bool>,
    high: PerInterrupt<bool>,
    active: PerInterrupt<bool>,
    /// Which CPU sent the SGI that is active.
    active_from: PerInterrupt<usize>,
    priority: PerInterrupt<u32>,
    targets: PerInterrupt<BTreeSet<usize>>,
    edge: PerInterrupt<bool>,
    /// The CPUs an SGI is pending from.
    senders: PerInterrupt<BTreeSet<usize>>,
    interface: Vec<Interface>,
}

fn set_of(bits: u32) -> BTreeSet<usize> {
    (0..32).filter(|bit| bits >> bit & 1 == 1).collect()
}

fn bits_of(set: &BTreeSet<usize>) -> u32 {
    set.iter().map(|bit| 1 << bit).sum()
}

fn is_sgi(intid: usize) -> bool {
    intid < 16
}

fn is_spi(intid: usize) -> bool {
    intid >= 32
}

/// GIC_PriorityMask(), with a minimum binary point of 2 and, without the Security Extensions, NS_mask 0.
fn priority_mask(binary_point: u32) -> u32 {
    let n = if binary_point < 2 { 2 } else { binary_point };
    (0b1111_1111_0000_0000 >> (7 - n)) & 0xff
}

impl Model {
    pub(crate) fn new(cpus: usize, spis: usize) -> Model {
        let mut interrupts = 32;
        while interrupts < 32 + spis {
            interrupts += 32;
        }
        let interrupts = if interrupts > 1020 { 1020 } else { interrupts };
        let mut model = Model {
            cpus,
            interrupts,
            enable_group: [false; 2],
            group: vec![vec![0; 1024]; cpus],
            enabled: vec![vec![false; 1024]; cpus],
            latched: vec![vec![false; 1024]; cpus],
            high: vec![vec![false; 1024]; cpus],
            active: vec![vec![false; 1024]; cpus],
            active_from: vec![vec![0; 1024]; cpus],
            priority: vec![vec![0; 1024]; cpus],
            targets: vec![vec![BTreeSet::new(); 1024]; cpus],
            edge: vec![vec![false; 1024]; cpus],
            senders: vec![vec![BTreeSet::new(); 1024]; cpus],
            interface: vec![Interface { binary_point: [2, 2], ..Interface::default() }; cpus],
        };
        for cpu in 0..cpus {
            for sgi in 0..16 {
                model.enabled[cpu][sgi] = true;
                model.edge[cpu][sgi] = true;
            }
        }
        model
    }

    /// The row that holds an interrupt, for a CPU that asks.
    fn row(&self, cpu: usize, intid: usize) -> usize {
        if is_spi(intid) { 0 } else { cpu }
    }

    // ----- The interrupt's state

    fn set_input(&mut self, cpu: usize, intid: usize, level: bool) {
        let row = self.row(cpu, intid);
        let rises = level && !self.high[row][intid];
        if rises && self.edge[row][intid] {
            self.latched[row][intid] = true;
        }
        self.high[row][intid] = level;
    }

    pub(crate) fn set_ppi(&mut self, cpu: usize, intid: usize, level: bool) {
        if cpu < self.cpus && (16..32).contains(&intid) {
            self.set_input(cpu, intid, level);
        }
    }

    pub(crate) fn set_spi(&mut self, intid: usize, level: bool) {
        if is_spi(intid) && intid < self.interrupts {
            self.set_input(0, intid, level);
        }
    }

    /// The pending status that GICD_ISPENDR shows.
    fn pending_status(&self, cpu: usize, intid: usize) -> bool {
        let row = self.row(cpu, intid);
        if is_sgi(intid) {
            !self.senders[row][intid].is_empty()
        } else if self.edge[row][intid] {
            self.latched[row][intid]
        } else {
            self.latched[row][intid] || self.high[row][intid]
        }
    }

    /// IsPending(): pending, not active as well, and forwarded to this CPU.
    fn is_pending(&self, cpu: usize, intid: usize) -> bool {
        let row = self.row(cpu, intid);
        let is_target = !is_spi(intid) || self.cpus == 1 || self.targets[row][intid].contains(&cpu);
        self.pending_status(cpu, intid) && !self.active[row][intid] && is_target
    }

    fn group_of(&self, cpu: usize, intid: usize) -> usize {
        self.group[self.row(cpu, intid)][intid]
    }

    fn priority_of(&self, cpu: usize, intid: usize) -> u32 {
        self.priority[self.row(cpu, intid)][intid]
    }

    // ----- Prioritization

    /// HighestPriorityPendingInterrupt(), where IGNORE_GROUP_ENABLE is FALSE.
    fn highest_priority_pending_interrupt(&self, cpu: usize) -> usize {
        let mut hppi = SPURIOUS;
        for intid in 0..self.interrupts {
            let row = self.row(cpu, intid);
            let enabled = self.enabled[row][intid] && self.enable_group[self.group_of(cpu, intid)];
            if enabled && self.is_pending(cpu, intid) {
                let higher = hppi == SPURIOUS || self.priority_of(cpu, intid) < self.priority_of(cpu, hppi);
                if higher {
                    hppi = intid;
                }
            }
        }
        hppi
    }

    fn any_active_priority(&self, cpu: usize) -> bool {
        self.interface[cpu].active_priorities.iter().any(|priorities| !priorities.is_empty())
    }

    fn running_priority(&self, cpu: usize) -> u32 {
        self.interface[cpu].active_priorities.iter().flatten().copied().min().unwrap_or(0xff)
    }

    fn mask_for(&self, cpu: usize, group: usize) -> u32 {
        let interface = &self.interface[cpu];
        priority_mask(interface.binary_point[if interface.control.cbpr { 0 } else { group }])
    }

    /// UpdateExceptionState(): the highest priority pending interrupt, if its priority suffices.
    fn update_exception_state(&self, cpu: usize) -> Option<usize> {
        let intid = self.highest_priority_pending_interrupt(cpu);
        if intid == SPURIOUS {
            return None;
        }
        let priority = self.priority_of(cpu, intid);
        let mask = self.mask_for(cpu, self.group_of(cpu, intid));
        let unmasked = priority < self.interface[cpu].priority_mask;
        let preempts = !self.any_active_priority(cpu) || priority < (self.running_priority(cpu) & mask);
        (unmasked && preempts).then_some(intid)
    }

    /// GenerateExceptions(): IRQ and FIQ.
    pub(crate) fn lines(&self, cpu: usize) -> (bool, bool) {
        let Some(intid) = self.update_exception_state(cpu) else { return (false, false) };
        let (group, control) = (self.group_of(cpu, intid), self.interface[cpu].control);
        if !control.enable_group[group] {
            (false, false)
        } else if group == 0 && control.fiq_en {
            (false, true)
        } else {
            (true, false)
        }
    }
}
