//! The CPU interface: acknowledging, ending and deactivating interrupts `[GICv2/4.4]`.

use crate::distributor::IMPLEMENTER_ARM;
use crate::interrupt::{Group, Interrupt};
use crate::priority::{ActivePriorities, MIN_BINARY_POINT, PRIORITY_MASK, group_priority_mask};
use crate::registers::Access;
use crate::{Gic, SGIS};

/// INTID read when the highest priority interrupt is one of Group 1, and the read is one for Group 0 `[GICv2/3.4.2]`.
const GROUP_1_WAITS: u32 = 1022;
/// INTID read when there is nothing to acknowledge `[GICv2/3.4.2]`.
const SPURIOUS: u32 = 1023;

// GICC_CTLR `[GICv2/4.4.1]`, layout of an implementation without the Security Extensions.
const ENABLE_GRP0: u32 = 1 << 0;
const ENABLE_GRP1: u32 = 1 << 1;
const ACK_CTL: u32 = 1 << 2;
const FIQ_EN: u32 = 1 << 3;
const CBPR: u32 = 1 << 4;
const BYPASS_DISABLE: u32 = 0xf << 5;
const EOI_MODE: u32 = 1 << 9;
/// The bits of GICC_CTLR that exist.
pub(crate) const CTLR_BITS: u32 = ENABLE_GRP0 | ENABLE_GRP1 | ACK_CTL | FIQ_EN | CBPR | BYPASS_DISABLE | EOI_MODE;

/// The registers of one CPU's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuInterface {
    /// GICC_CTLR.
    pub ctlr: u32,
    /// GICC_PMR.
    pub pmr: u8,
    /// GICC_BPR.
    pub bpr: u8,
    /// GICC_ABPR.
    pub abpr: u8,
    /// GICC_APR0: the active priorities of Group 0.
    pub apr: ActivePriorities,
    /// GICC_NSAPR0: the active priorities of Group 1.
    pub nsapr: ActivePriorities,
}

impl CpuInterface {
    pub(crate) const RESET: CpuInterface = CpuInterface {
        ctlr: 0,
        pmr: 0,
        bpr: MIN_BINARY_POINT,
        abpr: MIN_BINARY_POINT,
        apr: ActivePriorities(0),
        nsapr: ActivePriorities(0),
    };

    /// The interrupt, were it the highest pending one, is signalled to the CPU.
    pub(crate) fn accepts(&self, interrupt: &Interrupt) -> bool {
        interrupt.priority < self.pmr && self.preempts(interrupt) && self.group_enabled(interrupt.group)
    }

    /// Nothing is active, or the interrupt's group priority is higher than the running one's. Both are cut by the
    /// binary point of the *new* interrupt, as in UpdateExceptionState().
    fn preempts(&self, interrupt: &Interrupt) -> bool {
        let mask = self.group_priority_mask(interrupt.group);
        (self.apr.is_empty() && self.nsapr.is_empty()) || interrupt.priority & mask < self.running_priority() & mask
    }

    /// GICC_ABPR applies to Group 1 unless CBPR is set. Without the Security Extensions its value means what GICC_BPR's
    /// does: in GIC_PriorityMask() NS_mask is then 0.
    fn group_priority_mask(&self, group: Group) -> u8 {
        let binary_point = if group == Group::Zero || self.ctlr & CBPR != 0 { self.bpr } else { self.abpr };
        group_priority_mask(binary_point)
    }

    fn running_priority(&self) -> u8 {
        self.apr.highest().min(self.nsapr.highest())
    }

    fn active_priorities(&mut self, group: Group) -> &mut ActivePriorities {
        match group {
            Group::Zero => &mut self.apr,
            Group::One => &mut self.nsapr,
        }
    }

    fn group_enabled(&self, group: Group) -> bool {
        match group {
            Group::Zero => self.ctlr & ENABLE_GRP0 != 0,
            Group::One => self.ctlr & ENABLE_GRP1 != 0,
        }
    }

    pub(crate) fn fiq_enabled(&self) -> bool {
        self.ctlr & FIQ_EN != 0
    }

    fn eoi_only_drops(&self) -> bool {
        self.ctlr & EOI_MODE != 0
    }

