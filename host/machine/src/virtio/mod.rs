//! Virtio devices behind virtio-mmio: requests are done while the guest's notification is handled, in order, without a
//! thread of their own.
//!
//! `[VIRTIO]`: OASIS, Virtual I/O Device (VIRTIO) Version 1.2.

mod block;
mod console;
mod transport;

#[cfg(test)]
mod driver;

use virtio_queue::{DescriptorChain, Error, Queue, QueueOwnedT, QueueT};
use vm_memory::GuestMemoryMmap;

pub use block::Block;
pub use console::Console;
pub use transport::{LegacyTransport, Transport};
pub(super) use transport::{MAGIC, VERSION};

/// What is behind a transport: one kind of device.
pub trait Backend: Send {
    /// Its device ID ([VIRTIO/5]).
    const ID: u32;
    /// How many queues it has, and the most entries each can have, a power of two.
    const QUEUES: &'static [u16];

    /// The features it offers beyond those of the transport: a bit each.
    fn features(&self) -> u64;

    /// Its configuration space, which the driver cannot write.
    fn config(&self) -> &[u8];

    /// Does what there is to do on queue number `index`. Returns whether the driver wants an interrupt for it.
    ///
    /// # Errors
    /// The driver broke the rules of the queue: the device needs a reset.
    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemoryMmap) -> Result<bool, Error>;
}

/// Gives each chain that is available to `handle`, which says how many bytes it wrote to it, or that it cannot have it
/// yet. Returns whether the driver wants an interrupt.
fn drain<'a>(
    queue: &mut Queue,
    memory: &'a GuestMemoryMmap,
    mut handle: impl FnMut(DescriptorChain<&'a GuestMemoryMmap>) -> Result<Option<u32>, Error>,
) -> Result<bool, Error> {
    let mut used = false;
    'notified: loop {
        while let Some(chain) = queue.iter(memory)?.next() {
            let head = chain.head_index();
            let Some(written) = handle(chain)? else {
                queue.go_to_previous_position();
                break 'notified;
            };
            queue.add_used(memory, head, written)?;
            used = true;
        }
        if !queue.enable_notification(memory)? {
            break;
        }
    }
    if used { queue.needs_notification(memory) } else { Ok(false) }
}
