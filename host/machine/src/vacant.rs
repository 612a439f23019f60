//! Places where `virt` has something and this machine has nothing, which say so themselves.

use virtio_bindings::virtio_mmio::{VIRTIO_MMIO_MAGIC_VALUE, VIRTIO_MMIO_VERSION};

use super::virtio::{MAGIC, VERSION};
use super::{Bus, Device, Port, map};

/// A virtio-mmio transport with no device behind it: its device ID is 0 ([VIRTIO/4.2.2.2]).
struct VacantSlot;

impl Device for VacantSlot {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let Ok(data) = <&mut [u8; 4]>::try_from(data) {
            let value = match u32::try_from(offset) {
                Ok(VIRTIO_MMIO_MAGIC_VALUE) => MAGIC,
                Ok(VIRTIO_MMIO_VERSION) => VERSION,
                _ => 0,
            };
            *data = value.to_le_bytes();
        }
    }

    fn write(&mut self, _: u64, _: &[u8]) {}

    fn output(&self) -> bool {
        false
    }
}

/// The configuration space of a PCI bus with no function on it: every read is all ones (PCI Local Bus Specification 3.0,
/// 6.1: FFFFh is no vendor).
struct EmptyPciBus;

impl Device for EmptyPciBus {
    fn read(&mut self, _: u64, data: &mut [u8]) {
        data.fill(0xff);
    }

    fn write(&mut self, _: u64, _: &[u8]) {}

    fn output(&self) -> bool {
        false
    }
}

/// Puts these where `virt` has a virtio-mmio transport or a PCI bus and `bus` has nothing: for guests that look there
/// without having read the device tree, in which there are only devices.
pub fn fill(bus: &mut Bus) {
    for window in (0..map::VIRTIO_SLOTS).map(map::virtio) {
        if !bus.has(window) {
            bus.attach(window, Port::new(window, VacantSlot));
        }
    }
    for window in map::PCI_CONFIGURATION {
        bus.attach(window, Port::new(window, EmptyPciBus));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::manual::clock;
    use vtick_core::controller::Controller;
    use vtick_core::lines::Routing;

    fn word(device: &mut impl Device, offset: u64) -> u32 {
        let mut data = [0x55; 4];
        device.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn a_vacant_slot_is_a_transport_of_this_version_and_no_device() {
        let mut slot = VacantSlot;
        slot.write(0x70, &[1, 0, 0, 0]);
        assert_eq!([0, 4, 8, 0xc, 0x70].map(|offset| word(&mut slot, offset)), [MAGIC, VERSION, 0, 0, 0]);
        let mut byte = [0x55];
        slot.read(0, &mut byte);
        assert_eq!((byte, slot.output()), ([0], false));
    }

    #[test]
    fn every_slot_answers_and_a_device_keeps_its_own() {
        let mut bus = Bus::new(clock());
        let taken = map::virtio(31);
        bus.attach(taken, Port::new(taken, EmptyPciBus));
        fill(&mut bus);
        let controller = Controller::new(1, Routing::Gic);
        for slot in 0..map::VIRTIO_SLOTS {
            // Address 0xa000008 is where kvm-unit-tests' micro-bench reads: the device ID of the first.
            let window = map::virtio(slot);
            let magic = |offset| {
                let (port, offset) = bus.find(window.base + offset, 4).unwrap_or_else(|| panic!("slot {slot}"));
                let mut data = [0; 4];
                port.with(&controller, |device| device.read(offset, &mut data));
                u32::from_le_bytes(data)
            };
            let due = if window == taken { (u32::MAX, u32::MAX) } else { (MAGIC, 0) };
            assert_eq!((magic(0), magic(8)), due, "slot {slot}");
        }
        assert!(bus.find(map::PCI_CONFIGURATION[1].base, 4).is_some());
    }

    #[test]
    fn an_empty_bus_has_no_vendor_anywhere() {
        let mut bus = EmptyPciBus;
        bus.write(0, &[0; 4]);
        assert_eq!([0, 4, 0xfff_f000].map(|offset| word(&mut bus, offset)), [u32::MAX; 3]);
    }
}
