//! From levels to lines: the one place where a change of `device_irq_level` becomes a GIC input, and a GIC output a
//! CPU line.
//!
//! Every vCPU's thread calls in here after each return of KVM_RUN. The threads of the console and of the machine's timer
//! call in when a device's output moves. The GIC's lock is held only for the update, never over a system call; before it is released, the outputs that moved are copied to
//! `wanted`. A second lock per vCPU keeps the order of its KVM_IRQ_LINE calls: whoever holds it looks the wanted level up
//! again, and whoever moved it comes for the lock after that, so the last call always says what the GIC says.
//!
//! No thread holds both locks.

use std::sync::atomic::{AtomicU8, Ordering};

use vtick_abi::layout::{GICC_BASE, GICC_SIZE, GICD_BASE, GICD_SIZE, MAX_VCPUS};
use vtick_gic::{Gic, Lines, State, StateError};

use crate::exit::Exit;
use crate::lines::{INTIDS, Levels, Line, Routing};

/// SPIs of the GIC: enough for the devices of QEMU's `virt` machine.
const SPIS: usize = 224;

/// An access to one of the GIC's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    frame: Frame,
    offset: u64,
    len: usize,
    /// What is written; `None`: a read.
    write: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Distributor,
    CpuInterface,
}

impl Access {
    /// The access at a guest physical address, if that lies in a frame of the GIC. `write` is the value written.
    #[inline(always)]
    pub fn at(address: u64, len: u8, write: Option<u64>) -> Option<Access> {
        let (frame, offset) = if (GICC_BASE..GICC_BASE + GICC_SIZE).contains(&address) {
            (Frame::CpuInterface, address - GICC_BASE)
        } else if (GICD_BASE..GICD_BASE + GICD_SIZE).contains(&address) {
            (Frame::Distributor, address - GICD_BASE)
        } else {
            return None;
        };
        Some(Access { frame, offset, len: usize::from(len), write: write.map(|value| value as u32) })
    }

    /// The access that a return of KVM_RUN is.
    #[inline(always)]
    pub fn of(exit: Exit) -> Option<Access> {
        match exit {
            Exit::MmioRead { address, len } => Access::at(address, len, None),
            Exit::MmioWrite { address, len, value } => Access::at(address, len, Some(value)),
            _ => None,
        }
    }

    /// Whether it acknowledges an interrupt: a read of GICC_IAR or GICC_AIAR `[GICv2/4.4.4, 4.4.9]`.
    #[inline(always)]
    pub fn acknowledges(&self) -> bool {
        self.frame == Frame::CpuInterface && matches!(self.offset, 0x0c | 0x20) && self.write.is_none()
    }

    /// Its guest physical address.
    pub fn address(&self) -> u64 {
        match self.frame {
            Frame::Distributor => GICD_BASE + self.offset,
            Frame::CpuInterface => GICC_BASE + self.offset,
        }
    }

    /// Bytes.
    pub fn width(&self) -> u8 {
        self.len as u8
    }

    /// What is written; `None`: a read.
    pub fn write(&self) -> Option<u32> {
        self.write
    }
}

/// The interrupt controller of a VM, or the wire that stands in for it, and the lines it drives.
pub struct Controller {
    routing: Routing,
    /// This lock and those of `driven` are taken on each access: they have no poison to look at.
    gic: parking_lot::Mutex<Gic>,
    /// Where each vCPU's lines belong ([`encode`]): the GIC's outputs, written with `gic` locked, so that they need not
    /// be asked for again; or the wire's, written by the vCPU's own thread.
    wanted: [AtomicU8; MAX_VCPUS],
    /// What KVM_IRQ_LINE was last told, a vCPU each ([`encode`]).
    driven: [parking_lot::Mutex<u8>; MAX_VCPUS],
}

impl Controller {
    /// A controller for `vcpus` vCPUs, all lines low.
    ///
    /// # Panics
    /// Unless `vcpus` is 1 to 8.
    pub fn new(vcpus: usize, routing: Routing) -> Controller {
        let gic = Gic::new(vcpus, SPIS).expect("1 to 8 vCPUs");
        let wanted = std::array::from_fn(|cpu| AtomicU8::new(encode(gic.output(cpu))));
        Controller { routing, gic: parking_lot::Mutex::new(gic), wanted, driven: Default::default() }
    }

