//! What stands between a vCPU's levels and its lines in a measurement, and answers its accesses to the GIC.

use vtick_abi::layout::{GICC_BASE, GICC_SIZE, GICD_BASE, GICD_SIZE};

use super::vm::Vm;
use super::{Error, clock};
use vtick_core::controller::{Access, Controller};
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line};
use vtick_latency::{AccessCosts, Register};

/// One vCPU's end of an interrupt controller. The loop that uses it is compiled for each.
pub(super) trait Chip {
    /// Whether `exit` is an access that this controller answers; and the answer. Drives the lines to where they belong
    /// now, counting the calls.
    fn step(&mut self, vm: &Vm, levels: Levels, exit: Exit, lines: &mut u64) -> Result<Option<u64>, Error>;

    /// The levels it has seen.
    fn seen(&self) -> Levels;

    /// KVM_RUN has returned, and what it returned is parsed.
    #[inline(always)]
    fn returned(&mut self, _stamp: u64) {}

    /// KVM_RUN is about to be entered.
    #[inline(always)]
    fn entering(&mut self) {}
}

/// vtick's GICv2.
pub(super) struct User<'a> {
    pub(super) controller: &'a Controller,
    pub(super) cpu: usize,
    pub(super) seen: Levels,
}

impl Chip for User<'_> {
    #[inline(always)]
    fn step(&mut self, vm: &Vm, levels: Levels, exit: Exit, lines: &mut u64) -> Result<Option<u64>, Error> {
        let access = Access::of(exit);
        let (answer, changed) = self.controller.update(self.cpu, &mut self.seen, levels, access);
        if changed != 0 {
            self.controller.settle(changed, |cpu, line, level| {
                *lines += 1;
                vm.irq_line(cpu, line, level)
            })?;
        }
        Ok(access.map(|_| answer))
    }

    #[inline(always)]
    fn seen(&self) -> Levels {
        self.seen
    }
}

/// vtick's GICv2, and a note of what userspace spends on each access to it.
pub(super) struct Counted<'a> {
    pub(super) user: User<'a>,
    pub(super) costs: AccessCosts,
    /// The access under way.
    access: Option<Access>,
    /// When KVM_RUN returned, and how many ticks KVM_IRQ_LINE has taken since.
    since: u64,
    apart: u64,
}

impl Counted<'_> {
    pub(super) fn new(user: User<'_>) -> Counted<'_> {
        Counted { user, costs: AccessCosts::default(), access: None, since: 0, apart: 0 }
    }
}

impl Chip for Counted<'_> {
    #[inline(always)]
    fn step(&mut self, vm: &Vm, levels: Levels, exit: Exit, lines: &mut u64) -> Result<Option<u64>, Error> {
        let access = Access::of(exit);
        self.access = access;
        let User { controller, cpu, ref mut seen } = self.user;
        let (answer, changed) = controller.update(cpu, seen, levels, access);
        if changed != 0 {
            controller.settle(changed, |cpu, line, level| {
                *lines += 1;
                let before = clock::stamp();
                let driven = vm.irq_line(cpu, line, level);
                self.apart += clock::stamp() - before;
                driven
            })?;
        }
        Ok(access.map(|_| answer))
    }

    #[inline(always)]
    fn seen(&self) -> Levels {
        self.user.seen
    }

    #[inline(always)]
    fn returned(&mut self, stamp: u64) {
        (self.since, self.apart) = (stamp, 0);
    }

    #[inline(always)]
    fn entering(&mut self) {
        let now = clock::stamp();
        // What follows is not counted.
        if let Some(register) = self.access.take().as_ref().and_then(Register::of) {
            self.costs.note(register, now - self.since - self.apart);
        }
    }
}

/// The least that makes a guest's timer interrupt work: the level goes to the line, and every access to the GIC reads as
/// the one INTID there is.
pub(super) struct Bare {
    pub(super) cpu: usize,
    pub(super) intid: u64,
    pub(super) seen: Levels,
}

impl Chip for Bare {
    #[inline(always)]
    fn step(&mut self, vm: &Vm, levels: Levels, exit: Exit, lines: &mut u64) -> Result<Option<u64>, Error> {
        if levels != self.seen {
            self.seen = levels;
            *lines += 1;
            vm.irq_line(self.cpu, Line::Irq, levels != Levels::NONE)?;
        }
        let gic = |address: u64| address.wrapping_sub(GICD_BASE) < GICC_BASE + GICC_SIZE - GICD_BASE;
        const _: () = assert!(GICD_BASE + GICD_SIZE <= GICC_BASE, "one comparison covers both frames");
        Ok(exit.address().filter(|&address| gic(address)).map(|_| self.intid))
    }

    #[inline(always)]
    fn seen(&self) -> Levels {
        self.seen
    }
}

/// The kernel's own: no level and no access to it comes to userspace.
pub(super) struct Kernel;

impl Chip for Kernel {
    #[inline(always)]
    fn step(&mut self, _: &Vm, _: Levels, _: Exit, _: &mut u64) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    #[inline(always)]
    fn seen(&self) -> Levels {
        Levels::NONE
    }
}
