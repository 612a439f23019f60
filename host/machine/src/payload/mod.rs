//! What a stock guest is booted from: recognised by its first bytes, and given its place in RAM.
//!
//! Tag `[booting]`: Linux, Documentation/arch/arm64/booting.rst.

mod arm;
mod elf;
mod initrd;
mod place;

use std::borrow::Cow;
use std::ops::Range;

use vtick_kernel_image::Header;

pub use initrd::check_initrd;
pub use place::Placed;

/// Where a flat binary goes, from the start of RAM: where QEMU's `virt` machine puts one, and early kernels their text.
const FLAT_OFFSET: u64 = 0x8_0000;
/// `[booting]`: the Image goes `text_offset` bytes behind a multiple of this.
const ALIGNMENT: u64 = 2 << 20;
/// Where a kernel before 3.17, whose header has no size, has to be expected to end: its BSS is not in the file.
const UNKNOWN_BSS: u64 = 16 << 20;

/// A piece of a payload: `bytes` go to guest physical `address`; RAM around it is zero from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Guest physical address.
    pub address: u64,
    /// What goes there.
    pub bytes: Cow<'a, [u8]>,
}

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An arm64 Linux Image.
    Linux,
    /// A 32-bit Arm Linux zImage.
    ZImage,
    /// An ELF file.
    Elf,
    /// A flat binary: anything that is not known to be something else.
    Flat,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Linux => "arm64 Linux Image",
            Kind::ZImage => "32-bit Arm Linux zImage",
            Kind::Elf => "ELF file",
            Kind::Flat => "flat binary",
        })
    }
}

/// A kernel, with the place that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel<'a> {
    /// What it is.
    pub kind: Kind,
    /// Where a vCPU starts, with the address of the device tree in x0 and the MMU off.
    pub entry: u64,
    /// What is loaded.
    pub pieces: Vec<Piece<'a>>,
    /// The RAM that it takes, the zeroes behind what is loaded included.
    pub takes: Range<u64>,
}

/// Why a file cannot be booted: one sentence that follows the file's name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PayloadError {
    /// It is not what can be booted.
    #[error("{0}")]
    File(String),
    /// It needs more RAM than there is.
    #[error("takes RAM from {:#x} to {:#x}; the guest has RAM from {:#x} to {:#x}: see --memory", .takes.start, .takes.end, .ram.start, .ram.end)]
    Outside {
        /// What it takes.
        takes: Range<u64>,
        /// What there is.
        ram: Range<u64>,
    },
    /// The initrd does not fit beside the kernel.
    #[error(
        "is {bytes} bytes, but behind the kernel and the device tree there are only {left} bytes of RAM: see --memory"
    )]
    Initrd {
        /// Its size.
        bytes: u64,
        /// What is left for it.
        left: u64,
    },
    /// The device tree does not fit behind the kernel.
    #[error("leaves no RAM for the device tree: see --memory")]
    DeviceTree,
}

impl Kind {
    /// Whether it is a Linux.
    pub fn is_linux(self) -> bool {
        matches!(self, Kind::Linux | Kind::ZImage)
    }
}