    /// Takes in what a return of KVM_RUN on `cpu` reported and did: levels first, then the access, as the guest has
    /// it. `seen` is what this vCPU's thread last passed in. Returns what a read answers, and the CPUs whose lines
    /// are to be [`settled`](Controller::settle).
    #[inline(always)]
    pub fn update(&self, cpu: usize, seen: &mut Levels, levels: Levels, access: Option<Access>) -> (u64, u8) {
        let changed = seen.0 ^ levels.0;
        match self.routing {
            Routing::Gic if changed != 0 || access.is_some() => {
                let mut gic = self.gic.lock();
                if changed != 0 {
                    for (device, intid) in INTIDS {
                        if changed & device.0 != 0 {
                            gic.set_ppi(cpu, intid, levels.contains(device));
                        }
                    }
                    *seen = levels;
                }
                let value = access.map_or(0, |access| apply(&mut gic, cpu, access));
                (u64::from(value), self.publish(&mut gic))
            }
            Routing::Wire if changed != 0 => {
                *seen = levels;
                let irq = levels != Levels::NONE;
                self.wanted[cpu].store(encode(Lines { irq, fiq: false }), Ordering::Release);
                (0, 1 << cpu)
            }
            _ => (0, 0),
        }
    }

    /// Drives the input of SPI `intid` (32 and above), on any thread. Returns the CPUs whose lines are to be
    /// [`settled`](Controller::settle). Where no GIC takes it, nothing happens.
    ///
    /// A device that several threads use calls this with its own lock held, so that its levels arrive in their order,
    /// and settles after it has released that lock: settling makes system calls.
    pub fn set_spi(&self, intid: u32, level: bool) -> u8 {
        if self.routing != Routing::Gic {
            return 0;
        }
        let mut gic = self.gic.lock();
        gic.set_spi(intid, level);
        self.publish(&mut gic)
    }

    /// Takes all lines for low, because somebody else has lowered them. For a wire: of a GIC's outputs only itself knows.
    pub fn forget_lines(&self) {
        for (wanted, driven) in self.wanted.iter().zip(&self.driven) {
            wanted.store(0, Ordering::Release);
            *driven.lock() = 0;
        }
    }

    /// The GIC's whole state, input levels included.
    pub fn save(&self) -> State {
        self.gic.lock().save()
    }

    /// Puts the GIC into a state that was saved. Returns the CPUs whose lines are to be
    /// [`settled`](Controller::settle): all.
    pub fn restore(&self, state: &State) -> Result<u8, StateError> {
        let mut gic = self.gic.lock();
        *gic = Gic::restore(state)?;
        Ok(self.publish(&mut gic))
    }

    /// Drives both lines of a CPU to where they were last driven, whose inputs have been reset: `drive(line, level)`.
    pub fn again<E>(&self, cpu: usize, mut drive: impl FnMut(Line, bool) -> Result<(), E>) -> Result<(), E> {
        let driven = self.driven[cpu].lock();
        drive(Line::Irq, *driven & IRQ != 0)?;
        drive(Line::Fiq, *driven & FIQ != 0)
    }

    /// Copies the GIC's outputs that moved to `wanted`, while the GIC is locked. Returns whose they are.
    #[inline(always)]
    fn publish(&self, gic: &mut Gic) -> u8 {
        let moved = gic.take_changed();
        for_each_bit(moved, |cpu| self.wanted[cpu].store(encode(gic.output(cpu)), Ordering::Release));
        moved
    }

    /// Brings the lines of `cpus` (a bit each) to where they belong: `drive(cpu, line, level)` for each that is not
    /// there.
    #[inline(always)]
    pub fn settle<E>(&self, cpus: u8, mut drive: impl FnMut(usize, Line, bool) -> Result<(), E>) -> Result<(), E> {
        let mut left = cpus;
        while left != 0 {
            let target = left.trailing_zeros() as usize % MAX_VCPUS;
            left &= left - 1;
            let mut driven = self.driven[target].lock();
            let wanted = self.wanted[target].load(Ordering::Acquire);
            let moved = std::mem::replace(&mut *driven, wanted) ^ wanted;
            if moved & IRQ != 0 {
                drive(target, Line::Irq, wanted & IRQ != 0)?;
            }
            if moved & FIQ != 0 {
                drive(target, Line::Fiq, wanted & FIQ != 0)?;
            }
        }
        Ok(())
    }
}

