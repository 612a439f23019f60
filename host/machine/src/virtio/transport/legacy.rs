//! virtio-mmio, version 1: the legacy interface ([VIRTIO/4.2.4]), for test guests that know no other.
//!
//! Choice: the device works on a queue from the moment at which it has a place, whatever the status, as QEMU's does:
//! kvm-unit-tests' driver never says DRIVER_OK.

use virtio_bindings::virtio_mmio::*;
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryMmap;

use super::super::Backend;
use super::MAGIC;
use crate::Device;

/// Version of the legacy interface.
const VERSION: u32 = 1;

/// A device at a legacy virtio-mmio window.
pub struct LegacyTransport<B> {
    backend: B,
    memory: GuestMemoryMmap,
    queues: Vec<LegacyQueue>,
    /// Which queue the queue registers are about.
    selected: u32,
    /// GuestPageSize: the unit of QueuePFN.
    page_size: u32,
    status: u32,
    interrupts: u32,
}

struct LegacyQueue {
    queue: Queue,
    align: u32,
    pfn: u32,
}

impl<B: Backend> LegacyTransport<B> {
    /// The device after a reset. Its driver's queues and buffers are in `memory`.
    pub fn new(backend: B, memory: GuestMemoryMmap) -> LegacyTransport<B> {
        let mut this = LegacyTransport {
            backend,
            memory,
            queues: Vec::new(),
            selected: 0,
            page_size: 0,
            status: 0,
            interrupts: 0,
        };
        this.reset();
        this
    }

    fn reset(&mut self) {
        let queue = |&size: &u16| LegacyQueue { queue: Queue::new(size).expect("a power of two"), align: 0, pfn: 0 };
        self.queues = B::QUEUES.iter().map(queue).collect();
        (self.selected, self.page_size, self.status, self.interrupts) = (0, 0, 0, 0);
    }

    fn read_register(&self, offset: u32) -> u32 {
        let queue = self.queues.get(self.selected as usize);
        match offset {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => B::ID,
            VIRTIO_MMIO_QUEUE_NUM_MAX => queue.map_or(0, |queue| queue.queue.max_size().into()),
            VIRTIO_MMIO_QUEUE_PFN => queue.map_or(0, |queue| queue.pfn),
            VIRTIO_MMIO_INTERRUPT_STATUS => self.interrupts,
            VIRTIO_MMIO_STATUS => self.status,
            // No features.
            _ => 0,
        }
    }

    fn write_register(&mut self, offset: u32, value: u32) {
        let queue = self.queues.get_mut(self.selected as usize);
        match (offset, queue) {
            (VIRTIO_MMIO_GUEST_PAGE_SIZE, _) => self.page_size = value,
            (VIRTIO_MMIO_QUEUE_SEL, _) => self.selected = value,
            (VIRTIO_MMIO_QUEUE_NOTIFY, _) => self.serve(value as usize),
            (VIRTIO_MMIO_INTERRUPT_ACK, _) => self.interrupts &= !value,
            (VIRTIO_MMIO_STATUS, _) if value == 0 => self.reset(),
            (VIRTIO_MMIO_STATUS, _) => self.status = value & 0xff,
            (VIRTIO_MMIO_QUEUE_NUM, Some(queue)) => queue.queue.set_size(u16::try_from(value).unwrap_or(0)),
            (VIRTIO_MMIO_QUEUE_ALIGN, Some(queue)) => queue.align = value,
            (VIRTIO_MMIO_QUEUE_PFN, Some(queue)) => queue.put(value, self.page_size),
            _ => {}
        }
    }

    fn serve(&mut self, index: usize) {
        let Some(LegacyQueue { queue, .. }) = self.queues.get_mut(index) else { return };
        // Looked at each time, as in the other transport. A driver that broke the rules is not told: there is no way.
        if queue.ready()
            && queue.is_valid(&self.memory)
            && let Ok(true) = self.backend.serve(index, queue, &self.memory)
        {
            self.interrupts |= VIRTIO_MMIO_INT_VRING;
        }
    }
}

impl LegacyQueue {
    /// Its descriptors go to page `pfn`, the available ring behind them, and the used ring behind that, aligned
    /// ([VIRTIO/2.7.2]). Page 0: it has no place any more.
    fn put(&mut self, pfn: u32, page_size: u32) {
        self.pfn = pfn;
        let size = u64::from(self.queue.size());
        let table = u64::from(pfn) * u64::from(page_size);
        let available = table + 16 * size;
        let used = (available + 2 * (3 + size)).next_multiple_of(u64::from(self.align).max(4));
        let halves = |address: u64| (Some(address as u32), Some((address >> 32) as u32));
        let ((table_low, table_high), (available_low, available_high), (used_low, used_high)) =
            (halves(table), halves(available), halves(used));
        self.queue.set_desc_table_address(table_low, table_high);
        self.queue.set_avail_ring_address(available_low, available_high);
        self.queue.set_used_ring_address(used_low, used_high);
        self.queue.set_ready(pfn != 0);
    }
}

