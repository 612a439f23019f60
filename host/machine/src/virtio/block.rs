//! virtio-blk ([VIRTIO/5.2]): a file as a disk. A request is done before its notification ends, so that they are in
//! order.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR,
    VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use virtio_queue::{DescriptorChain, Error, Queue, Reader, Writer};
use vm_memory::GuestMemoryMmap;

use super::{Backend, drain};

/// Bytes in a sector, whatever the disk is ([VIRTIO/5.2.4]).
const SECTOR: u64 = 512;
/// Entries of the queue.
const QUEUE: u16 = 128;
/// Bytes that go between file and guest at a time.
const CHUNK: usize = 64 << 10;

/// A disk.
pub struct Block {
    file: Arc<File>,
    sectors: u64,
    read_only: bool,
    config: [u8; 16],
}

impl Block {
    /// A disk whose contents are those of `file`, open for reading and, unless it is `read_only`, for writing.
    ///
    /// # Errors
    /// The file is a directory, or is not one or more whole sectors: a guest that looks for a partition table or a file
    /// system at its end would not find it.
    pub fn new(file: Arc<File>, read_only: bool) -> io::Result<Block> {
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Not what its metadata says: that of a block device says nothing.
        let bytes = io::Seek::seek(&mut &*file, io::SeekFrom::End(0))?;
        if bytes == 0 || !bytes.is_multiple_of(SECTOR) {
            return Err(io::Error::other(format!(
                "is {bytes} bytes; a disk has one or more whole sectors of {SECTOR} bytes: pad the file with `truncate -s %{SECTOR}`"
            )));
        }
        let sectors = bytes / SECTOR;
        // capacity, size_max, seg_max.
        let mut config = [0; 16];
        config[..8].copy_from_slice(&sectors.to_le_bytes());
        config[12..].copy_from_slice(&u32::from(QUEUE - 2).to_le_bytes());
        Ok(Block { file, sectors, read_only, config })
    }

    /// Does the request in `chain`; returns how many bytes of the chain it wrote.
    fn request(&mut self, chain: DescriptorChain<&GuestMemoryMmap>, memory: &GuestMemoryMmap) -> Result<u32, Error> {
        let mut from = chain.clone().reader(memory)?;
        let mut to = chain.writer(memory)?;
        let mut header = [0; 16];
        let complete = from.read_exact(&mut header).is_ok();
        // The status is the last byte of what the device writes.
        let Some(data) = to.available_bytes().checked_sub(1).filter(|_| complete) else {
            return Err(Error::InvalidChain);
        };
        let mut last = to.split_at(data)?;
        let [a, b, c, d, _, _, _, _, sector @ ..] = header;
        let status = match self.perform(u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(sector), from, &mut to) {
            Ok(()) => VIRTIO_BLK_S_OK,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => VIRTIO_BLK_S_UNSUPP,
            Err(_) => VIRTIO_BLK_S_IOERR,
        };
        // There is room for it.
        let _ = last.write_all(&[status as u8]);
        Ok((to.bytes_written() + 1) as u32)
    }

