//! A driver for tests: registers as a driver writes them, queues laid out in memory, one descriptor after the other.

use virtio_bindings::bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK,
    VIRTIO_F_VERSION_1,
};
use virtio_bindings::bindings::virtio_ring::{VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use virtio_bindings::virtio_mmio::*;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::{Backend, Transport};
use crate::Device;

/// First byte of memory; queues lie at its end.
pub(super) const RAM: u64 = 0x4000_0000;
const SIZE: u64 = 0x1_0000;
/// A queue's descriptors; its available and its used ring lie behind them.
const QUEUES: u64 = RAM + 0x8000;
const QUEUE_SIZE: u64 = 0x2000;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x1800;

pub(super) struct Driver<B> {
    pub(super) device: Transport<B>,
    memory: GuestMemoryMmap,
    /// Descriptors in use and chains offered, of each queue.
    next: Vec<(u16, u16)>,
}

impl<B: Backend> Driver<B> {
    pub(super) fn new(backend: B) -> Driver<B> {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM), SIZE as usize)]).unwrap();
        let next = vec![(0, 0); B::QUEUES.len()];
        Driver { device: Transport::new(backend, memory.clone()), memory, next }
    }

    pub(super) fn get(&mut self, register: u32) -> u32 {
        let mut bytes = [0; 4];
        self.device.read(register.into(), &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub(super) fn put(&mut self, register: u32, value: u32) {
        self.device.write(register.into(), &value.to_le_bytes());
    }

    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub(super) fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    /// Initialises device and queues ([VIRTIO/3.1.1]), without any feature that it can do without.
    pub(super) fn start(&mut self) {
        let mut status = 0;
        for step in [VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER] {
            status |= step;
            self.put(VIRTIO_MMIO_STATUS, status);
        }
        self.put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        self.put(VIRTIO_MMIO_DRIVER_FEATURES, 1 << (VIRTIO_F_VERSION_1 - 32));
        status |= VIRTIO_CONFIG_S_FEATURES_OK;
        self.put(VIRTIO_MMIO_STATUS, status);
        for index in 0..B::QUEUES.len() {
            let base = queue(index) as u32;
            self.put(VIRTIO_MMIO_QUEUE_SEL, index as u32);
            let size = self.get(VIRTIO_MMIO_QUEUE_NUM_MAX);
            self.put(VIRTIO_MMIO_QUEUE_NUM, size);
            self.put(VIRTIO_MMIO_QUEUE_DESC_LOW, base);
            self.put(VIRTIO_MMIO_QUEUE_AVAIL_LOW, base + AVAILABLE as u32);
            self.put(VIRTIO_MMIO_QUEUE_USED_LOW, base + USED as u32);
            self.put(VIRTIO_MMIO_QUEUE_READY, 1);
        }
        self.put(VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
    }

    /// Offers a chain of buffers (address, length, for the device to write) and notifies.
    pub(super) fn offer(&mut self, index: usize, buffers: &[(u64, u32, bool)]) {
        let (first, chains) = self.next[index];
        for (number, &(address, len, writable)) in (first..).zip(buffers) {
            let more = usize::from(number - first) + 1 < buffers.len();
            let flags = if more { VRING_DESC_F_NEXT } else { 0 } | if writable { VRING_DESC_F_WRITE } else { 0 };
            self.descriptor(index, number, (address, len, flags as u16, number + 1));
        }
        self.write(queue(index) + AVAILABLE + 4 + 2 * u64::from(chains), &first.to_le_bytes());
        self.next[index] = (first + buffers.len() as u16, chains + 1);
        self.claim(index, chains + 1);
    }

    /// Says that so many chains have been offered, and notifies.
    pub(super) fn claim(&mut self, index: usize, chains: u16) {
        self.write(queue(index) + AVAILABLE + 2, &chains.to_le_bytes());
        self.put(VIRTIO_MMIO_QUEUE_NOTIFY, index as u32);
    }

    /// Moves the available ring so that its index, which says that there is a chain, is in memory and its entries are not.
    pub(super) fn put_available_ring_at_the_end_of_memory(&mut self, index: usize) {
        self.write(RAM + SIZE - 4, &[0, 0, 1, 0]);
        self.put(VIRTIO_MMIO_QUEUE_SEL, index as u32);
        self.put(VIRTIO_MMIO_QUEUE_READY, 0);
        self.put(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (RAM + SIZE - 4) as u32);
        self.put(VIRTIO_MMIO_QUEUE_READY, 1);
    }

    /// How many bytes the device wrote to each of the chains that it gave back.
    pub(super) fn used(&self, index: usize) -> Vec<u32> {
        let used = self.read(queue(index) + USED, 4 + 8 * 64);
        let count = u16::from_le_bytes([used[2], used[3]]);
        let lens = used[4..].chunks(8).map(|entry| u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]));
        lens.take(count.into()).collect()
    }

    /// Fills the first bytes of memory.
    pub(super) fn fill(&mut self, bytes: &[u8]) {
        self.write(RAM, bytes);
    }

    /// Writes descriptors from the first on.
    pub(super) fn describe(&mut self, index: usize, descriptors: &[(u64, u32, u16, u16)]) {
        for (number, &descriptor) in (0..).zip(descriptors) {
            self.descriptor(index, number, descriptor);
        }
    }

    /// Writes the available ring.
    pub(super) fn publish(&mut self, index: usize, heads: &[u16], available: u16) {
        let heads: Vec<u8> = heads.iter().flat_map(|head| head.to_le_bytes()).collect();
        self.write(queue(index) + AVAILABLE + 4, &heads);
        self.write(queue(index) + AVAILABLE + 2, &available.to_le_bytes());
    }

    fn descriptor(&mut self, index: usize, number: u16, descriptor: (u64, u32, u16, u16)) {
        let (address, len, flags, next) = descriptor;
        let bytes =
            [&address.to_le_bytes()[..], &len.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()].concat();
        self.write(queue(index) + 16 * u64::from(number), &bytes);
    }
}

fn queue(index: usize) -> u64 {
    QUEUES + index as u64 * QUEUE_SIZE
}
