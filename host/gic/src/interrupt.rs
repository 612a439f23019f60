//! The state of one interrupt, and the one predicate for "pending".

/// The group an interrupt is in `[GICv2/4.3.4]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// Group 0: IRQ, or FIQ where GICC_CTLR.FIQEn is set.
    #[default]
    Zero = 0,
    /// Group 1: always IRQ.
    One = 1,
}

/// How an interrupt input is read `[GICv2/4.3.13]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// Pending for as long as the input is high.
    #[default]
    Level,
    /// Pending from a rising edge until acknowledged.
    Edge,
}

/// Everything the Distributor holds about one interrupt. The registers are views of this.
///
/// An SGI or PPI has one of these for each CPU; an SPI has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupt {
    /// GICD_ISENABLER.
    pub enabled: bool,
    /// Made pending by a rising edge or through GICD_ISPENDR. Never set for an SGI, which has `sources`.
    pub pending_latch: bool,
    /// The level of the input now. Always low for an SGI.
    pub line_level: bool,
    /// GICD_ISACTIVER.
    pub active: bool,
    /// GICD_IGROUPR.
    pub group: Group,
    /// GICD_ICFGR. SGIs are edge-triggered.
    pub trigger: Trigger,
    /// GICD_IPRIORITYR. Only the implemented bits are ever set.
    pub priority: u8,
    /// GICD_ITARGETSR of an SPI. Zero for SGIs and PPIs, whose register has a fixed value.
    pub targets: u8,
    /// The CPUs from which an SGI is pending (GICD_SPENDSGIR). Zero for all but SGIs.
    pub sources: u8,
    /// The CPU from which the active SGI came; EOIR and DIR must name it. Zero for all but active SGIs.
    pub source: u8,
}

impl Interrupt {
    /// The input is at `level` now; returns whether it has moved. Only a rising edge sets the latch.
    pub(crate) fn set_level(&mut self, level: bool) -> bool {
        let moves = self.line_level != level;
        if moves && level && self.trigger == Trigger::Edge {
            self.pending_latch = true;
        }
        self.line_level = level;
        moves
    }

    /// **The** predicate for pending: SGI, sources; edge, latch; level, latch or line `[GICv2/4.3.8]`.
    pub fn is_pending(&self) -> bool {
        self.pending_latch || self.sources != 0 || (self.trigger == Trigger::Level && self.line_level)
    }

    /// Enabled, pending and not also active: a pending interrupt that is still active waits `[GICv2/3.2.4]`.
    pub(crate) fn is_deliverable(&self) -> bool {
        self.enabled && !self.active && self.is_pending()
    }

    /// The source CPU that an acknowledge of this interrupt reports: of several the lowest (choice); 0 for all but SGIs.
    pub(crate) fn first_source(&self) -> u8 {
        if self.sources == 0 { 0 } else { self.sources.trailing_zeros() as u8 }
    }

    /// Pending becomes active; returns the source CPU.
    ///
    /// The latch is cleared whatever the trigger. So a level-sensitive interrupt stays pending (active and pending) if
    /// its line is high, and an SGI if it is pending from another CPU too.
    pub(crate) fn acknowledge(&mut self) -> u8 {
        let source = self.first_source();
        self.sources &= self.sources.wrapping_sub(1);
        self.pending_latch = false;
        self.active = true;
        self.source = source;
        source
    }

    /// Made active through GICD_ISACTIVER by `cpu`. Choice: an SGI that was not active counts as sent by that CPU.
    pub(crate) fn activate(&mut self, cpu: usize, is_sgi: bool) {
        if !self.active && is_sgi {
            self.source = cpu as u8;
        }
        self.active = true;
    }

    /// No longer active.
    pub(crate) fn deactivate(&mut self) {
        self.active = false;
        self.source = 0;
    }
}
