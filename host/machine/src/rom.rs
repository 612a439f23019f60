//! Read-only memory at the start of the first bank of flash: what firmware runs from.
//!
//! It is no flash: firmware writes to its own image by mistake, and one of those writes could be a command.

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::Device;
use super::map::Window;

/// What its size is a multiple of: the largest page a host has.
const GRAIN: usize = 64 << 10;

/// A ROM.
pub struct Rom {
    memory: GuestMemoryMmap,
    window: Window,
}

/// Why there can be no such ROM.
#[derive(Debug, thiserror::Error)]
pub enum RomError {
    /// It does not fit.
    #[error("is {bytes} bytes; the machine has room for 1 to {room}")]
    Size {
        /// What was given.
        bytes: usize,
        /// What the window takes.
        room: u64,
    },
    /// No memory for it.
    #[error("has to be in memory: {0}")]
    Memory(std::io::Error),
}

impl Rom {
    /// A ROM at the start of `room`, that holds `image` and zeroes behind it.
    pub fn new(room: Window, image: &[u8]) -> Result<Rom, RomError> {
        let size = image.len().next_multiple_of(GRAIN);
        if image.is_empty() || size as u64 > room.size {
            return Err(RomError::Size { bytes: image.len(), room: room.size });
        }
        let base = GuestAddress(room.base);
        let memory = GuestMemoryMmap::from_ranges(&[(base, size)])
            .map_err(|error| RomError::Memory(std::io::Error::other(error)))?;
        memory.write_slice(image, base).expect("the memory is as large as the image");
        Ok(Rom { memory, window: Window { size: size as u64, ..room } })
    }

    /// Where it is.
    pub fn window(&self) -> Window {
        self.window
    }

    /// What it holds, one region: to be mapped read-only.
    pub fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }
}

impl Device for Rom {
    /// Where it is mapped, nobody comes here.
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let address = self.window.base.checked_add(offset).map(GuestAddress);
        let _ = address.map(|address| self.memory.read_slice(data, address));
    }

    fn write(&mut self, _: u64, _: &[u8]) {}

    fn output(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::FLASH;

    #[test]
    fn it_reads_as_its_image_whatever_is_written() {
        let mut rom = Rom::new(FLASH[0], &[0x5a; 100_000]).unwrap();
        assert_eq!(rom.window().size, 0x2_0000);
        rom.write(0, &[0xff; 4]);
        for (offset, due) in [(0, 0x5a), (99_999, 0x5a), (100_000, 0), (u64::MAX, 0)] {
            let mut byte = [1];
            rom.read(offset, &mut byte);
            assert_eq!(byte, [due], "{offset}");
        }
    }

    #[test]
    fn an_image_that_is_empty_or_larger_than_the_bank_is_refused() {
        for bytes in [0, (64 << 20) + 1] {
            assert!(matches!(Rom::new(FLASH[0], &vec![0; bytes]), Err(RomError::Size { .. })), "{bytes}");
        }
    }
}