    /// What a read for `register` does with an interrupt of `group` `[GICv2/4.4.4]`, `[GICv2/4.4.9]`: it returns the
    /// special INTID that is read instead, if it isn't that register's to see.
    fn hidden(&self, register: Register, group: Group) -> Option<u32> {
        match (register, group) {
            (Register::Unaliased, Group::Zero) | (Register::Aliased, Group::One) => None,
            (Register::Unaliased, Group::One) if self.ctlr & ACK_CTL != 0 => None,
            (Register::Unaliased, Group::One) => Some(GROUP_1_WAITS),
            (Register::Aliased, Group::Zero) => Some(SPURIOUS),
        }
    }
}

/// The two sets of registers: GICC_IAR, EOIR and HPPIR, and GICC_AIAR, AEOIR and AHPPIR, which are only for Group 1.
#[derive(Clone, Copy)]
enum Register {
    Unaliased,
    Aliased,
}

/// An INTID and the source CPU of an SGI, as GICC_IAR, EOIR and DIR hold them.
fn encode(intid: usize, source: u8) -> u32 {
    intid as u32 | u32::from(source) << 10
}

fn decode(value: u32) -> (usize, u8) {
    ((value & 0x3ff) as usize, (value >> 10 & 7) as u8)
}

impl Gic {
    /// The CPU interface, to be changed.
    fn cpu_interface(&mut self, access: Access) -> &mut CpuInterface {
        self.cpu_interface_changed(access.cpu);
        &mut self.state.cpu_interfaces[access.cpu]
    }

    /// Acknowledges the signalled interrupt, if there is one that `register` may see.
    fn acknowledge(&mut self, cpu: usize, register: Register) -> u32 {
        let Some(intid) = self.signalled(cpu) else { return SPURIOUS };
        let interrupt = self.state.distributor.interrupt_mut(cpu, intid);
        let cpu_interface = &mut self.state.cpu_interfaces[cpu];
        if let Some(special) = cpu_interface.hidden(register, interrupt.group) {
            return special;
        }
        let mask = cpu_interface.group_priority_mask(interrupt.group);
        cpu_interface.active_priorities(interrupt.group).raise(interrupt.priority & mask);
        let source = interrupt.acknowledge();
        // The interrupt was offered, and is active now: this marks the CPU for its changed CPU interface, too.
        self.forward(cpu, intid);
        encode(intid, source)
    }

    /// The highest pending interrupt of any priority, if `register` may see it and its group is enabled here.
    fn highest_pending(&self, cpu: usize, register: Register) -> u32 {
        let Some(intid) = self.forwarding[cpu].highest.map(usize::from) else { return SPURIOUS };
        let interrupt = self.state.distributor.interrupt(cpu, intid);
        let cpu_interface = &self.state.cpu_interfaces[cpu];
        if !cpu_interface.group_enabled(interrupt.group) {
            return SPURIOUS;
        }
        cpu_interface.hidden(register, interrupt.group).unwrap_or_else(|| encode(intid, interrupt.first_source()))
    }

    /// Priority drop and, with EOImode 0, deactivation.
    ///
    /// The specification asks for the value that the last acknowledge gave; anything else is UNPREDICTABLE. Choices:
    /// special and nonexistent INTIDs are ignored, and so is the end of an interrupt in whose group no priority is active
    /// on this CPU. Otherwise the highest active priority of the interrupt's group is dropped, whether or not that
    /// interrupt is still active: another CPU may have deactivated it. GICC_EOIR ends a Group 1 interrupt even if AckCtl
    /// is 0; GICC_AEOIR doesn't end a Group 0 interrupt.
    fn end(&mut self, access: Access, register: Register, value: u32) {
        let (intid, source) = decode(value);
        if intid >= self.interrupts() {
            return;
        }
        let interrupt = self.state.distributor.interrupt_mut(access.cpu, intid);
        let cpu_interface = &mut self.state.cpu_interfaces[access.cpu];
        if matches!((register, interrupt.group), (Register::Aliased, Group::Zero)) {
            return;
        }
        let active_priorities = cpu_interface.active_priorities(interrupt.group);
        if active_priorities.is_empty() {
            return;
        }
        active_priorities.drop_highest();
        let deactivated = !cpu_interface.eoi_only_drops() && deactivate(interrupt, intid, source);
        self.cpu_interface_changed(access.cpu);
        if deactivated {
            self.forward(access.cpu, intid);
        }
    }
}

