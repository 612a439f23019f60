//! The Distributor: registers that are views of each interrupt's state `[GICv2/4.3]`.

use crate::forwarding::ones;
use crate::interrupt::{Group, Interrupt, Trigger};
use crate::priority::PRIORITY_MASK;
use crate::registers::Access;
use crate::{Gic, MAX_CPUS, MAX_SPIS, PRIVATE, SGIS};

// GICD_CTLR `[GICv2/4.3.1]`, layout of an implementation without the Security Extensions.
const ENABLE_GRP0: u32 = 1 << 0;
const ENABLE_GRP1: u32 = 1 << 1;
/// The bits of GICD_CTLR that exist.
pub(crate) const CTLR_BITS: u32 = ENABLE_GRP0 | ENABLE_GRP1;

/// Arm's JEP106 code, continuation 4 and identity 0x3b, which KVM's vGIC names as its implementer too.
pub(crate) const IMPLEMENTER_ARM: u32 = 0x43b;

/// ICPIDR4 to ICPIDR7, ICPIDR0 to ICPIDR3, ICCIDR0 to ICCIDR3, in the order of their addresses `[GICv2/4.3.18]`.
///
/// ICPIDR2\[7:4\] is the architecture version, 2. The designer is [`IMPLEMENTER_ARM`]; the part number is 0, because this
/// is none of Arm's parts.
const IDENTIFICATION: [u8; 12] = [0x04, 0, 0, 0, 0x00, 0xb0, 0x2b, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// What the Distributor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distributor {
    /// GICD_CTLR.
    pub ctlr: u32,
    /// SGIs and PPIs of each CPU.
    pub private: [[Interrupt; PRIVATE]; MAX_CPUS],
    /// SPIs, from INTID 32.
    pub shared: [Interrupt; MAX_SPIS],
}

impl Distributor {
    /// An interrupt as CPU `cpu` sees it. Both must exist.
    pub fn interrupt(&self, cpu: usize, intid: usize) -> &Interrupt {
        if intid < PRIVATE { &self.private[cpu][intid] } else { &self.shared[intid - PRIVATE] }
    }

    pub(crate) fn interrupt_mut(&mut self, cpu: usize, intid: usize) -> &mut Interrupt {
        if intid < PRIVATE { &mut self.private[cpu][intid] } else { &mut self.shared[intid - PRIVATE] }
    }

    fn group_enabled(&self, group: Group) -> bool {
        match group {
            Group::Zero => self.ctlr & ENABLE_GRP0 != 0,
            Group::One => self.ctlr & ENABLE_GRP1 != 0,
        }
    }

    /// Whether an interrupt goes to its targets: it is deliverable, and its group is enabled in GICD_CTLR. This is the
    /// condition in HighestPriorityPendingInterrupt(), where the group enables are applied before prioritization
    /// (IGNORE_GROUP_ENABLE is FALSE).
    pub(crate) fn offers(&self, interrupt: &Interrupt) -> bool {
        interrupt.is_deliverable() && self.group_enabled(interrupt.group)
    }
}

/// How a register with a field for each interrupt is read and written.
impl Gic {
    /// The interrupts that an access covers, as far as they exist.
    fn covered(&self, access: Access) -> &[Interrupt] {
        let Access { cpu, first, count } = access;
        if first < PRIVATE {
            &self.state.distributor.private[cpu][first..first + count]
        } else {
            &self.state.distributor.shared[first - PRIVATE..first - PRIVATE + count]
        }
    }

    /// Reads a field of `BITS` bits for each interrupt.
    fn read_fields<const BITS: usize>(&self, access: Access, field: impl Fn(&Interrupt) -> u8) -> u32 {
        let from_the_last = self.covered(access).iter().rev();
        from_the_last.fold(0, |value, interrupt| value << BITS | u32::from(field(interrupt)))
    }

    /// Writes a field of `BITS` bits for each interrupt from `first` on.
    fn write_fields<const BITS: usize>(
        &mut self,
        access: Access,
        first: usize,
        value: u32,
        write: impl Fn(&mut Interrupt, u8),
    ) {
        for n in 0..access.count {
            let (intid, field) = (access.first + n, value >> (n * BITS) & ((1 << BITS) - 1));
            if intid >= first {
                write(self.state.distributor.interrupt_mut(access.cpu, intid), field as u8);
                self.forward(access.cpu, intid);
            }
        }
    }

    /// Writes one bit for each interrupt from `first` on, to a register where a 0 changes nothing.
    fn write_ones(&mut self, access: Access, first: usize, value: u32, write: impl Fn(&mut Interrupt, usize)) {
        for n in ones(value) {
            let intid = access.first + n;
            if n < access.count && intid >= first {
                write(self.state.distributor.interrupt_mut(access.cpu, intid), intid);
                self.forward(access.cpu, intid);
            }
        }
    }
}

/// What the rows of the table of registers do.
impl Gic {
    pub(crate) fn read_gicd_ctlr(&mut self, _: Access) -> u32 {
        self.state.distributor.ctlr
    }

    pub(crate) fn write_gicd_ctlr(&mut self, _: Access, value: u32) {
        let ctlr = value & CTLR_BITS;
        if self.state.distributor.ctlr != ctlr {
            self.state.distributor.ctlr = ctlr;
            self.forward_all();
        }
    }

    /// ITLinesNumber and CPUNumber; SecurityExtn and LSPI are 0.
    pub(crate) fn read_typer(&mut self, _: Access) -> u32 {
        (self.interrupts().div_ceil(32) - 1) as u32 | (self.cpus() as u32 - 1) << 5
    }

