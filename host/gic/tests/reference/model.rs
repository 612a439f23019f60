//! A GICv2 written for clarity: plain vectors, naive scans, no caches, and nothing of the implementation.
//!
//! It follows the pseudocode of `[GICv2]` (Arm IHI 0048B.b), whose function names it keeps, for an implementation without
//! the Security Extensions, with interrupt grouping and 32 priority levels. Registers are decoded byte by byte.

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

    // ----- The CPU interface's accesses

    /// The INTID a read sees, for GICC_IAR and GICC_HPPIR or for the aliased registers.
    fn visible(&self, cpu: usize, aliased: bool, intid: usize) -> usize {
        let (group, control) = (self.group_of(cpu, intid), self.interface[cpu].control);
        if !control.enable_group[group] {
            SPURIOUS
        } else if aliased {
            if group == 1 { intid } else { SPURIOUS }
        } else if group == 1 && !control.ack_ctl {
            1022
        } else {
            intid
        }
    }

    /// The CPUID field: SGI_CpuID(), the lowest of the senders.
    fn with_sender(&self, cpu: usize, intid: usize) -> u32 {
        let sender = if is_sgi(intid) { self.senders[cpu][intid].first().copied().unwrap_or(0) } else { 0 };
        (intid + 1024 * sender) as u32
    }

    /// ReadGICC_IAR() and ReadGICC_AIAR().
    fn acknowledge(&mut self, cpu: usize, aliased: bool) -> u32 {
        let Some(intid) = self.update_exception_state(cpu) else { return SPURIOUS as u32 };
        let visible = self.visible(cpu, aliased, intid);
        if visible >= 1020 {
            return visible as u32;
        }
        let value = self.with_sender(cpu, intid);
        let (row, group) = (self.row(cpu, intid), self.group_of(cpu, intid));
        let group_priority = self.priority_of(cpu, intid) & self.mask_for(cpu, group);
        self.interface[cpu].active_priorities[group].insert(group_priority);
        self.active[row][intid] = true;
        self.latched[row][intid] = false;
        if is_sgi(intid) {
            let sender = self.senders[cpu][intid].pop_first().unwrap_or(0);
            self.active_from[cpu][intid] = sender;
        }
        value
    }

    fn highest_pending(&self, cpu: usize, aliased: bool) -> u32 {
        let intid = self.highest_priority_pending_interrupt(cpu);
        if intid == SPURIOUS {
            return SPURIOUS as u32;
        }
        let visible = self.visible(cpu, aliased, intid);
        if visible < 1020 { self.with_sender(cpu, intid) } else { visible as u32 }
    }

    fn end(&mut self, cpu: usize, aliased: bool, value: u32) {
        let intid = (value & 0x3ff) as usize;
        if intid >= self.interrupts {
            return;
        }
        let group = self.group_of(cpu, intid);
        if aliased && group == 0 {
            return;
        }
        let dropped = self.interface[cpu].active_priorities[group].pop_first();
        if dropped.is_some() && !self.interface[cpu].control.eoi_mode {
            self.deactivate(cpu, value);
        }
    }

    fn deactivate(&mut self, cpu: usize, value: u32) {
        let (intid, sender) = ((value & 0x3ff) as usize, (value >> 10 & 7) as usize);
        if intid < self.interrupts && (!is_sgi(intid) || self.active_from[cpu][intid] == sender) {
            self.clear_active(cpu, intid);
        }
    }

    fn clear_active(&mut self, cpu: usize, intid: usize) {
        let row = self.row(cpu, intid);
        self.active[row][intid] = false;
        self.active_from[row][intid] = 0;
    }

    fn read_ctlr(&self, cpu: usize) -> u32 {
        let c = self.interface[cpu].control;
        let bit = |is: bool, bit: u32| u32::from(is) << bit;
        bit(c.enable_group[0], 0)
            + bit(c.enable_group[1], 1)
            + bit(c.ack_ctl, 2)
            + bit(c.fiq_en, 3)
            + bit(c.cbpr, 4)
            + (c.bypass << 5)
            + bit(c.eoi_mode, 9)
    }

    fn write_ctlr(&mut self, cpu: usize, value: u32) {
        let bit = |bit: u32| value >> bit & 1 == 1;
        self.interface[cpu].control = CpuControl {
            enable_group: [bit(0), bit(1)],
            ack_ctl: bit(2),
            fiq_en: bit(3),
            cbpr: bit(4),
            bypass: value >> 5 & 0xf,
            eoi_mode: bit(9),
        };
    }

    pub(crate) fn read_cpu_interface(&mut self, cpu: usize, offset: u64, len: usize) -> u32 {
        if len != 4 || !offset.is_multiple_of(4) || cpu >= self.cpus {
            return 0;
        }
        let active_priorities = |group: usize| -> u32 {
            self.interface[cpu].active_priorities[group].iter().map(|priority| 1 << (priority / 8)).sum()
        };
        match offset {
            0x00 => self.read_ctlr(cpu),
            0x04 => self.interface[cpu].priority_mask,
            0x08 => self.interface[cpu].binary_point[0],
            0x0c => self.acknowledge(cpu, false),
            0x14 => self.running_priority(cpu),
            0x18 => self.highest_pending(cpu, false),
            0x1c => self.interface[cpu].binary_point[1],
            0x20 => self.acknowledge(cpu, true),
            0x28 => self.highest_pending(cpu, true),
            0xd0 => active_priorities(0),
            0xe0 => active_priorities(1),
            0xfc => 0x0762_043b,
            _ => 0,
        }
    }

    pub(crate) fn write_cpu_interface(&mut self, cpu: usize, offset: u64, len: usize, value: u32) {
        if len != 4 || !offset.is_multiple_of(4) || cpu >= self.cpus {
            return;
        }
        let binary_point = (value % 8).max(2);
        let active_priorities = set_of(value).into_iter().map(|level| level as u32 * 8).collect();
        match offset {
            0x00 => self.write_ctlr(cpu, value),
            0x04 => self.interface[cpu].priority_mask = value & 0xf8,
            0x08 => self.interface[cpu].binary_point[0] = binary_point,
            0x10 => self.end(cpu, false, value),
            0x1c => self.interface[cpu].binary_point[1] = binary_point,
            0x24 => self.end(cpu, true, value),
            0xd0 => self.interface[cpu].active_priorities[0] = active_priorities,
            0xe0 => self.interface[cpu].active_priorities[1] = active_priorities,
            0x1000 if self.interface[cpu].control.eoi_mode => self.deactivate(cpu, value),
            _ => {}
        }
    }

    // ----- The Distributor's accesses

    fn is_byte_accessible(offset: u64) -> bool {
        (0x400..0xc00).contains(&offset) || (0xf10..0xf30).contains(&offset)
    }

    fn is_allowed(&self, cpu: usize, offset: u64, len: usize) -> bool {
        let width = len == 4 && offset.is_multiple_of(4) || len == 1 && Model::is_byte_accessible(offset);
        cpu < self.cpus && width && offset < 0x1000
    }

    pub(crate) fn read_distributor(&self, cpu: usize, offset: u64, len: usize) -> u32 {
        if !self.is_allowed(cpu, offset, len) {
            return 0;
        }
        (0..len).map(|n| self.read_byte(cpu, offset as usize + n) << (8 * n)).sum()
    }

    fn read_byte(&self, cpu: usize, offset: usize) -> u32 {
        // The eight interrupts that a byte of a register with one bit each is about, and so on.
        let bits = |first: usize, bit: &dyn Fn(usize, usize) -> bool| -> u32 {
            (0..8)
                .filter(|n| first + n < self.interrupts && bit(self.row(cpu, first + n), first + n))
                .map(|n| 1 << n)
                .sum()
        };
        let exists = |intid: usize| intid < self.interrupts;
        match offset {
            0x000 => u32::from(self.enable_group[0]) + 2 * u32::from(self.enable_group[1]),
            0x004 => (self.interrupts.div_ceil(32) - 1 + 32 * (self.cpus - 1)) as u32,
            0x008..=0x00b => [0x3b, 0x04, 0x00, 0x76][offset - 0x008],
            0x080..=0x0ff => bits((offset - 0x080) * 8, &|row, intid| self.group[row][intid] == 1),
            0x100..=0x17f => bits((offset - 0x100) * 8, &|row, intid| self.enabled[row][intid]),
            0x180..=0x1ff => bits((offset - 0x180) * 8, &|row, intid| self.enabled[row][intid]),
            0x200..=0x27f => bits((offset - 0x200) * 8, &|_, intid| self.pending_status(cpu, intid)),
            0x280..=0x2ff => bits((offset - 0x280) * 8, &|_, intid| self.pending_status(cpu, intid)),
            0x300..=0x37f => bits((offset - 0x300) * 8, &|row, intid| self.active[row][intid]),
            0x380..=0x3ff => bits((offset - 0x380) * 8, &|row, intid| self.active[row][intid]),
            0x400..=0x7ff if exists(offset - 0x400) => self.priority_of(cpu, offset - 0x400),
            0x800..=0x81f => 1 << cpu,
            0x820..=0xbff if exists(offset - 0x800) => bits_of(&self.targets[0][offset - 0x800]),
            0xc00..=0xcff => (0..4)
                .map(|n| (n, (offset - 0xc00) * 4 + n))
                .filter(|(_, intid)| exists(*intid) && self.edge[self.row(cpu, *intid)][*intid])
                .map(|(n, _)| 2 << (2 * n))
                .sum(),
            0xf10..=0xf1f => bits_of(&self.senders[cpu][offset - 0xf10]),
            0xf20..=0xf2f => bits_of(&self.senders[cpu][offset - 0xf20]),
            0xfd0 => 0x04,
            0xfe4 => 0xb0,
            0xfe8 => 0x2b,
            0xff0 => 0x0d,
            0xff4 => 0xf0,
            0xff8 => 0x05,
            0xffc => 0xb1,
            _ => 0,
        }
    }

    pub(crate) fn write_distributor(&mut self, cpu: usize, offset: u64, len: usize, value: u32) {
        if !self.is_allowed(cpu, offset, len) {
            return;
        }
        if offset == 0xf00 {
            return self.send_sgi(cpu, value);
        }
        for n in 0..len {
            self.write_byte(cpu, offset as usize + n, value >> (8 * n) & 0xff);
        }
    }

    fn send_sgi(&mut self, cpu: usize, value: u32) {
        let everyone: BTreeSet<usize> = (0..self.cpus).collect();
        let receivers: BTreeSet<usize> = match value >> 24 & 3 {
            0 => set_of(value >> 16 & 0xff).intersection(&everyone).copied().collect(),
            1 => everyone.into_iter().filter(|receiver| *receiver != cpu).collect(),
            2 => [cpu].into(),
            _ => [].into(),
        };
        for receiver in receivers {
            self.senders[receiver][(value & 0xf) as usize].insert(cpu);
        }
    }

    fn write_byte(&mut self, cpu: usize, offset: usize, byte: u32) {
        match offset {
            0x000 => self.enable_group = [byte & 1 == 1, byte & 2 == 2],
            0x080..=0x3ff => {
                for n in 0..8 {
                    let intid = offset % 0x80 * 8 + n;
                    if intid < self.interrupts {
                        self.write_bit(offset / 0x80, cpu, intid, byte >> n & 1 == 1);
                    }
                }
            }
            0x400..=0x7ff if offset - 0x400 < self.interrupts => {
                let row = self.row(cpu, offset - 0x400);
                self.priority[row][offset - 0x400] = byte & 0xf8;
            }
            0x820..=0xbff if offset - 0x800 < self.interrupts => {
                self.targets[0][offset - 0x800] = set_of(byte).into_iter().filter(|cpu| *cpu < self.cpus).collect();
            }
            0xc08..=0xcff => {
                for n in 0..4 {
                    let intid = (offset - 0xc00) * 4 + n;
                    if intid < self.interrupts {
                        self.edge[0][intid] = byte >> (2 * n) & 2 == 2;
                    }
                }
            }
            0xf10..=0xf1f => {
                let cleared = set_of(byte);
                self.senders[cpu][offset - 0xf10].retain(|sender| !cleared.contains(sender));
            }
            0xf20..=0xf2f => {
                let set = set_of(byte).into_iter().filter(|sender| *sender < self.cpus);
                self.senders[cpu][offset - 0xf20].extend(set);
            }
            _ => {}
        }
    }

    /// A bit of the registers from GICD_IGROUPR (1) to GICD_ICACTIVER (7). But for GICD_IGROUPR, a 0 does nothing.
    fn write_bit(&mut self, register: usize, cpu: usize, intid: usize, bit: bool) {
        let row = self.row(cpu, intid);
        match (register, bit) {
            (1, _) => self.group[row][intid] = bit.into(),
            (_, false) => {}
            (2, _) => self.enabled[row][intid] = true,
            (3, _) => self.enabled[row][intid] = is_sgi(intid),
            (4, _) => self.latched[row][intid] = !is_sgi(intid),
            (5, _) => self.latched[row][intid] = false,
            (6, _) if is_sgi(intid) && !self.active[row][intid] => {
                self.active[row][intid] = true;
                self.active_from[row][intid] = cpu;
            }
            (6, _) => self.active[row][intid] = true,
            (7, _) => self.clear_active(cpu, intid),
            _ => unreachable!("register {register}"),
        }
    }
}
