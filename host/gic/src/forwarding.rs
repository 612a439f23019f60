//! Which interrupts the Distributor forwards to each CPU interface, the highest of them, and the level of the lines.
//!
//! This is a cache of what [`State`](crate::State) implies, kept so that no access scans a thousand interrupts.
//! **Invariant**, whenever no call into the GIC is under way, for each CPU that exists:
//!
//! * bit `intid` of `forwarded` is set if and only if [`Gic::is_forwarded`] says so; bit `w` of `words` if and only if
//!   word `w` of it isn't zero; and that CPU's bit of `forwarded_to[intid - 32]` is the same as bit `intid` of `forwarded`
//!   for an SPI;
//! * `highest` is the interrupt of the highest priority in `forwarded`, of several the one with the lowest INTID;
//! * `lines` is what [`Gic::signal`] says.
//!
//! So everything that changes an interrupt calls [`Gic::forward`] for it, everything that changes a CPU interface calls
//! [`Gic::cpu_interface_changed`], and [`Gic::settle`] ends every such call.

use crate::interrupt::{Group, Interrupt};
use crate::{Gic, Lines, MAX_INTERRUPTS, PRIVATE};

const WORDS: usize = MAX_INTERRUPTS.div_ceil(32);

/// What the Distributor offers one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forwarding {
    pub(crate) forwarded: [u32; WORDS],
    pub(crate) words: u32,
    pub(crate) highest: Option<u16>,
    pub(crate) lines: Lines,
}

impl Forwarding {
    pub(crate) const EMPTY: Forwarding =
        Forwarding { forwarded: [0; WORDS], words: 0, highest: None, lines: Lines { irq: false, fiq: false } };

    /// The one interrupt that is forwarded, or none (`Some(None)`); `None`: there are several.
    fn only(&self) -> Option<Option<u16>> {
        if self.words == 0 {
            return Some(None);
        }
        let word = self.words.trailing_zeros();
        let forwarded = self.forwarded[word as usize];
        let single = self.words.is_power_of_two() && forwarded.is_power_of_two();
        single.then(|| Some((word * 32 + forwarded.trailing_zeros()) as u16))
    }

    /// Notes whether the interrupt of this bit in this word is forwarded; returns whether it was.
    #[inline]
    fn put(&mut self, word: usize, bit: usize, is: bool) -> bool {
        let was = self.forwarded[word];
        self.forwarded[word] = was & !(1 << bit) | u32::from(is) << bit;
        self.words = self.words & !(1 << word) | u32::from(self.forwarded[word] != 0) << word;
        was >> bit & 1 != 0
    }
}

/// The numbers of the bits set in `bits`, lowest first.
pub(crate) fn ones(mut bits: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        bit
    })
}

impl Gic {
    /// The CPUs that an interrupt goes to: `[GICv2/4.3.12]` for SPIs.
    fn targets(&self, cpu: usize, intid: usize, interrupt: &Interrupt) -> u8 {
        if intid < PRIVATE {
            1 << cpu
        } else if self.cpus() == 1 {
            // "In a uniprocessor implementation, all interrupts target the one processor."
            1
        } else {
            interrupt.targets
        }
    }

    /// The CPUs that the Distributor forwards the interrupt to: its targets, if it offers the interrupt at all.
    fn forwards_to(&self, cpu: usize, intid: usize) -> u8 {
        let interrupt = self.state.distributor.interrupt(cpu, intid);
        if self.state.distributor.offers(interrupt) { self.targets(cpu, intid, interrupt) } else { 0 }
    }

    pub(crate) fn is_forwarded(&self, cpu: usize, intid: usize) -> bool {
        self.forwards_to(cpu, intid) & 1 << cpu != 0
    }

    /// One interrupt has changed: brings its bits up to date. `cpu` tells whose it is if it is an SGI or PPI.
    #[inline]
    pub(crate) fn forward(&mut self, cpu: usize, intid: usize) {
        if intid < PRIVATE { self.forward_private(cpu, intid) } else { self.forward_shared(intid) }
    }

    /// An SGI or PPI can only go to the CPU that it belongs to, and its bit stands in the first word.
    #[inline]
    pub(crate) fn forward_private(&mut self, cpu: usize, intid: usize) {
        let distributor = &self.state.distributor;
        let is = distributor.offers(&distributor.private[cpu][intid]);
        let was = self.forwarding[cpu].put(0, intid, is);
        // Even where it was and still is forwarded, its priority or group may have changed.
        self.stale |= u8::from(was | is) << cpu;
    }

