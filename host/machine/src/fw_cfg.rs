//! QEMU's fw_cfg in its MMIO form: numbered items and named files, read byte by byte or by DMA. Firmware finds in it the
//! kernel to boot ([FW-CFG]).
//!
//! `[FW-CFG]`: QEMU, docs/specs/fw_cfg.rst.

use std::collections::BTreeMap;

use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

use super::Device;

/// Offsets of the registers ([FW-CFG], "Register Locations").
mod register {
    pub(super) const DATA: u64 = 0;
    pub(super) const SELECTOR: u64 = 8;
    pub(super) const DMA: u64 = 16;
}

/// Keys of items ([FW-CFG], and QEMU's include/standard-headers/linux/qemu_fw_cfg.h).
mod key {
    pub(super) const SIGNATURE: u16 = 0x00;
    pub(super) const ID: u16 = 0x01;
    pub(super) const CPUS: u16 = 0x05;
    pub(super) const KERNEL_SIZE: u16 = 0x08;
    pub(super) const INITRD_SIZE: u16 = 0x0b;
    pub(super) const KERNEL_DATA: u16 = 0x11;
    pub(super) const INITRD_DATA: u16 = 0x12;
    pub(super) const COMMAND_LINE_SIZE: u16 = 0x14;
    pub(super) const COMMAND_LINE_DATA: u16 = 0x15;
    pub(super) const FILE_DIRECTORY: u16 = 0x19;
    pub(super) const FIRST_FILE: u16 = 0x20;
}

/// Control bits of a DMA request ([FW-CFG], "Guest-side DMA Interface"); its upper half is a key to select.
mod control {
    pub(super) const ERROR: u32 = 1 << 0;
    pub(super) const READ: u32 = 1 << 1;
    pub(super) const SKIP: u32 = 1 << 2;
    pub(super) const SELECT: u32 = 1 << 3;
    pub(super) const WRITE: u32 = 1 << 4;
}

/// What the DMA register reads as: "QEMU CFG".
const DMA_SIGNATURE: [u8; 8] = *b"QEMU CFG";
/// Bytes for the name of a file, the NUL included.
const NAME: usize = 56;

/// The items, and which of them is being read.
pub struct FwCfg {
    memory: GuestMemoryMmap,
    items: BTreeMap<u16, Vec<u8>>,
    files: Vec<(String, u32)>,
    selected: u16,
    /// How much of the selected item has been read.
    position: usize,
    /// The DMA register's upper half, until its lower half is written.
    dma_high: u32,
}

impl FwCfg {
    /// The items that are always there. DMA goes to `memory`.
    pub fn new(memory: GuestMemoryMmap, cpus: u16) -> FwCfg {
        let mut this = FwCfg {
            memory,
            items: BTreeMap::new(),
            files: Vec::new(),
            selected: key::SIGNATURE,
            position: 0,
            dma_high: 0,
        };
        this.items.insert(key::SIGNATURE, b"QEMU".to_vec());
        // The traditional interface, and DMA.
        this.items.insert(key::ID, 0b11_u32.to_le_bytes().to_vec());
        this.items.insert(key::CPUS, cpus.to_le_bytes().to_vec());
        this.list();
        this
    }

    /// The kernel that firmware is to boot: an EFI application.
    pub fn kernel(&mut self, image: Vec<u8>) {
        self.sized(key::KERNEL_SIZE, key::KERNEL_DATA, image);
    }

    /// Its initial RAM disk.
    pub fn initrd(&mut self, initrd: Vec<u8>) {
        self.sized(key::INITRD_SIZE, key::INITRD_DATA, initrd);
    }

    /// Its command line.
    pub fn command_line(&mut self, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.sized(key::COMMAND_LINE_SIZE, key::COMMAND_LINE_DATA, bytes);
    }

    /// A file, found by its name, of which the first 55 bytes count.
    pub fn file(&mut self, name: &str, bytes: Vec<u8>) {
        let key = key::FIRST_FILE + self.files.len() as u16;
        self.files.push((name.to_owned(), bytes.len() as u32));
        self.items.insert(key, bytes);
        self.list();
    }

    /// An item whose size is another item.
    fn sized(&mut self, size: u16, data: u16, bytes: Vec<u8>) {
        self.items.insert(size, (bytes.len() as u32).to_le_bytes().to_vec());
        self.items.insert(data, bytes);
    }

    /// Writes the directory: how many files, and for each its size, key and name, big-endian.
    fn list(&mut self) {
        let mut directory = (self.files.len() as u32).to_be_bytes().to_vec();
        for ((name, size), key) in self.files.iter().zip(key::FIRST_FILE..) {
            let mut field = [0; NAME];
            for (to, from) in field[..NAME - 1].iter_mut().zip(name.bytes()) {
                *to = from;
            }
            directory.extend(size.to_be_bytes());
            directory.extend(key.to_be_bytes());
            directory.extend([0; 2]);
            directory.extend(field);
        }
        self.items.insert(key::FILE_DIRECTORY, directory);
    }

