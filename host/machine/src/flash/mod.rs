//! NOR flash: a bank of two 16-bit chips side by side, each command going to both, as firmware finds it on QEMU's `virt`
//! machine. Intel's command set 0001 (`[CFI]`, `[P30]`).
//!
//! The contents are guest memory, so that reads need no exit while the bank is in array mode: they can be a read-only
//! region of the VM then. In every other mode reads have to come here.
//!
//! A command takes effect at once: the status is always "ready".
//!
//! `[CFI]`: JEDEC JESD68.01, Common Flash Interface. `[P30]`: Intel StrataFlash Embedded Memory (P30) data sheet, 306666.

mod cfi;

use std::fs::File;
use std::sync::Arc;

use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use super::Device;
use super::map::Window;

/// What an erase erases, in bytes: a block of 128 KiB in each chip.
pub const BLOCK: u64 = 256 << 10;
/// What one buffered program can change, in bytes: 32 words of 16 bits in each chip, naturally aligned.
const BUFFER: usize = 128;
/// Bytes across the bank: a 16-bit word of each chip.
const WIDTH: u64 = 4;

/// Status register ([P30/9.2], table "Status Register Description").
mod status {
    pub(super) const READY: u8 = 1 << 7;
    pub(super) const ERASE_ERROR: u8 = 1 << 5;
    pub(super) const PROGRAM_ERROR: u8 = 1 << 4;
    pub(super) const LOCKED: u8 = 1 << 1;
    pub(super) const SEQUENCE_ERROR: u8 = ERASE_ERROR | PROGRAM_ERROR;
}

/// Commands ([P30/9.1], table "Command Codes and Definitions").
mod command {
    pub(super) const LOCK: u8 = 0x01;
    pub(super) const PROGRAM_ALTERNATE: u8 = 0x10;
    pub(super) const ERASE: u8 = 0x20;
    pub(super) const LOCK_DOWN: u8 = 0x2f;
    pub(super) const PROGRAM: u8 = 0x40;
    pub(super) const CLEAR_STATUS: u8 = 0x50;
    pub(super) const LOCK_SETUP: u8 = 0x60;
    pub(super) const READ_STATUS: u8 = 0x70;
    pub(super) const READ_ID: u8 = 0x90;
    pub(super) const READ_QUERY: u8 = 0x98;
    /// Confirms an erase or a buffered program, unlocks after [`LOCK_SETUP`].
    pub(super) const CONFIRM: u8 = 0xd0;
    pub(super) const BUFFERED_PROGRAM: u8 = 0xe8;
    pub(super) const READ_ARRAY: u8 = 0xff;
}

/// What reads return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Array,
    Status,
    Id,
    Query,
}

/// What the next write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Command,
    ProgramData,
    EraseConfirm,
    LockConfirm,
    BufferCount,
    /// This many more words of data for the buffer.
    BufferData(u32),
    BufferConfirm,
}

/// A bank of flash.
pub struct Flash {
    memory: GuestMemoryMmap,
    base: u64,
    size: u64,
    reads: Reads,
    next: Next,
    status: u8,
    /// A block each: neither programmed nor erased.
    locked: Vec<bool>,
    buffer: [u8; BUFFER],
    /// Where in the bank the buffer goes, once the first word of data has said so.
    buffer_at: Option<u64>,
    map: Map,
}

/// Makes the contents readable without an exit (`true`), or no longer.
pub type Map = Box<dyn FnMut(bool) + Send>;

/// Why there can be no such bank. One line each.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The contents have a size that no bank has.
    #[error(
        "{bytes} bytes; the size of a bank of flash is a power of two from {BLOCK} to {most}: pad the file with `truncate -s`"
    )]
    Size {
        /// What was given.
        bytes: u64,
        /// What the window takes.
        most: u64,
    },
    /// No memory for it.
    #[error("memory for a bank of flash: {0}")]
    Memory(std::io::Error),
}

impl Flash {
    /// An erased bank of `size` bytes.
    pub fn erased(window: Window, size: u64) -> Result<Flash, FlashError> {
        let flash = Flash::new(window, size, None)?;
        for block in 0..flash.locked.len() as u64 {
            flash.store(block * BLOCK, &[0xff; BLOCK as usize]);
        }
        Ok(flash)
    }