const IRQ: u8 = 1 << 0;
const FIQ: u8 = 1 << 1;

/// Both lines in a byte.
fn encode(lines: Lines) -> u8 {
    (u8::from(lines.irq) * IRQ) | (u8::from(lines.fiq) * FIQ)
}

/// Calls `act` with the number of each bit that is set.
#[inline(always)]
fn for_each_bit(bits: u8, mut act: impl FnMut(usize)) {
    let mut left = bits;
    while left != 0 {
        act(left.trailing_zeros() as usize % MAX_VCPUS);
        left &= left - 1;
    }
}

/// Does a guest's access. Inlined: on its own it costs 20 instructions an access.
#[inline(always)]
fn apply(gic: &mut Gic, cpu: usize, access: Access) -> u32 {
    let Access { frame, offset, len, write } = access;
    match (frame, write) {
        (Frame::CpuInterface, None) => gic.read_cpu_interface(cpu, offset, len),
        (Frame::Distributor, None) => gic.read_distributor(cpu, offset, len),
        (Frame::CpuInterface, Some(value)) => {
            gic.write_cpu_interface(cpu, offset, len, value);
            0
        }
        (Frame::Distributor, Some(value)) => {
            gic.write_distributor(cpu, offset, len, value);
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IAR: u64 = GICC_BASE + 0xc;
    const EOIR: u64 = GICC_BASE + 0x10;

    /// A controller as one vCPU's thread uses it, with everything it drove.
    struct OneVcpu {
        controller: Controller,
        seen: Levels,
        calls: Vec<(usize, Line, bool)>,
    }

    impl OneVcpu {
        fn new() -> OneVcpu {
            let mut this =
                OneVcpu { controller: Controller::new(1, Routing::Gic), seen: Levels::NONE, calls: Vec::new() };
            for (address, value) in
                [(GICD_BASE, 1), (GICD_BASE + 0x100, 1 << 27), (GICC_BASE + 4, 0xff), (GICC_BASE, 1)]
            {
                this.exit(Levels::NONE, Access::at(address, 4, Some(value)));
            }
            this
        }

        fn exit(&mut self, levels: Levels, access: Option<Access>) -> u64 {
            let (value, changed) = self.controller.update(0, &mut self.seen, levels, access);
            let calls = &mut self.calls;
            let settled = self.controller.settle::<()>(changed, |cpu, line, level| {
                calls.push((cpu, line, level));
                Ok(())
            });
            settled.unwrap();
            value
        }

        fn driven(&mut self) -> Vec<(usize, Line, bool)> {
            std::mem::take(&mut self.calls)
        }
    }

    #[test]
    fn a_timer_level_raises_the_line_once_and_its_fall_lowers_it_once() {
        let mut vcpu = OneVcpu::new();
        vcpu.exit(Levels::VTIMER, None);
        assert_eq!(vcpu.driven(), [(0, Line::Irq, true)]);
        vcpu.exit(Levels::VTIMER, None);
        assert_eq!(vcpu.driven(), []);
        vcpu.exit(Levels::NONE, None);
        assert_eq!(vcpu.driven(), [(0, Line::Irq, false)]);
    }

    #[test]
    fn a_level_that_stays_up_fires_again_after_the_end_of_interrupt_and_one_that_fell_does_not() {
        for (level_at_eoi, due) in [(Levels::VTIMER, vec![(0, Line::Irq, true)]), (Levels::NONE, vec![])] {
            let mut vcpu = OneVcpu::new();
            vcpu.exit(Levels::VTIMER, None);
            vcpu.driven();
            assert_eq!(vcpu.exit(Levels::VTIMER, Access::at(IAR, 4, None)), 27);
            assert_eq!(vcpu.driven(), [(0, Line::Irq, false)], "acknowledged: the line falls");
            vcpu.exit(level_at_eoi, Access::at(EOIR, 4, Some(27)));
            assert_eq!(vcpu.driven(), due, "the exit of the EOIR write carries {level_at_eoi}");
        }
    }

    #[test]
    fn each_device_has_its_own_private_interrupt() {
        for (device, intid) in INTIDS {
            let mut vcpu = OneVcpu::new();
            vcpu.exit(device, None);
            let pending = vcpu.exit(device, Access::at(GICD_BASE + 0x200, 4, None));
            assert_eq!(pending, 1 << intid, "{device} is INTID {intid}");
        }
    }

    #[test]
    fn a_wire_raises_irq_for_any_level_and_lowers_it_with_the_last() {
        let controller = Controller::new(1, Routing::Wire);
        let mut seen = Levels::NONE;
        let mut calls = Vec::new();
        for levels in [Levels(1), Levels(3), Levels(2), Levels(0)] {
            let (_, changed) = controller.update(0, &mut seen, levels, None);
            let drive = |_, line, level| {
                calls.push((line, level));
                Ok::<(), ()>(())
            };
            controller.settle(changed, drive).unwrap();
        }
        assert_eq!(calls, [(Line::Irq, true), (Line::Irq, false)]);
    }

    #[test]
    fn an_sgi_to_another_vcpu_drives_that_vcpus_line() {
        let controller = Controller::new(2, Routing::Gic);
        let mut seen = Levels::NONE;
        for cpu in 0..2 {
            for (address, value) in [(GICD_BASE, 1), (GICC_BASE + 4, 0xff), (GICC_BASE, 1)] {
                controller.update(cpu, &mut seen, Levels::NONE, Access::at(address, 4, Some(value)));
            }
        }
        // SGI 3 to CPU 1.
        let sgir = Access::at(GICD_BASE + 0xf00, 4, Some(1 << 17 | 3));
        let (_, changed) = controller.update(0, &mut seen, Levels::NONE, sgir);
        let mut calls = Vec::new();
        let drive = |cpu, line, level| {
            calls.push((cpu, line, level));
            Ok::<(), ()>(())
        };
        controller.settle(changed, drive).unwrap();
        assert_eq!(calls, [(1, Line::Irq, true)]);
    }

    #[test]
    fn an_spi_drives_the_line_of_its_target_and_only_when_that_moves() {
        let controller = Controller::new(2, Routing::Gic);
        let mut seen = Levels::NONE;
        let mut calls = Vec::new();
        // SPI 40 goes to CPU 1.
        let enabled = [(GICD_BASE, 1), (GICD_BASE + 0x104, 1 << 8), (GICD_BASE + 0x828, 0b10)];
        for (address, value) in enabled.into_iter().chain([(GICC_BASE + 4, 0xff), (GICC_BASE, 1)]) {
            controller.update(1, &mut seen, Levels::NONE, Access::at(address, 4, Some(value)));
        }
        for (intid, level) in [(40, true), (40, true), (41, true), (40, false), (1020, true), (27, true)] {
            let moved = controller.set_spi(intid, level);
            let drive = |cpu, line, level| {
                calls.push((cpu, line, level));
                Ok::<(), ()>(())
            };
            controller.settle(moved, drive).unwrap();
        }
        assert_eq!(calls, [(1, Line::Irq, true), (1, Line::Irq, false)]);
    }

    #[test]
    fn a_restored_gic_drives_the_lines_that_the_saved_one_drove() {
        let mut vcpu = OneVcpu::new();
        vcpu.exit(Levels::VTIMER, None);
        let fresh = Controller::new(1, Routing::Gic);
        let cpus = fresh.restore(&vcpu.controller.save()).unwrap();
        let mut calls = Vec::new();
        let drive = |cpu, line, level| {
            calls.push((cpu, line, level));
            Ok::<(), ()>(())
        };
        fresh.settle(cpus, drive).unwrap();
        assert_eq!(calls, [(0, Line::Irq, true)]);
    }

    #[test]
    fn a_cpu_whose_inputs_were_reset_gets_them_back() {
        let mut vcpu = OneVcpu::new();
        vcpu.exit(Levels::VTIMER, None);
        let mut calls = Vec::new();
        let drive = |line, level| {
            calls.push((line, level));
            Ok::<(), ()>(())
        };
        vcpu.controller.again(0, drive).unwrap();
        assert_eq!(calls, [(Line::Irq, true), (Line::Fiq, false)]);
    }

    #[test]
    fn an_spi_goes_nowhere_where_there_is_no_gic() {
        for routing in [Routing::Wire, Routing::Ignore] {
            assert_eq!(Controller::new(1, routing).set_spi(32, true), 0, "{routing:?}");
        }
    }
}
