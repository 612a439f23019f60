//! The interrupt controller that the host gave this guest, whichever it is.

use vtick_abi::measure::chip;

use crate::{gicv2, gicv3};

/// What an acknowledgement reads when there is nothing to acknowledge ([GICv2/3.2.5]).
pub(crate) const SPURIOUS: u32 = 1023;

/// The interrupt controller of one vCPU.
pub(crate) enum Irqchip {
    /// GICv2, in userspace or in the kernel.
    V2(gicv2::Gic),
    /// GICv3.
    V3(gicv3::Gic),
}

/// Does the same on either.
macro_rules! each {
    ($self:ident, $gic:ident => $body:expr) => {
        match $self {
            Irqchip::V2($gic) => $body,
            Irqchip::V3($gic) => $body,
        }
    };
}

impl Irqchip {
    /// The controller of kind `number` ([`chip`]), for the vCPU with this index.
    #[inline(always)]
    pub(crate) fn new(number: u32, vcpu: usize) -> Irqchip {
        match number {
            chip::GICV2 => Irqchip::V2(gicv2::Gic::new()),
            _ => Irqchip::V3(gicv3::Gic::new(vcpu)),
        }
    }

    /// Turns it on for this CPU, for all priorities.
    pub(crate) fn enable(&self) {
        each!(self, gic => gic.enable());
    }

    /// Enables one private interrupt.
    pub(crate) fn enable_interrupt(&self, intid: u32) {
        each!(self, gic => gic.enable_interrupt(intid));
    }

    /// Reads a distributor register without side effects.
    pub(crate) fn read(&self) -> u32 {
        each!(self, gic => gic.read_ctlr())
    }

    /// Sends an SGI only to this CPU.
    pub(crate) fn send_to_self(&self, intid: u32) {
        each!(self, gic => gic.send_to_self(intid));
    }

    /// Sends an SGI only to the vCPU with this index.
    pub(crate) fn send_to(&self, vcpu: usize, intid: u32) {
        each!(self, gic => gic.send_to(vcpu, intid));
    }

    /// Acknowledges. Returns the raw value; its INTID is [`intid`].
    #[inline(always)]
    pub(crate) fn acknowledge(&self) -> u32 {
        each!(self, gic => gic.acknowledge())
    }

    /// Ends the interrupt that was acknowledged with `iar` (raw: a GICv2 wants an SGI's source CPU back too).
    #[inline(always)]
    pub(crate) fn end(&self, iar: u32) {
        each!(self, gic => gic.end(iar));
    }
}

/// The INTID in what an acknowledgement read. A GICv3 has 24 bits of it, of which no more are used here.
pub(crate) fn intid(iar: u32) -> u32 {
    gicv2::intid(iar)
}