    /// A bank whose contents are those of a file open for reading and writing: what the guest writes stays in the file.
    pub fn file(window: Window, file: Arc<File>) -> Result<Flash, FlashError> {
        let size = file.metadata().map_err(FlashError::Memory)?.len();
        Flash::new(window, size, Some(FileOffset::from_arc(file, 0)))
    }

    /// A bank after a reset, with the memory of one there was before.
    ///
    /// # Panics
    /// If that memory is not one region.
    pub fn again(window: Window, memory: GuestMemoryMmap) -> Flash {
        let size = memory.iter().map(GuestMemoryRegion::len).next().expect("a bank's memory is one region");
        Flash::over(window, size, memory)
    }

    fn new(window: Window, size: u64, file: Option<FileOffset>) -> Result<Flash, FlashError> {
        if !size.is_power_of_two() || !(BLOCK..=window.size).contains(&size) {
            return Err(FlashError::Size { bytes: size, most: window.size });
        }
        let range = (GuestAddress(window.base), size as usize, file);
        let memory = GuestMemoryMmap::from_ranges_with_files([range])
            .map_err(|error| FlashError::Memory(std::io::Error::other(error)))?;
        Ok(Flash::over(window, size, memory))
    }

    fn over(window: Window, size: u64, memory: GuestMemoryMmap) -> Flash {
        Flash {
            memory,
            base: window.base,
            size,
            reads: Reads::Array,
            next: Next::Command,
            status: status::READY,
            locked: vec![false; (size / BLOCK) as usize],
            buffer: [0xff; BUFFER],
            buffer_at: None,
            map: Box::new(|_| ()),
        }
    }

    /// The contents, one region at the bank's guest physical address.
    pub fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    /// Has `map` called now, and whenever array mode begins or ends: before the write that ends it has any effect.
    pub fn mapped_by(&mut self, mut map: Map) {
        map(self.reads == Reads::Array);
        self.map = map;
    }

    /// Where it is.
    pub fn window(&self) -> Window {
        Window { base: self.base, size: self.size, spi: None }
    }

    /// Writes the contents as they are, past commands and locks. What lies behind the end is left out.
    fn store(&self, offset: u64, bytes: &[u8]) {
        if let Some((address, fits)) = self.place(offset, bytes.len()) {
            self.memory.write_slice(&bytes[..fits], address).expect("it lies in the bank");
        }
    }

    /// Reads the contents; behind the end there are ones.
    fn load(&self, offset: u64, bytes: &mut [u8]) {
        bytes.fill(0xff);
        if let Some((address, fits)) = self.place(offset, bytes.len()) {
            self.memory.read_slice(&mut bytes[..fits], address).expect("it lies in the bank");
        }
    }

    /// Where `len` bytes at `offset` are in guest memory, and how many of them are there.
    fn place(&self, offset: u64, len: usize) -> Option<(GuestAddress, usize)> {
        let left = self.size.checked_sub(offset).filter(|&left| left > 0)?;
        Some((GuestAddress(self.base + offset), left.min(len as u64) as usize))
    }

    /// Programming turns ones into zeros, never back.
    fn program(&mut self, offset: u64, data: &[u8]) {
        if self.is_locked(offset) {
            self.status |= status::PROGRAM_ERROR | status::LOCKED;
            return;
        }
        let mut bytes = vec![0; data.len()];
        self.load(offset, &mut bytes);
        for (old, new) in bytes.iter_mut().zip(data) {
            *old &= new;
        }
        self.store(offset, &bytes);
    }

    fn erase(&mut self, offset: u64) {
        if self.is_locked(offset) {
            self.status |= status::ERASE_ERROR | status::LOCKED;
        } else {
            self.store(offset / BLOCK * BLOCK, &[0xff; BLOCK as usize]);
        }
    }

    fn is_locked(&self, offset: u64) -> bool {
        self.locked.get((offset / BLOCK) as usize).copied().unwrap_or(true)
    }

