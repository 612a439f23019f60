//! virtio-mmio, version 2 ([VIRTIO/4.2]).

mod legacy;

use virtio_bindings::bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_VERSION_1,
};
use virtio_bindings::bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use virtio_bindings::virtio_mmio::*;
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryMmap;

use super::Backend;
use crate::Device;

pub use legacy::LegacyTransport;

/// "virt", little-endian.
pub(crate) const MAGIC: u32 = 0x7472_6976;
/// Version of the interface that is not the legacy one.
pub(crate) const VERSION: u32 = 2;
/// Features of every device here.
const FEATURES: u64 = 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_INDIRECT_DESC | 1 << VIRTIO_RING_F_EVENT_IDX;

/// A device at a virtio-mmio window.
pub struct Transport<B> {
    backend: B,
    memory: GuestMemoryMmap,
    queues: Vec<Queue>,
    /// Which queue the queue registers are about.
    queue: u32,
    /// Which half of the features each of the feature registers is about.
    device_half: u32,
    driver_half: u32,
    driver_features: u64,
    status: u32,
    interrupts: u32,
}

impl<B: Backend> Transport<B> {
    /// The device after a reset. Its driver's queues and buffers are in `memory`.
    pub fn new(backend: B, memory: GuestMemoryMmap) -> Transport<B> {
        let mut this = Transport {
            backend,
            memory,
            queues: Vec::new(),
            queue: 0,
            device_half: 0,
            driver_half: 0,
            driver_features: 0,
            status: 0,
            interrupts: 0,
        };
        this.reset();
        this
    }

    /// The device behind it.
    pub(super) fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Everything but the device itself is as it was in the beginning ([VIRTIO/4.2.2.1]).
    fn reset(&mut self) {
        let queue = |&size: &u16| Queue::new(size).expect("a power of two");
        self.queues = B::QUEUES.iter().map(queue).collect();
        self.queue = 0;
        self.device_half = 0;
        self.driver_half = 0;
        self.driver_features = 0;
        self.status = 0;
        self.interrupts = 0;
    }

    fn offered(&self) -> u64 {
        FEATURES | self.backend.features()
    }

    fn has(&self, status: u32) -> bool {
        self.status & status != 0
    }

    /// Lets the device work on queue `index`, once driver and queue are ready for it.
    pub(super) fn serve(&mut self, index: usize) {
        if !self.has(VIRTIO_CONFIG_S_DRIVER_OK) || self.has(VIRTIO_CONFIG_S_NEEDS_RESET) {
            return;
        }
        let Some(queue) = self.queues.get_mut(index).filter(|queue| queue.ready()) else { return };
        // Looked at each time: of a ring that ends outside memory the crate would ask for the next entry for ever.
        let served = match queue.is_valid(&self.memory) {
            true => self.backend.serve(index, queue, &self.memory).ok(),
            false => None,
        };
        match served {
            Some(true) => self.interrupts |= VIRTIO_MMIO_INT_VRING,
            Some(false) => {}
            None => {
                // [VIRTIO/2.1.2]: tell the driver that nothing will come of it any more.
                self.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
                self.interrupts |= VIRTIO_MMIO_INT_CONFIG;
            }
        }
    }

    fn set_status(&mut self, status: u32) {
        if status == 0 {
            return self.reset();
        }
        let needs_reset = self.status & VIRTIO_CONFIG_S_NEEDS_RESET;
        let accepted =
            self.driver_features & !self.offered() == 0 && self.driver_features >> VIRTIO_F_VERSION_1 & 1 != 0;
        let refused = if accepted { 0 } else { VIRTIO_CONFIG_S_FEATURES_OK };
        self.status = status & 0xff & !refused | needs_reset;
        let event_idx = self.driver_features >> VIRTIO_RING_F_EVENT_IDX & 1 != 0;
        for queue in &mut self.queues {
            queue.set_event_idx(event_idx);
        }
    }

