//! virtio-console with one port ([VIRTIO/5.3]): what Linux calls hvc0.

use std::collections::VecDeque;
use std::io::{Read, Write as _};

use virtio_bindings::virtio_ids::VIRTIO_ID_CONSOLE;
use virtio_queue::{Error, Queue};
use vm_memory::GuestMemoryMmap;

use super::{Backend, Transport, drain};

/// The queue for what the guest receives.
const RECEIVE: usize = 0;
/// How much of one chain is written out: more than any driver has, and little enough to be done with soon.
const LONGEST: u64 = 64 << 10;

/// The most that waits for the guest to have room for it.
const BACKLOG: usize = 4096;

/// A console. What the guest transmits goes to `send`, which is called with the device locked and must not block.
pub struct Console<S> {
    send: S,
    input: VecDeque<u8>,
}

impl<S: FnMut(u8)> Console<S> {
    /// A console with nothing typed yet.
    pub fn new(send: S) -> Console<S> {
        Console { send, input: VecDeque::new() }
    }

    fn receive(&mut self, queue: &mut Queue, memory: &GuestMemoryMmap) -> Result<bool, Error> {
        drain(queue, memory, |chain| {
            if self.input.is_empty() {
                return Ok(None);
            }
            let mut room = chain.writer(memory)?;
            let (bytes, _) = self.input.as_slices();
            let bytes = &bytes[..bytes.len().min(room.available_bytes())];
            // It fits.
            let _ = room.write_all(bytes);
            let written = bytes.len();
            self.input.drain(..written);
            Ok(Some(written as u32))
        })
    }

    fn transmit(&mut self, queue: &mut Queue, memory: &GuestMemoryMmap) -> Result<bool, Error> {
        drain(queue, memory, |chain| {
            let mut bytes = Vec::new();
            // Reading guest memory does not fail, it was looked at for the reader.
            let _ = chain.reader(memory)?.take(LONGEST).read_to_end(&mut bytes);
            bytes.into_iter().for_each(&mut self.send);
            Ok(Some(0))
        })
    }
}

impl<S: FnMut(u8) + Send> Transport<Console<S>> {
    /// Takes bytes for the guest, as many as there is room for; how many those were.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let input = &mut self.backend().input;
        let taken = bytes.len().min(BACKLOG - input.len());
        input.extend(&bytes[..taken]);
        self.serve(RECEIVE);
        taken
    }
}

impl<S: FnMut(u8) + Send> Backend for Console<S> {
    const ID: u32 = VIRTIO_ID_CONSOLE;
    const QUEUES: &'static [u16] = &[64, 64];

    fn features(&self) -> u64 {
        0
    }

    fn config(&self) -> &[u8] {
        &[]
    }

    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemoryMmap) -> Result<bool, Error> {
        match index {
            RECEIVE => self.receive(queue, memory),
            _ => self.transmit(queue, memory),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::driver::{Driver, RAM};
    use super::*;
    use crate::Device;

    type Screen = Arc<Mutex<Vec<u8>>>;

    fn console() -> (Screen, Driver<Console<impl FnMut(u8) + Send>>) {
        let screen = Screen::default();
        let theirs = Arc::clone(&screen);
        let mut driver = Driver::new(Console::new(move |byte| theirs.lock().unwrap().push(byte)));
        driver.start();
        (screen, driver)
    }

    #[test]
    fn what_the_guest_transmits_comes_out_in_order_and_its_buffers_come_back() {
        let (screen, mut driver) = console();
        driver.write(RAM, b"hello, world");
        driver.offer(1, &[(RAM, 5, false), (RAM + 5, 2, false)]);
        driver.offer(1, &[(RAM + 7, 5, false)]);
        assert_eq!(*screen.lock().unwrap(), b"hello, world");
        assert_eq!(driver.used(1), [0, 0], "nothing is written to what is transmitted");
        assert!(driver.device.output());
    }

    #[test]
    fn input_waits_for_room_and_fills_it_as_far_as_it_goes() {
        let (_, mut driver) = console();
        driver.device.receive(b"abcdefg");
        assert!(!driver.device.output());
        driver.offer(0, &[(RAM, 4, true)]);
        assert_eq!((driver.used(0), driver.read(RAM, 4)), (vec![4], b"abcd".to_vec()));
        driver.offer(0, &[(RAM, 16, true)]);
        assert_eq!((driver.used(0), driver.read(RAM, 3)), (vec![4, 3], b"efg".to_vec()));
    }

    #[test]
    fn room_waits_for_input() {
        let (_, mut driver) = console();
        driver.offer(0, &[(RAM, 16, true)]);
        assert!(!driver.device.output());
        driver.device.receive(b"x");
        assert_eq!((driver.used(0), driver.read(RAM, 1)), (vec![1], b"x".to_vec()));
        assert!(driver.device.output());
    }

    #[test]
    fn more_than_the_backlog_is_not_taken_until_the_guest_has_read_some() {
        let (_, mut driver) = console();
        assert_eq!(driver.device.receive(&[b'x'; 5000]), BACKLOG);
        assert_eq!(driver.device.receive(b"y"), 0);
        driver.offer(0, &[(RAM, 16, true)]);
        assert_eq!(driver.device.receive(&[b'y'; 20]), 16);
    }
}