/// Deactivates an interrupt, and says whether. Choice: an SGI is deactivated only by a value that names the CPU it came
/// from.
fn deactivate(interrupt: &mut Interrupt, intid: usize, source: u8) -> bool {
    let named = intid >= SGIS || interrupt.source == source;
    if named {
        interrupt.deactivate();
    }
    named
}

/// What the rows of the table of registers do.
impl Gic {
    pub(crate) fn read_gicc_ctlr(&mut self, access: Access) -> u32 {
        self.state.cpu_interfaces[access.cpu].ctlr
    }

    pub(crate) fn write_gicc_ctlr(&mut self, access: Access, value: u32) {
        self.cpu_interface(access).ctlr = value & CTLR_BITS;
    }

    pub(crate) fn read_pmr(&mut self, access: Access) -> u32 {
        self.state.cpu_interfaces[access.cpu].pmr.into()
    }

    pub(crate) fn write_pmr(&mut self, access: Access, value: u32) {
        self.cpu_interface(access).pmr = value as u8 & PRIORITY_MASK;
    }

    pub(crate) fn read_bpr(&mut self, access: Access) -> u32 {
        self.state.cpu_interfaces[access.cpu].bpr.into()
    }

    /// A value below the least one sets the least one `[GICv2/4.4.3]`.
    pub(crate) fn write_bpr(&mut self, access: Access, value: u32) {
        self.cpu_interface(access).bpr = (value as u8 & 7).max(MIN_BINARY_POINT);
    }

    pub(crate) fn read_abpr(&mut self, access: Access) -> u32 {
        self.state.cpu_interfaces[access.cpu].abpr.into()
    }

    pub(crate) fn write_abpr(&mut self, access: Access, value: u32) {
        self.cpu_interface(access).abpr = (value as u8 & 7).max(MIN_BINARY_POINT);
    }

    pub(crate) fn read_iar(&mut self, access: Access) -> u32 {
        self.acknowledge(access.cpu, Register::Unaliased)
    }

    pub(crate) fn read_aiar(&mut self, access: Access) -> u32 {
        self.acknowledge(access.cpu, Register::Aliased)
    }

    pub(crate) fn write_eoir(&mut self, access: Access, value: u32) {
        self.end(access, Register::Unaliased, value);
    }

    pub(crate) fn write_aeoir(&mut self, access: Access, value: u32) {
        self.end(access, Register::Aliased, value);
    }

    /// Choice: ignored with EOImode 0, where `[GICv2/4.4.15]` leaves it UNPREDICTABLE.
    pub(crate) fn write_dir(&mut self, access: Access, value: u32) {
        let (intid, source) = decode(value);
        if intid < self.interrupts()
            && self.state.cpu_interfaces[access.cpu].eoi_only_drops()
            && deactivate(self.state.distributor.interrupt_mut(access.cpu, intid), intid, source)
        {
            self.forward(access.cpu, intid);
        }
    }

    pub(crate) fn read_rpr(&mut self, access: Access) -> u32 {
        self.state.cpu_interfaces[access.cpu].running_priority().into()
    }

    pub(crate) fn read_hppir(&mut self, access: Access) -> u32 {
        self.highest_pending(access.cpu, Register::Unaliased)
    }

    pub(crate) fn read_ahppir(&mut self, access: Access) -> u32 {
        self.highest_pending(access.cpu, Register::Aliased)
    }

    /// 32 preemption levels fit in the first of the four registers; the others are RAZ/WI `[GICv2/4.4.12]`.
    pub(crate) fn read_apr(&mut self, access: Access) -> u32 {
        if access.first == 0 { self.state.cpu_interfaces[access.cpu].apr.0 } else { 0 }
    }

    pub(crate) fn write_apr(&mut self, access: Access, value: u32) {
        if access.first == 0 {
            self.cpu_interface(access).apr.0 = value;
        }
    }

    pub(crate) fn read_nsapr(&mut self, access: Access) -> u32 {
        if access.first == 0 { self.state.cpu_interfaces[access.cpu].nsapr.0 } else { 0 }
    }

    pub(crate) fn write_nsapr(&mut self, access: Access, value: u32) {
        if access.first == 0 {
            self.cpu_interface(access).nsapr.0 = value;
        }
    }

    /// ProductID 'v', architecture version 2.
    pub(crate) fn read_gicc_iidr(&mut self, _: Access) -> u32 {
        u32::from(b'v') << 20 | 2 << 16 | IMPLEMENTER_ARM
    }
}