    fn read_register(&self, offset: u32) -> u32 {
        let queue = self.queues.get(self.queue as usize);
        match offset {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => B::ID,
            VIRTIO_MMIO_DEVICE_FEATURES => half(self.offered(), self.device_half),
            VIRTIO_MMIO_QUEUE_NUM_MAX => queue.map_or(0, |queue| u32::from(queue.max_size())),
            VIRTIO_MMIO_QUEUE_READY => u32::from(queue.is_some_and(QueueT::ready)),
            VIRTIO_MMIO_INTERRUPT_STATUS => self.interrupts,
            VIRTIO_MMIO_STATUS => self.status,
            // [VIRTIO/4.2.2]: a shared memory region that does not exist has this length.
            VIRTIO_MMIO_SHM_LEN_LOW | VIRTIO_MMIO_SHM_LEN_HIGH => u32::MAX,
            _ => 0,
        }
    }

    fn write_register(&mut self, offset: u32, value: u32) {
        match offset {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.device_half = value,
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver_half = value,
            VIRTIO_MMIO_DRIVER_FEATURES if !self.has(VIRTIO_CONFIG_S_FEATURES_OK) => {
                set_half(&mut self.driver_features, self.driver_half, value);
            }
            VIRTIO_MMIO_QUEUE_SEL => self.queue = value,
            VIRTIO_MMIO_QUEUE_NOTIFY => self.serve(value as usize),
            VIRTIO_MMIO_INTERRUPT_ACK => self.interrupts &= !value,
            VIRTIO_MMIO_STATUS => self.set_status(value),
            _ => self.write_queue_register(offset, value),
        }
    }

    fn write_queue_register(&mut self, offset: u32, value: u32) {
        let Some(queue) = self.queues.get_mut(self.queue as usize) else { return };
        if offset == VIRTIO_MMIO_QUEUE_READY {
            return queue.set_ready(value & 1 != 0);
        }
        if queue.ready() {
            return; // [VIRTIO/4.2.2.2]: its registers must not be written any more.
        }
        let (low, high) = (Some(value), None);
        match offset {
            VIRTIO_MMIO_QUEUE_NUM => queue.set_size(u16::try_from(value).unwrap_or(0)),
            VIRTIO_MMIO_QUEUE_DESC_LOW => queue.set_desc_table_address(low, high),
            VIRTIO_MMIO_QUEUE_DESC_HIGH => queue.set_desc_table_address(high, low),
            VIRTIO_MMIO_QUEUE_AVAIL_LOW => queue.set_avail_ring_address(low, high),
            VIRTIO_MMIO_QUEUE_AVAIL_HIGH => queue.set_avail_ring_address(high, low),
            VIRTIO_MMIO_QUEUE_USED_LOW => queue.set_used_ring_address(low, high),
            VIRTIO_MMIO_QUEUE_USED_HIGH => queue.set_used_ring_address(high, low),
            _ => {}
        }
    }
}

/// Half `select` of 64 bits; there are only two.
fn half(value: u64, select: u32) -> u32 {
    match select {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}

fn set_half(value: &mut u64, select: u32, to: u32) {
    let (keep, to) = match select {
        0 => (!0 << 32, u64::from(to)),
        1 => (u64::from(u32::MAX), u64::from(to) << 32),
        _ => return,
    };
    *value = *value & keep | to;
}

impl<B: Backend> Device for Transport<B> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let Some(at) = offset.checked_sub(VIRTIO_MMIO_CONFIG.into()) {
            let config = self.backend.config().iter().skip(usize::try_from(at).unwrap_or(usize::MAX));
            for (to, from) in data.iter_mut().zip(config) {
                *to = *from;
            }
        } else if let Ok(data) = <&mut [u8; 4]>::try_from(data) {
            // [VIRTIO/4.2.2.2]: the driver uses only 32-bit accesses.
            *data = self.read_register(offset as u32).to_le_bytes();
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
mod tests;
