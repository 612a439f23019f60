//! ELF files: every PT_LOAD segment goes to its physical address.

use std::borrow::Cow;

use object::Endianness;
use object::elf::{EM_AARCH64, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use super::{Kernel, Kind, PayloadError, Piece};

pub(super) fn parse<'a>(file: &Cow<'a, [u8]>) -> Result<Kernel<'a>, PayloadError> {
    let refuse = |what: String| PayloadError::File(what);
    let broken = |error: object::Error| refuse(format!("is an ELF file that cannot be read: {error}"));
    let header = FileHeader64::<Endianness>::parse(&**file).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    if header.e_machine(endian) != EM_AARCH64 || endian != Endianness::Little {
        return Err(refuse("is an ELF file for another processor than little-endian AArch64".to_owned()));
    }
    let (mut pieces, mut entry) = (Vec::new(), header.e_entry(endian));
    let (mut lowest, mut highest) = (u64::MAX, 0);
    for segment in header.program_headers(endian, &**file).map_err(broken)? {
        let (address, size) = (segment.p_paddr(endian), segment.p_memsz(endian));
        if segment.p_type(endian) != PT_LOAD || size == 0 {
            continue;
        }
        let end =
            address.checked_add(size).ok_or_else(|| refuse("is an ELF file with a segment that wraps".to_owned()))?;
        // What is linked to virtual addresses is entered at a physical one: the MMU is off.
        let first = segment.p_vaddr(endian);
        if first != address && (first..first.saturating_add(size)).contains(&header.e_entry(endian)) {
            entry = header.e_entry(endian) - first + address;
        }
        let start = segment.p_offset(endian);
        let range =
            usize::try_from(start).ok().zip(usize::try_from(start.saturating_add(segment.p_filesz(endian))).ok());
        let range = range.filter(|&(start, end)| start <= end && end <= file.len());
        let (start, until) = range.ok_or_else(|| refuse("is a truncated ELF file".to_owned()))?;
        pieces.push(Piece { address, bytes: cut(file, start, until) });
        (lowest, highest) = (lowest.min(address), highest.max(end));
    }
    let takes = lowest..highest;
    if pieces.is_empty() {
        return Err(refuse("is an ELF file with nothing in it to load".to_owned()));
    }
    if !takes.contains(&entry) {
        return Err(refuse(format!("is an ELF file that is entered at {entry:#x}, outside of what it loads")));
    }
    Ok(Kernel { kind: Kind::Elf, entry, pieces, takes })
}

/// A part of a file, borrowed if the file is.
fn cut<'a>(file: &Cow<'a, [u8]>, start: usize, end: usize) -> Cow<'a, [u8]> {
    match file {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[start..end]),
        Cow::Owned(bytes) => Cow::Owned(bytes[start..end].to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAM: std::ops::Range<u64> = 0x4000_0000..0x4800_0000;

    /// An ELF file with one segment of 4 bytes in the file and 0x100 in memory.
    fn elf(machine: u16, entry: u64, vaddr: u64, paddr: u64) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend(2_u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        // e_entry, e_phoff, e_shoff; e_flags; e_ehsize, e_phentsize, e_phnum; e_shentsize, e_shnum, e_shstrndx.
        [entry, 64, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
        file.extend(0_u32.to_le_bytes());
        [64_u16, 56, 1, 64, 0, 0].iter().for_each(|half| file.extend(half.to_le_bytes()));
        file.extend(PT_LOAD.0.to_le_bytes());
        file.extend(7_u32.to_le_bytes());
        // p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align.
        [120, vaddr, paddr, 4, 0x100, 8].iter().for_each(|word: &u64| file.extend(word.to_le_bytes()));
        file.extend(b"code");
        file
    }

    #[test]
    fn segments_go_to_their_physical_addresses_and_the_entry_follows_them() {
        let file = elf(EM_AARCH64.0, 0xffff_8000_0000_0010, 0xffff_8000_0000_0000, 0x4020_0000);
        let kernel = Kernel::parse(&file, RAM).unwrap();
        assert_eq!((kernel.kind, kernel.entry, kernel.takes), (Kind::Elf, 0x4020_0010, 0x4020_0000..0x4020_0100));
        assert_eq!(kernel.pieces, [Piece { address: 0x4020_0000, bytes: Cow::Borrowed(b"code") }]);
    }

    #[test]
    fn what_cannot_be_loaded_is_refused_in_a_sentence() {
        const X86_64: u16 = 62;
        let good = elf(EM_AARCH64.0, 0x4020_0000, 0x4020_0000, 0x4020_0000);
        for (file, due) in [
            (good[..good.len() - 1].to_vec(), "truncated"),
            (good[..70].to_vec(), "cannot be read"),
            (elf(X86_64, 0x4020_0000, 0x4020_0000, 0x4020_0000), "another processor"),
            (elf(EM_AARCH64.0, 0x4020_0000, 0, 0), "outside of what it loads"),
            (elf(EM_AARCH64.0, 0x10, 0x10, 0x10), "takes RAM from 0x10 to 0x110"),
            (elf(EM_AARCH64.0, 0, u64::MAX, u64::MAX), "wraps"),
        ] {
            let error = Kernel::parse(&file, RAM).unwrap_err().to_string();
            assert!(error.contains(due), "{due:?} is not in {error:?}");
        }
    }
}