    pub(crate) fn forward_shared(&mut self, intid: usize) {
        let is = self.forwards_to(0, intid);
        let was = core::mem::replace(&mut self.forwarded_to[intid - PRIVATE], is);
        self.stale |= was | is;
        for cpu in ones((was ^ is).into()) {
            self.forwarding[cpu].put(intid / 32, intid % 32, is >> cpu & 1 != 0);
        }
    }

    /// A CPU interface has changed. That moves its lines only if something is offered to it.
    #[inline]
    pub(crate) fn cpu_interface_changed(&mut self, cpu: usize) {
        self.stale |= u8::from(self.forwarding[cpu].words != 0) << cpu;
    }

    /// Everything may have changed.
    pub(crate) fn forward_all(&mut self) {
        for cpu in 0..self.cpus() {
            for intid in 0..PRIVATE {
                self.forward(cpu, intid);
            }
        }
        for intid in PRIVATE..self.interrupts() {
            self.forward(0, intid);
        }
    }

    /// HighestPriorityPendingInterrupt(): of the forwarded interrupts the one of the highest priority; of several the one
    /// with the lowest INTID (choice).
    fn find_highest(&self, cpu: usize) -> Option<u16> {
        let forwarding = &self.forwarding[cpu];
        let mut highest = None;
        let mut highest_priority = u16::MAX;
        for word in ones(forwarding.words) {
            for bit in ones(forwarding.forwarded[word]) {
                let intid = word * 32 + bit;
                let priority = u16::from(self.state.distributor.interrupt(cpu, intid).priority);
                if priority < highest_priority {
                    (highest, highest_priority) = (Some(intid as u16), priority);
                }
            }
        }
        highest
    }

    /// The lines that the CPU interface drives, if `highest` is what the Distributor offers it: **the** predicate for
    /// "deliverable now".
    ///
    /// UpdateExceptionState() and GenerateExceptions(): its priority is higher than GICC_PMR, its group priority is
    /// higher than the running priority, and its group is enabled in GICC_CTLR. The group enable comes last, so an
    /// interrupt of a group that is disabled here hides every lower one.
    pub(crate) fn signal(&self, cpu: usize, highest: Option<u16>) -> Lines {
        let Some(intid) = highest else { return Lines::default() };
        let interrupt = self.state.distributor.interrupt(cpu, usize::from(intid));
        let cpu_interface = &self.state.cpu_interfaces[cpu];
        let is_signalled = cpu_interface.accepts(interrupt);
        let is_fiq = interrupt.group == Group::Zero && cpu_interface.fiq_enabled();
        Lines { irq: is_signalled && !is_fiq, fiq: is_signalled && is_fiq }
    }

    /// The interrupt that the CPU interface signals now.
    pub(crate) fn signalled(&self, cpu: usize) -> Option<usize> {
        let Forwarding { lines, highest, .. } = self.forwarding[cpu];
        if lines.irq || lines.fiq { highest.map(usize::from) } else { None }
    }

    /// Brings `highest` and `lines` of every stale CPU up to date, and notes whose lines have moved.
    #[inline]
    pub(crate) fn settle(&mut self) {
        while self.stale != 0 {
            let cpu = self.stale.trailing_zeros() as usize;
            self.stale &= self.stale - 1;
            self.settle_cpu(cpu);
        }
    }

    /// As a rule there is one forwarded interrupt, or none: then there is nothing to search.
    ///
    /// This and what it calls last are functions of their own, so that none has registers to save for another: 28
    /// instructions of the 412 that a write to GICD_SGIR took userspace.
    #[inline(never)]
    fn settle_cpu(&mut self, cpu: usize) {
        match self.forwarding[cpu].only() {
            Some(highest) => self.offer(cpu, highest),
            None => self.search(cpu),
        }
    }

    #[cold]
    #[inline(never)]
    fn search(&mut self, cpu: usize) {
        self.offer(cpu, self.find_highest(cpu));
    }

    /// The Distributor offers `highest` to CPU `cpu`.
    #[inline(never)]
    fn offer(&mut self, cpu: usize, highest: Option<u16>) {
        let lines = self.signal(cpu, highest);
        let forwarding = &mut self.forwarding[cpu];
        forwarding.highest = highest;
        if forwarding.lines != lines {
            forwarding.lines = lines;
            self.changed |= 1 << cpu;
        }
    }
}
