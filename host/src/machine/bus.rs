//! The bus: which device answers at an address, and how its output gets to the GIC.

use std::sync::{Arc, Mutex, PoisonError};

use super::Device;
use super::map::Window;
use crate::controller::Controller;

/// The first SPI's INTID `[GICv2/2.2.1]`.
const FIRST_SPI: u32 = 32;

/// A device where several threads can get at it, wired to the GIC.
///
/// Lock order: a port's lock, then the controller's; never a port's while another port's is held.
pub struct Port<D: ?Sized = dyn Device> {
    intid: Option<u32>,
    wired: Mutex<Wired<D>>,
}

struct Wired<D: ?Sized> {
    /// The level that the GIC was last told.
    level: bool,
    device: D,
}

impl<D: Device> Port<D> {
    /// A device at a window, whose output is low.
    pub fn new(window: Window, device: D) -> Arc<Port<D>> {
        let intid = window.spi.map(|spi| FIRST_SPI + spi);
        Arc::new(Port { intid, wired: Mutex::new(Wired { level: false, device }) })
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

/// What is where.
#[derive(Default)]
pub struct Bus {
    /// By address.
    devices: Vec<(Window, Arc<Port>)>,
}

impl Bus {
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
    use crate::controller::Access;
    use crate::lines::{Levels, Routing};
    use crate::machine::map;

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
        let mut bus = Bus::default();
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