    /// ProductID 'v', variant 0, revision 0.
    pub(crate) fn read_gicd_iidr(&mut self, _: Access) -> u32 {
        u32::from(b'v') << 24 | IMPLEMENTER_ARM
    }

    pub(crate) fn read_group(&mut self, access: Access) -> u32 {
        self.read_fields::<1>(access, |interrupt| interrupt.group as u8)
    }

    pub(crate) fn write_group(&mut self, access: Access, value: u32) {
        self.write_fields::<1>(access, 0, value, |interrupt, field| {
            interrupt.group = if field == 0 { Group::Zero } else { Group::One };
        });
    }

    pub(crate) fn read_enable(&mut self, access: Access) -> u32 {
        self.read_fields::<1>(access, |interrupt| interrupt.enabled.into())
    }

    pub(crate) fn write_set_enable(&mut self, access: Access, value: u32) {
        self.write_ones(access, SGIS, value, |interrupt, _| interrupt.enabled = true);
    }

    pub(crate) fn write_clear_enable(&mut self, access: Access, value: u32) {
        self.write_ones(access, SGIS, value, |interrupt, _| interrupt.enabled = false);
    }

    pub(crate) fn read_pending(&mut self, access: Access) -> u32 {
        self.read_fields::<1>(access, |interrupt| interrupt.is_pending().into())
    }

    /// Only GICD_SGIR and GICD_SPENDSGIR make SGIs pending.
    pub(crate) fn write_set_pending(&mut self, access: Access, value: u32) {
        self.write_ones(access, SGIS, value, |interrupt, _| interrupt.pending_latch = true);
    }

    /// Only the latch: a level-sensitive interrupt whose line is high stays pending.
    pub(crate) fn write_clear_pending(&mut self, access: Access, value: u32) {
        self.write_ones(access, SGIS, value, |interrupt, _| interrupt.pending_latch = false);
    }

    pub(crate) fn read_active(&mut self, access: Access) -> u32 {
        self.read_fields::<1>(access, |interrupt| interrupt.active.into())
    }

    pub(crate) fn write_set_active(&mut self, access: Access, value: u32) {
        self.write_ones(access, 0, value, |interrupt, intid| interrupt.activate(access.cpu, intid < SGIS));
    }

    pub(crate) fn write_clear_active(&mut self, access: Access, value: u32) {
        self.write_ones(access, 0, value, |interrupt, _| interrupt.deactivate());
    }

    pub(crate) fn read_priority(&mut self, access: Access) -> u32 {
        self.read_fields::<8>(access, |interrupt| interrupt.priority)
    }

    pub(crate) fn write_priority(&mut self, access: Access, value: u32) {
        self.write_fields::<8>(access, 0, value, |interrupt, field| interrupt.priority = field & PRIORITY_MASK);
    }

    /// GICD_ITARGETSR0 to 7 read as the CPU that reads them, in each byte; see the crate's documentation for one CPU.
    pub(crate) fn read_targets(&mut self, access: Access) -> u32 {
        let own = 1 << access.cpu;
        self.read_fields::<8>(access, |interrupt| if access.first < PRIVATE { own } else { interrupt.targets })
    }

    /// GICD_ITARGETSR0 to 7 are read-only; the bits of CPUs that don't exist are RAZ/WI.
    pub(crate) fn write_targets(&mut self, access: Access, value: u32) {
        let cpus = self.cpu_mask();
        self.write_fields::<8>(access, PRIVATE, value, |interrupt, field| interrupt.targets = field & cpus);
    }

    /// Bit 1 of each field; bit 0 is reserved in GICv2.
    pub(crate) fn read_config(&mut self, access: Access) -> u32 {
        self.read_fields::<2>(access, |interrupt| (interrupt.trigger as u8) << 1)
    }

    /// SGIs are edge-triggered and PPIs level-sensitive; only SPIs can be configured.
    ///
    /// Choice: the latch and the line keep their value when the trigger changes, and neither sets the other.
    pub(crate) fn write_config(&mut self, access: Access, value: u32) {
        self.write_fields::<2>(access, PRIVATE, value, |interrupt, field| {
            interrupt.trigger = if field & 2 == 0 { Trigger::Level } else { Trigger::Edge };
        });
    }

    /// Makes an SGI pending from the CPU that writes. NSATT has no meaning without the Security Extensions.
    pub(crate) fn write_sgir(&mut self, access: Access, value: u32) {
        let own = 1 << access.cpu;
        let targets = match value >> 24 & 3 {
            0 => (value >> 16) as u8,
            1 => !own,
            2 => own,
            // Reserved; choice: ignored.
            _ => 0,
        };
        let intid = value as usize & 0xf;
        for cpu in ones(u32::from(targets & self.cpu_mask())) {
            self.state.distributor.private[cpu][intid].sources |= own;
            self.forward(cpu, intid);
        }
    }

    pub(crate) fn read_sgi_pending(&mut self, access: Access) -> u32 {
        self.read_fields::<8>(access, |interrupt| interrupt.sources)
    }

    pub(crate) fn write_clear_sgi_pending(&mut self, access: Access, value: u32) {
        self.write_fields::<8>(access, 0, value, |interrupt, field| interrupt.sources &= !field);
    }

    pub(crate) fn write_set_sgi_pending(&mut self, access: Access, value: u32) {
        let cpus = self.cpu_mask();
        self.write_fields::<8>(access, 0, value, |interrupt, field| interrupt.sources |= field & cpus);
    }

    pub(crate) fn read_identification(&mut self, access: Access) -> u32 {
        IDENTIFICATION[access.first].into()
    }
}
