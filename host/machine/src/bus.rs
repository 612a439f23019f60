//! The bus: which device answers at an address, and how its output gets to the GIC.

use std::sync::{Arc, Mutex, PoisonError};

use super::map::Window;
use super::{Clock, Deadlines, Device};
use vtick_core::controller::Controller;

/// The first SPI's INTID `[GICv2/2.2.1]`.
const FIRST_SPI: u32 = 32;

/// A device where several threads can get at it, wired to the GIC.
///
/// Lock order: a port's lock, then the controller's; never a port's while another port's is held.
pub struct Port<D: ?Sized = dyn Device> {
    intid: Option<u32>,
    /// Where it says when something is due in it, and under which number.
    deadlines: Option<(Arc<Deadlines>, usize)>,
    wired: Mutex<Wired<D>>,
}

struct Wired<D: ?Sized> {
    /// The level that the GIC was last told.
    level: bool,
    /// What the deadlines were last told.
    due: Option<u64>,
    device: D,
}

impl<D: Device> Port<D> {
    /// A device at a window, whose output is low.
    pub fn new(window: Window, device: D) -> Arc<Port<D>> {
        Port::wired(window, None, device)
    }

    fn wired(window: Window, deadlines: Option<(Arc<Deadlines>, usize)>, device: D) -> Arc<Port<D>> {
        let intid = window.spi.map(|spi| FIRST_SPI + spi);
        Arc::new(Port { intid, deadlines, wired: Mutex::new(Wired { level: false, due: None, device }) })
    }
}

/// What moved when something was done to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// The CPUs whose lines are to be [`settled`](Controller::settle), a bit each.
    pub cpus: u8,
    /// The INTID of its output, and the level, if that has changed.
    pub output: Option<(u32, bool)>,
}

impl<D: Device + ?Sized> Port<D> {
    /// Does something to the device, and takes its output to the GIC.
    pub fn with<T>(&self, controller: &Controller, act: impl FnOnce(&mut D) -> T) -> (T, Moved) {
        let mut wired = self.wired.lock().unwrap_or_else(PoisonError::into_inner);
        let value = act(&mut wired.device);
        if let Some((deadlines, number)) = &self.deadlines {
            let due = wired.device.due();
            if due != wired.due {
                wired.due = due;
                deadlines.set(*number, due);
            }
        }
        let level = wired.device.output();
        match self.intid {
            Some(intid) if level != wired.level => {
                wired.level = level;
                // The lock is held, so that two threads' levels reach the GIC in their order.
                (value, Moved { cpus: controller.set_spi(intid, level), output: Some((intid, level)) })
            }
            _ => (value, Moved::default()),
        }
    }
}

impl Port {
    /// Lets happen what was due in the device by now.
    fn elapse(&self, controller: &Controller) -> Moved {
        let ((), moved) = self.with(controller, |device| {
            device.elapse();
        });
        moved
    }
}

/// What is where.
pub struct Bus {
    /// By address.
    devices: Vec<(Window, Arc<Port>)>,
    /// Those that do something by themselves, by the number that the deadlines know them by.
    timed: Vec<Arc<Port>>,
    deadlines: Arc<Deadlines>,
    clock: Clock,
}

impl Bus {
    /// A bus with nothing on it, for devices that live by this clock.
    pub fn new(clock: Clock) -> Bus {
        Bus { devices: Vec::new(), timed: Vec::new(), deadlines: Arc::new(Deadlines::new(clock)), clock }
    }

    /// The clock of its devices.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Puts a device at a window in which things happen by themselves.
    ///
    /// # Panics
    /// If the window overlaps another one.
    pub fn attach_timed<D: Device + 'static>(&mut self, window: Window, device: D) -> Arc<Port<D>> {
        let number = self.deadlines.add();
        let port = Port::wired(window, Some((Arc::clone(&self.deadlines), number)), device);
        self.timed.push(port.clone());
        self.attach(window, port.clone());
        port
    }

    /// When something is due in which device.
    pub fn deadlines(&self) -> &Arc<Deadlines> {
        &self.deadlines
    }

    /// Lets happen what was due by now in the device that the deadlines know by this number.
    pub fn elapse(&self, number: usize, controller: &Controller) -> Moved {
        self.timed.get(number).map_or_else(Moved::default, |port| port.elapse(controller))
    }

    /// Puts a device at a window.
    ///
    /// # Panics
    /// If the window overlaps another one.
    pub fn attach(&mut self, window: Window, port: Arc<Port>) {
        let at = self.devices.partition_point(|(other, _)| other.base < window.base);
        let before = at.checked_sub(1).map(|before| self.devices[before].0);
        let fits = before.is_none_or(|other| other.base + other.size <= window.base)
            && self.devices.get(at).is_none_or(|(other, _)| window.base + window.size <= other.base);
        assert!(fits, "{window:x?} overlaps");
        self.devices.insert(at, (window, port));
    }

    /// Whether there is a device at this window.
    pub fn has(&self, window: Window) -> bool {
        self.devices.iter().any(|(other, _)| *other == window)
    }

    /// The window that begins at a guest physical address.
    pub fn at(&self, base: u64) -> Option<Window> {
        self.devices.iter().map(|(window, _)| *window).find(|window| window.base == base)
    }

    /// The device that answers all `len` bytes at a guest physical address, and the offset in its window.
    #[inline]
    pub fn find(&self, address: u64, len: u8) -> Option<(&Port, u64)> {
        let at = self.devices.partition_point(|(window, _)| window.base <= address).checked_sub(1)?;
        let (window, port) = &self.devices[at];
        let offset = address - window.base;
        (offset + u64::from(len) <= window.size).then_some((&**port, offset))
    }
}