impl<'a> Kernel<'a> {
    /// Recognises what is in `file`, a gzip file and an EFI zboot image unpacked, and finds its place in `ram`, which
    /// starts at a multiple of 2 MiB.
    pub fn parse(file: &'a [u8], ram: Range<u64>) -> Result<Kernel<'a>, PayloadError> {
        let bytes = match vtick_kernel_image::packed(file) {
            true => Cow::Owned(vtick_kernel_image::unpacked(file.to_vec()).map_err(PayloadError::File)?),
            false => Cow::Borrowed(file),
        };
        let kernel = if let Some(header) = Header::parse(&bytes) {
            linux(header, bytes, ram.start)?
        } else if vtick_kernel_image::is_zimage(&bytes) {
            arm::zimage(bytes, ram.start)?
        } else if bytes.starts_with(b"\x7fELF") {
            elf::parse(&bytes)?
        } else if let Some(what) = vtick_kernel_image::kind(&bytes) {
            return Err(PayloadError::File(format!("is nothing that can be booted: {what}")));
        } else {
            let start = ram.start + FLAT_OFFSET;
            single(Kind::Flat, start, bytes, 0)
        };
        let inside = ram.start <= kernel.takes.start && kernel.takes.end <= ram.end;
        if inside { Ok(kernel) } else { Err(PayloadError::Outside { takes: kernel.takes, ram }) }
    }
}

fn linux(header: Header, bytes: Cow<'_, [u8]>, ram: u64) -> Result<Kernel<'_>, PayloadError> {
    let refuse = |what: &str| Err(PayloadError::File(what.to_owned()));
    vtick_kernel_image::check(&bytes).map_err(PayloadError::File)?;
    if header.big_endian {
        return refuse("is a big-endian kernel, which vtick does not boot");
    }
    // `[booting]`: "Where image_size is zero, text_offset can be assumed to be 0x80000."
    let (offset, takes) = match header.image_size {
        0 => (0x8_0000, bytes.len() as u64 + UNKNOWN_BSS),
        size => (header.text_offset, size),
    };
    if offset >= ALIGNMENT || takes >= 1 << 40 {
        return refuse("is a damaged arm64 kernel Image: its header asks for more than there can be");
    }
    Ok(single(Kind::Linux, ram + offset, bytes, takes))
}

/// One piece, entered at its first byte.
fn single(kind: Kind, start: u64, bytes: Cow<'_, [u8]>, takes: u64) -> Kernel<'_> {
    let takes = start..start + takes.max(bytes.len() as u64);
    Kernel { kind, entry: start, pieces: vec![Piece { address: start, bytes }], takes }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const RAM: Range<u64> = 0x4000_0000..0x4800_0000;

    /// An Image of 8 KiB that asks for `image_size` bytes of memory.
    pub(super) fn image(image_size: u64) -> Vec<u8> {
        let mut image = vec![0; 0x2000];
        image[16..24].copy_from_slice(&image_size.to_le_bytes());
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image
    }

    fn refused(file: &[u8]) -> String {
        Kernel::parse(file, RAM).unwrap_err().to_string()
    }

    #[test]
    fn an_image_goes_where_its_header_says_and_takes_what_its_header_says() {
        let file = image(0x10_0000);
        let kernel = Kernel::parse(&file, RAM).unwrap();
        assert_eq!(
            (kernel.kind, kernel.entry, kernel.takes),
            (Kind::Linux, RAM.start, RAM.start..RAM.start + 0x10_0000)
        );
        assert_eq!(kernel.pieces, [Piece { address: RAM.start, bytes: Cow::Borrowed(&file) }]);

        let mut moved = file.clone();
        moved[8..16].copy_from_slice(&0x8_0000_u64.to_le_bytes());
        assert_eq!(Kernel::parse(&moved, RAM).unwrap().entry, RAM.start + 0x8_0000);
    }

    #[test]
    fn a_header_without_size_means_the_old_text_offset_and_room_for_a_bss() {
        let kernel = Kernel::parse(&image(0), RAM).map(|kernel| (kernel.entry, kernel.takes.end)).unwrap();
        assert_eq!(kernel, (RAM.start + 0x8_0000, RAM.start + 0x8_0000 + 0x2000 + UNKNOWN_BSS));
    }

    #[test]
    fn a_gzipped_image_is_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&image(0x10_0000)).unwrap();
        let file = gzip.finish().unwrap();
        let kernel = Kernel::parse(&file, RAM).unwrap();
        assert_eq!((kernel.kind, &*kernel.pieces[0].bytes), (Kind::Linux, &*image(0x10_0000)));
    }

    #[test]
    fn what_is_nothing_else_is_a_flat_binary_half_a_mebibyte_into_ram() {
        let kernel = Kernel::parse(&[0x1f, 0x20, 0x03, 0xd5], RAM).map(|kernel| (kernel.kind, kernel.entry)).unwrap();
        assert_eq!(kernel, (Kind::Flat, RAM.start + 0x8_0000));
    }

    #[test]
    fn what_cannot_be_booted_is_refused_in_a_sentence() {
        let mut big_endian = image(0x10_0000);
        big_endian[24] = 1;
        let mut wild = image(0x10_0000);
        wild[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        for (file, due) in [
            (Vec::new(), "it is empty"),
            (image(0x10_0000)[..100].to_vec(), "is a truncated arm64 kernel Image: 100 of at least 4096 bytes"),
            (image(0x10_0000)[..0x30].to_vec(), ""),
            (big_endian, "big-endian"),
            (wild, "is a damaged arm64 kernel Image"),
            (image(u64::MAX), "is a damaged arm64 kernel Image"),
            (
                image(0x800_0001),
                "takes RAM from 0x40000000 to 0x48000001; the guest has RAM from 0x40000000 to 0x48000000",
            ),
            (b"070701 and so on".to_vec(), "it is a cpio archive"),
            (b"MZ and so on".to_vec(), "it is an EFI program"),
            (b"\x28\xb5\x2f\xfd".to_vec(), "it is compressed with zstd"),
            (b"\x7fELF".to_vec(), "ELF"),
        ] {
            if due.is_empty() {
                // Too short for its magic number, an Image without EFI stub looks like any other bytes.
                assert_eq!(Kernel::parse(&file, RAM).unwrap().kind, Kind::Flat);
            } else {
                assert!(refused(&file).contains(due), "{due:?} is not in {:?}", refused(&file));
            }
        }
    }
}