    fn select(&mut self, key: u16) {
        self.selected = key;
        self.position = 0;
    }

    /// The next `len` bytes of the selected item, as far as there are any; the rest reads as zero.
    fn take(&mut self, len: usize) -> &[u8] {
        let item = self.items.get(&self.selected).map_or(&[][..], Vec::as_slice);
        let from = self.position.min(item.len());
        let to = from.saturating_add(len).min(item.len());
        self.position = self.position.saturating_add(len);
        &item[from..to]
    }

    /// Does the DMA request at `address`: control, length and address, big-endian; then writes to its control field how
    /// it went.
    fn dma(&mut self, address: GuestAddress) {
        let mut request = [0; 16];
        if self.memory.read_slice(&mut request, address).is_err() {
            return; // There is nowhere to say so.
        }
        let [a, b, c, d, e, f, g, h, to @ ..] = request;
        let (control, len) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let done = match self.transfer(control, len as usize, GuestAddress(u64::from_be_bytes(to))) {
            true => 0,
            false => control::ERROR,
        };
        // The request was read from there, so it can only be read-only memory that refuses, and there is none.
        let _ = self.memory.write_slice(&done.to_be_bytes(), address);
    }

    /// Whether it could be done.
    fn transfer(&mut self, control: u32, len: usize, to: GuestAddress) -> bool {
        if control & control::SELECT != 0 {
            self.select((control >> 16) as u16);
        }
        if control & control::READ != 0 {
            // Looked at first, so that a length of gigabytes costs nothing where there is no memory for it.
            if !self.memory.check_range(to, len, Permissions::Write) {
                return false;
            }
            let memory = self.memory.clone();
            let bytes = self.take(len);
            let written = memory.write_slice(bytes, to).is_ok();
            written && zero(&memory, to, bytes.len(), len)
        } else if control & control::WRITE != 0 {
            // Nothing here can be written.
            false
        } else {
            if control & control::SKIP != 0 {
                self.take(len);
            }
            true
        }
    }
}

/// Zeroes bytes `from` to `end` behind `address`.
fn zero(memory: &GuestMemoryMmap, address: GuestAddress, from: usize, end: usize) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    (from..end).step_by(ZEROS.len()).all(|at| {
        let chunk = &ZEROS[..ZEROS.len().min(end - at)];
        memory.write_slice(chunk, GuestAddress(address.0 + at as u64)).is_ok()
    })
}

impl Device for FwCfg {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if (register::DATA..register::SELECTOR).contains(&offset) {
            let bytes = self.take(data.len());
            data[..bytes.len()].copy_from_slice(bytes);
        } else if let Some(from) = offset.checked_sub(register::DMA) {
            let signature = DMA_SIGNATURE.iter().skip(usize::try_from(from).unwrap_or(usize::MAX));
            for (to, from) in data.iter_mut().zip(signature) {
                *to = *from;
            }
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        // Both registers are big-endian.
        match (offset, data) {
            (register::SELECTOR, &[a, b, ..]) => self.select(u16::from_be_bytes([a, b])),
            (register::DMA, &[a, b, c, d]) => self.dma_high = u32::from_be_bytes([a, b, c, d]),
            (register::DMA, &[a, b, c, d, e, f, g, h]) => {
                self.dma(GuestAddress(u64::from_be_bytes([a, b, c, d, e, f, g, h])));
            }
            (offset, &[a, b, c, d]) if offset == register::DMA + 4 => {
                let high = std::mem::take(&mut self.dma_high);
                self.dma(GuestAddress(u64::from(high) << 32 | u64::from(u32::from_be_bytes([a, b, c, d]))));
            }
            _ => {}
        }
    }