    fn perform(&mut self, kind: u32, sector: u64, from: Reader<'_>, to: &mut Writer<'_>) -> io::Result<()> {
        match kind {
            VIRTIO_BLK_T_IN => self.read(self.place(sector, to.available_bytes())?, to),
            VIRTIO_BLK_T_OUT if self.read_only => Err(io::ErrorKind::PermissionDenied.into()),
            VIRTIO_BLK_T_OUT => self.write(self.place(sector, from.available_bytes())?, from),
            VIRTIO_BLK_T_FLUSH => self.file.sync_data(),
            VIRTIO_BLK_T_GET_ID => {
                let mut id = [0; VIRTIO_BLK_ID_BYTES as usize];
                id[..5].copy_from_slice(b"vtick");
                to.write_all(&id[..id.len().min(to.available_bytes())])
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Where in the file `bytes` from `sector` on are, if they are whole sectors and all there.
    fn place(&self, sector: u64, bytes: usize) -> io::Result<u64> {
        let bytes = bytes as u64;
        match sector.checked_add(bytes / SECTOR) {
            Some(end) if bytes.is_multiple_of(SECTOR) && end <= self.sectors => Ok(sector * SECTOR),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn read(&self, mut at: u64, to: &mut Writer<'_>) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK.min(to.available_bytes())];
        while to.available_bytes() > 0 {
            let len = chunk.len().min(to.available_bytes());
            self.file.read_exact_at(&mut chunk[..len], at)?;
            to.write_all(&chunk[..len])?;
            at += len as u64;
        }
        Ok(())
    }

    fn write(&self, mut at: u64, mut from: Reader<'_>) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK.min(from.available_bytes())];
        while from.available_bytes() > 0 {
            let len = chunk.len().min(from.available_bytes());
            from.read_exact(&mut chunk[..len])?;
            self.file.write_all_at(&chunk[..len], at)?;
            at += len as u64;
        }
        Ok(())
    }
}

impl Backend for Block {
    const ID: u32 = VIRTIO_ID_BLOCK;
    const QUEUES: &'static [u16] = &[QUEUE];

    fn features(&self) -> u64 {
        1 << VIRTIO_BLK_F_FLUSH | 1 << VIRTIO_BLK_F_SEG_MAX | u64::from(self.read_only) << VIRTIO_BLK_F_RO
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn serve(&mut self, _: usize, queue: &mut Queue, memory: &GuestMemoryMmap) -> Result<bool, Error> {
        drain(queue, memory, |chain| self.request(chain, memory).map(Some))
    }
}

#[cfg(test)]
mod tests {
    use super::super::driver::{Driver, RAM};
    use super::*;
    use crate::Device;

    const HEADER: u64 = RAM;
    const STATUS: u64 = RAM + 0x100;
    const DATA: u64 = RAM + 0x1000;

    /// A disk of 8 sectors, each filled with its number.
    fn disk(read_only: bool) -> (File, Driver<Block>) {
        let file = tempfile::tempfile().unwrap();
        for sector in 0..8_u8 {
            file.write_all_at(&[sector; SECTOR as usize], u64::from(sector) * SECTOR).unwrap();
        }
        let mut driver = Driver::new(Block::new(Arc::new(file.try_clone().unwrap()), read_only).unwrap());
        driver.start();
        (file, driver)
    }

    /// Makes a request with data at [`DATA`] and returns its status and how many bytes it wrote.
    fn request(driver: &mut Driver<Block>, kind: u32, sector: u64, bytes: u32) -> (u32, u32) {
        let header = [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat();
        driver.write(HEADER, &header);
        driver.write(STATUS, &[0xee]);
        let data = (DATA, bytes, kind != VIRTIO_BLK_T_OUT);
        driver.offer(0, &[(HEADER, 16, false), data, (STATUS, 1, true)]);
        (driver.read(STATUS, 1)[0].into(), *driver.used(0).last().unwrap())
    }

    #[test]
    fn it_has_the_sectors_that_its_file_fills() {
        let (_, mut driver) = disk(false);
        let mut capacity = [0; 8];
        driver.device.read(0x100, &mut capacity);
        assert_eq!(u64::from_le_bytes(capacity), 8);
    }

    #[test]
    fn sectors_are_read_from_the_file_and_written_to_it() {
        let (file, mut driver) = disk(false);
        assert_eq!(request(&mut driver, VIRTIO_BLK_T_IN, 3, 1024), (VIRTIO_BLK_S_OK, 1025));
        assert_eq!(driver.read(DATA, 1024), [[3; 512], [4; 512]].concat());
        driver.write(DATA, &[0xa5; 512]);
        assert_eq!(request(&mut driver, VIRTIO_BLK_T_OUT, 6, 512), (VIRTIO_BLK_S_OK, 1));
        let mut sectors = [0; 3 * 512];
        file.read_exact_at(&mut sectors, 5 * SECTOR).unwrap();
        assert_eq!(sectors.to_vec(), [[5; 512], [0xa5; 512], [7; 512]].concat());
        assert_eq!(request(&mut driver, VIRTIO_BLK_T_FLUSH, 0, 0), (VIRTIO_BLK_S_OK, 1));
    }

    #[test]
    fn what_is_not_on_the_disk_or_not_whole_sectors_is_an_error() {
        let (file, mut driver) = disk(false);
        for (sector, bytes) in [(8, 512), (7, 1024), (u64::MAX, 512), (0, 100)] {
            for kind in [VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT] {
                let refused = request(&mut driver, kind, sector, bytes);
                assert_eq!(refused, (VIRTIO_BLK_S_IOERR, 1), "{kind} {sector} {bytes}");
            }
        }
        assert_eq!(file.metadata().unwrap().len(), 8 * SECTOR, "nothing was written behind the end");
        assert_eq!(request(&mut driver, 0x1234, 0, 512), (VIRTIO_BLK_S_UNSUPP, 1));
    }

    #[test]
    fn a_read_only_disk_says_so_and_refuses_to_be_written() {
        let (file, mut driver) = disk(true);
        assert_ne!(driver.get(0x10) & 1 << VIRTIO_BLK_F_RO, 0);
        driver.write(DATA, &[0xa5; 512]);
        assert_eq!(request(&mut driver, VIRTIO_BLK_T_OUT, 6, 512), (VIRTIO_BLK_S_IOERR, 1));
        let mut sector = [0; 512];
        file.read_exact_at(&mut sector, 6 * SECTOR).unwrap();
        assert_eq!(sector, [6; 512]);
    }

    #[test]
    fn it_has_a_name() {
        let (_, mut driver) = disk(false);
        assert_eq!(request(&mut driver, VIRTIO_BLK_T_GET_ID, 0, 20), (VIRTIO_BLK_S_OK, 21));
        assert_eq!(driver.read(DATA, 6), b"vtick\0");
    }

    #[test]
    fn a_disk_that_is_empty_or_no_whole_number_of_sectors_is_refused() {
        for (bytes, is_disk) in [(0, false), (1, false), (511, false), (512, true), (513, false), (1024, true)] {
            let file = tempfile::tempfile().unwrap();
            file.set_len(bytes).unwrap();
            assert_eq!(Block::new(Arc::new(file), true).is_ok(), is_disk, "{bytes}");
        }
    }
}