    fn set_lock(&mut self, offset: u64, lock: bool) {
        if let Some(locked) = self.locked.get_mut((offset / BLOCK) as usize) {
            *locked = lock;
        }
    }

    /// What is not the command that was due: the sequence ends, and the status says so.
    fn sequence_error(&mut self) {
        self.status |= status::SEQUENCE_ERROR;
        self.next = Next::Command;
    }

    /// Takes a command that begins a sequence or is one.
    fn begin(&mut self, code: u8) {
        let (reads, next) = match code {
            command::READ_ARRAY => (Reads::Array, Next::Command),
            command::READ_ID => (Reads::Id, Next::Command),
            command::READ_QUERY => (Reads::Query, Next::Command),
            command::READ_STATUS => (Reads::Status, Next::Command),
            command::CLEAR_STATUS => {
                self.status = status::READY;
                (self.reads, Next::Command)
            }
            command::PROGRAM | command::PROGRAM_ALTERNATE => (Reads::Status, Next::ProgramData),
            command::ERASE => (Reads::Status, Next::EraseConfirm),
            command::LOCK_SETUP => (Reads::Status, Next::LockConfirm),
            command::BUFFERED_PROGRAM => (Reads::Status, Next::BufferCount),
            // Resumes what was suspended, which nothing ever is.
            command::CONFIRM => (self.reads, Next::Command),
            // What the chip does not know it ignores; guests that look for another kind of flash write anything.
            _ => (self.reads, Next::Command),
        };
        if (reads == Reads::Array) != (self.reads == Reads::Array) {
            (self.map)(reads == Reads::Array);
        }
        (self.reads, self.next) = (reads, next);
    }

    /// Takes a word of data for the buffer.
    fn fill_buffer(&mut self, offset: u64, data: &[u8], left: u32) {
        let at = *self.buffer_at.get_or_insert(offset / BUFFER as u64 * BUFFER as u64);
        let place = offset.checked_sub(at).and_then(|first| {
            let first = first as usize;
            self.buffer.get_mut(first..first.checked_add(data.len())?)
        });
        match place {
            Some(place) => {
                place.copy_from_slice(data);
                self.next = if left > 1 { Next::BufferData(left - 1) } else { Next::BufferConfirm };
            }
            None => self.sequence_error(),
        }
    }
}

impl Device for Flash {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        if self.reads == Reads::Array {
            return self.load(offset, data);
        }
        for (offset, byte) in (offset..).zip(data) {
            // Where in a block, counted in words of the bank, as the chips' address lines are wired.
            let word = offset % BLOCK / WIDTH;
            let both = match self.reads {
                Reads::Status => u16::from(self.status),
                Reads::Id => cfi::id(word, self.is_locked(offset)),
                Reads::Array | Reads::Query => cfi::query(word, self.size),
            };
            *byte = both.to_le_bytes()[(offset % 2) as usize];
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let Some(&code) = data.first() else { return };
        match self.next {
            Next::Command => self.begin(code),
            Next::ProgramData => {
                self.program(offset, data);
                self.next = Next::Command;
            }
            Next::EraseConfirm if code == command::CONFIRM => {
                self.erase(offset);
                self.next = Next::Command;
            }
            Next::LockConfirm if matches!(code, command::CONFIRM | command::LOCK | command::LOCK_DOWN) => {
                self.set_lock(offset, code != command::CONFIRM);
                self.next = Next::Command;
            }
            Next::BufferCount if usize::from(code) < BUFFER / WIDTH as usize => {
                self.buffer.fill(0xff);
                self.buffer_at = None;
                // The count is one less than the words.
                self.next = Next::BufferData(u32::from(code) + 1);
            }
            Next::BufferData(left) => self.fill_buffer(offset, data, left),
            Next::BufferConfirm if code == command::CONFIRM => {
                if let Some(at) = self.buffer_at {
                    self.program(at, &self.buffer.clone());
                }
                self.next = Next::Command;
            }
            Next::EraseConfirm | Next::LockConfirm | Next::BufferCount | Next::BufferConfirm => self.sequence_error(),
        }
    }

    /// It has no interrupt.
    fn output(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
