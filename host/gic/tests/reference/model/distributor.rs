//! The accesses to the Distributor, byte by byte.

use std::collections::BTreeSet;

use super::{Model, bits_of, is_sgi, set_of};

impl Model {
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