#[cfg(test)]
mod tests {
    use vtick_abi::layout::GICD_BASE;

    use super::*;
    use crate::map;
    use crate::time::manual::{clock, forward};
    use vtick_core::controller::Access;
    use vtick_core::lines::{Levels, Routing};

    /// Its output is its last write's lowest bit.
    struct Latch(u8);

    impl Device for Latch {
        fn read(&mut self, offset: u64, data: &mut [u8]) {
            data.fill(self.0 + offset as u8);
        }
        fn write(&mut self, _: u64, data: &[u8]) {
            self.0 = data[0];
        }
        fn output(&self) -> bool {
            self.0 & 1 != 0
        }
    }

    fn bus() -> Bus {
        let mut bus = Bus::new(clock());
        for window in [map::RTC, map::UART, map::virtio(3)] {
            bus.attach(window, Port::new(window, Latch(0)));
        }
        bus
    }

    #[test]
    fn an_address_belongs_to_the_window_it_lies_in_whole() {
        let bus = bus();
        let offset = |address, len| bus.find(address, len).map(|(_, offset)| offset);
        assert_eq!(offset(map::UART.base, 4), Some(0));
        assert_eq!(offset(map::UART.base + 0xffc, 4), Some(0xffc));
        assert_eq!(offset(map::UART.base + 0xffc, 8), None, "reaches into the next");
        assert_eq!(offset(map::virtio(3).base + 0x100, 4), Some(0x100));
        for nobodys in [0, map::UART.base - 1, map::virtio(3).base - 4, map::virtio(4).base, u64::MAX] {
            assert_eq!(offset(nobodys, 1), None, "{nobodys:#x}");
        }
        assert!(bus.has(map::virtio(3)) && !bus.has(map::virtio(4)));
    }

    #[test]
    #[should_panic(expected = "overlaps")]
    fn no_two_devices_share_an_address() {
        bus().attach(map::UART, Port::new(map::UART, Latch(0)));
    }

    /// Its output rises by itself at a tick.
    struct Fuse(Option<u64>, Clock);

    impl Device for Fuse {
        fn read(&mut self, _: u64, _: &mut [u8]) {}
        fn write(&mut self, _: u64, data: &[u8]) {
            self.0 = Some(data[0].into());
        }
        fn output(&self) -> bool {
            self.0.is_some_and(|due| due <= self.1.now())
        }
        fn due(&self) -> Option<u64> {
            self.0.filter(|&due| due > self.1.now())
        }
    }

    #[test]
    fn what_is_due_in_a_device_reaches_the_gic_by_itself() {
        let mut bus = Bus::new(clock());
        let controller = Controller::new(1, Routing::Gic);
        bus.attach_timed(map::UART, Fuse(None, clock()));
        let fuse = bus.attach_timed(map::RTC, Fuse(None, clock()));
        fuse.with(&controller, |fuse| fuse.write(0, &[100]));
        forward(100);
        let due = bus.deadlines().wait();
        assert_eq!(due, Some(1));
        assert_eq!(bus.elapse(1, &controller).output, Some((34, true)));
        bus.deadlines().close();
        assert_eq!(bus.deadlines().wait(), None, "nothing more is due");
    }

    #[test]
    fn an_output_reaches_the_gic_when_it_moves_and_only_then() {
        let controller = Controller::new(1, Routing::Gic);
        let bus = bus();
        let (port, offset) = bus.find(map::UART.base, 4).unwrap();
        let ispendr1 = Access::at(GICD_BASE + 0x204, 4, None);
        let mut seen = Levels::NONE;
        let mut pending = || controller.update(0, &mut seen, Levels::NONE, ispendr1).0 & 1 << (33 - 32) != 0;
        assert!(!pending());
        let write = |value| port.with(&controller, |device| device.write(offset, &[value])).1.output;
        assert_eq!((write(1), pending()), (Some((33, true)), true));
        assert_eq!((write(3), pending()), (None, true));
        assert_eq!((write(2), pending()), (Some((33, false)), false));
    }
}
