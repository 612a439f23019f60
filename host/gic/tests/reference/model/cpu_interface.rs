//! The accesses to a CPU interface.

use super::{CpuControl, Model, SPURIOUS, is_sgi, set_of};

impl Model {
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

    pub(super) fn clear_active(&mut self, cpu: usize, intid: usize) {
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
}