impl<B: Backend> Device for LegacyTransport<B> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let (Ok(offset), Ok(data)) = (u32::try_from(offset), <&mut [u8; 4]>::try_from(data)) {
            *data = self.read_register(offset).to_le_bytes();
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let (Ok(offset), Ok(data)) = (u32::try_from(offset), <[u8; 4]>::try_from(data)) {
            self.write_register(offset, u32::from_le_bytes(data));
        }
    }

    fn output(&self) -> bool {
        self.interrupts != 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use vm_memory::{Bytes, GuestAddress};

    use super::super::super::Console;
    use super::*;

    const RAM: u64 = 0x4000_0000;
    const PAGE: u64 = 0x1000;

    fn memory() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM), 0x1_0000)]).unwrap()
    }

    fn put(device: &mut impl Device, register: u32, value: u32) {
        device.write(register.into(), &value.to_le_bytes());
    }

    fn get(device: &mut impl Device, register: u32) -> u32 {
        let mut data = [0; 4];
        device.read(register.into(), &mut data);
        u32::from_le_bytes(data)
    }

    /// What kvm-unit-tests' driver does, and in its order.
    #[test]
    fn a_driver_that_never_says_it_is_ready_gets_its_bytes_through() {
        let (screen, memory) = (Arc::new(Mutex::new(Vec::new())), memory());
        let theirs = Arc::clone(&screen);
        let mut device =
            LegacyTransport::new(Console::new(move |byte| theirs.lock().unwrap().push(byte)), memory.clone());
        assert_eq!([0, 4, 8].map(|register| get(&mut device, register)), [MAGIC, 1, 3]);
        put(&mut device, VIRTIO_MMIO_GUEST_PAGE_SIZE, PAGE as u32);
        for index in [0, 1] {
            put(&mut device, VIRTIO_MMIO_QUEUE_SEL, index);
            assert!(get(&mut device, VIRTIO_MMIO_QUEUE_NUM_MAX) >= 16);
            assert_eq!(get(&mut device, VIRTIO_MMIO_QUEUE_PFN), 0);
            put(&mut device, VIRTIO_MMIO_QUEUE_NUM, 16);
            put(&mut device, VIRTIO_MMIO_QUEUE_ALIGN, PAGE as u32);
            put(&mut device, VIRTIO_MMIO_QUEUE_PFN, (RAM / PAGE) as u32 + 2 * index);
        }
        // One descriptor of three bytes on the second queue, whose used ring is a page behind its descriptors.
        let (table, buffer) = (RAM + 2 * PAGE, RAM + 8 * PAGE);
        memory.write_slice(b"77q", GuestAddress(buffer)).unwrap();
        memory.write_obj(buffer, GuestAddress(table)).unwrap();
        memory.write_obj(3_u64, GuestAddress(table + 8)).unwrap();
        memory.write_obj(1_u16, GuestAddress(table + 16 * 16 + 2)).unwrap();
        put(&mut device, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
        assert_eq!(*screen.lock().unwrap(), b"77q");
        assert_eq!(memory.read_obj::<u16>(GuestAddress(table + PAGE + 2)).unwrap(), 1, "the buffer is given back");
        assert!(device.output());
        put(&mut device, VIRTIO_MMIO_INTERRUPT_ACK, 1);
        assert!(!device.output());
        put(&mut device, VIRTIO_MMIO_STATUS, 0);
        assert_eq!(get(&mut device, VIRTIO_MMIO_QUEUE_PFN), 0, "reset");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_register_traffic_does_not_panic(
            writes in prop::collection::vec((prop::sample::select(vec![0x28_u32, 0x30, 0x38, 0x3c, 0x40, 0x50, 0x64, 0x70]),
                prop_oneof![Just(0_u32), Just(1), Just(16), Just(0x1000), Just(0x4_0000), any::<u32>()]), 0..40)
        ) {
            let mut device = LegacyTransport::new(Console::new(|_| ()), memory());
            for (register, value) in writes {
                put(&mut device, register, value);
                for register in [0x10_u32, 0x34, 0x40, 0x60, 0x70] {
                    get(&mut device, register);
                }
            }
        }
    }
}