    /// It has no interrupt.
    fn output(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RAM: u64 = 0x4000_0000;
    const REQUEST: u64 = RAM + 0x100;

    fn machine() -> (GuestMemoryMmap, FwCfg) {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM), 0x1_0000)]).unwrap();
        (memory.clone(), FwCfg::new(memory, 2))
    }

    fn read(fw_cfg: &mut FwCfg, key: u16, len: usize) -> Vec<u8> {
        fw_cfg.write(register::SELECTOR, &key.to_be_bytes());
        let mut bytes = vec![0; len];
        for chunk in bytes.chunks_mut(4) {
            fw_cfg.read(register::DATA, chunk);
        }
        bytes
    }

    /// Makes a request as a driver does, and returns the control field afterwards.
    fn dma(memory: &GuestMemoryMmap, fw_cfg: &mut FwCfg, control: u32, len: u32, to: u64) -> u32 {
        let request = [&control.to_be_bytes()[..], &len.to_be_bytes(), &to.to_be_bytes()].concat();
        memory.write_slice(&request, GuestAddress(REQUEST)).unwrap();
        fw_cfg.write(register::DMA, &((REQUEST >> 32) as u32).to_be_bytes());
        fw_cfg.write(register::DMA + 4, &(REQUEST as u32).to_be_bytes());
        let mut done = [0; 4];
        memory.read_slice(&mut done, GuestAddress(REQUEST)).unwrap();
        u32::from_be_bytes(done)
    }

    #[test]
    fn it_is_signed_and_says_that_it_has_dma() {
        let (_, mut fw_cfg) = machine();
        assert_eq!(read(&mut fw_cfg, key::SIGNATURE, 4), b"QEMU");
        assert_eq!(read(&mut fw_cfg, key::ID, 4), [3, 0, 0, 0]);
        let mut signature = [0; 8];
        fw_cfg.read(register::DMA, &mut signature);
        assert_eq!(&signature, b"QEMU CFG");
        assert_eq!(read(&mut fw_cfg, key::CPUS, 2), [2, 0]);
    }

    #[test]
    fn an_item_is_followed_by_zeros_and_selecting_it_begins_it_again() {
        let (_, mut fw_cfg) = machine();
        for _ in 0..2 {
            assert_eq!(read(&mut fw_cfg, key::SIGNATURE, 8), b"QEMU\0\0\0\0");
        }
        assert_eq!(read(&mut fw_cfg, 0x1234, 4), [0; 4], "an item that is not there");
    }

    #[test]
    fn the_command_line_is_terminated_and_its_size_says_so() {
        let (_, mut fw_cfg) = machine();
        fw_cfg.command_line("quiet");
        assert_eq!(read(&mut fw_cfg, 0x14, 4), [6, 0, 0, 0]);
        assert_eq!(read(&mut fw_cfg, 0x15, 6), b"quiet\0");
    }

    #[test]
    fn files_are_in_the_directory_with_size_key_and_name() {
        let (_, mut fw_cfg) = machine();
        fw_cfg.file("etc/one", vec![1; 3]);
        fw_cfg.file(&"x".repeat(80), vec![2; 0x102]);
        let directory = read(&mut fw_cfg, key::FILE_DIRECTORY, 4 + 2 * 64);
        assert_eq!(directory[..12], [0, 0, 0, 2, 0, 0, 0, 3, 0, 0x20, 0, 0]);
        assert_eq!(&directory[12..20], b"etc/one\0");
        assert_eq!(directory[68..76], [0, 0, 1, 2, 0, 0x21, 0, 0]);
        assert_eq!((&directory[76..131], directory[131]), (&[b'x'; 55][..], 0));
        assert_eq!(read(&mut fw_cfg, 0x21, 2), [2, 2]);
    }

    #[test]
    fn dma_selects_skips_and_reads_and_zeroes_what_lies_behind_the_end() {
        let (memory, mut fw_cfg) = machine();
        fw_cfg.kernel((0..100).collect());
        let control = u32::from(key::KERNEL_DATA) << 16 | control::SELECT | control::SKIP;
        assert_eq!(dma(&memory, &mut fw_cfg, control, 90, 0), 0);
        memory.write_slice(&[0xee; 0x2000], GuestAddress(RAM + 0x1000)).unwrap();
        assert_eq!(dma(&memory, &mut fw_cfg, control::READ, 0x1800, RAM + 0x1000), 0);
        let mut bytes = vec![0; 0x1802];
        memory.read_slice(&mut bytes, GuestAddress(RAM + 0x1000)).unwrap();
        assert_eq!(bytes[..12], [90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 0, 0]);
        assert!(bytes[12..0x1800].iter().all(|&byte| byte == 0));
        assert_eq!(bytes[0x1800..], [0xee, 0xee]);
    }

    #[test]
    fn dma_to_where_no_memory_is_or_into_an_item_is_an_error() {
        let (memory, mut fw_cfg) = machine();
        for (control, len, to) in [
            (control::READ, 4, 0),
            (control::READ, u32::MAX, RAM),
            (control::READ, 4, u64::MAX - 1),
            (control::WRITE, 4, RAM),
        ] {
            assert_eq!(dma(&memory, &mut fw_cfg, control, len, to), control::ERROR, "{control:#x} {len} {to:#x}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_traffic_does_not_panic(
            request in any::<[u8; 16]>(),
            accesses in prop::collection::vec((0..0x20_u64, 0..4_u32, any::<Option<u64>>()), 0..100),
        ) {
            let (memory, mut fw_cfg) = machine();
            fw_cfg.file("etc/one", vec![1; 3]);
            memory.write_slice(&request, GuestAddress(RAM)).unwrap();
            fw_cfg.write(register::DMA, &RAM.to_be_bytes());
            for (offset, log, write) in accesses {
                match write {
                    Some(value) => fw_cfg.write(offset, &value.to_le_bytes()[..1 << log]),
                    None => fw_cfg.read(offset, &mut [0; 8][..1 << log]),
                }
            }
        }
    }
}
