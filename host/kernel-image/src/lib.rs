//! Recognises an arm64 kernel Image (Documentation/arch/arm64/booting.rst) in the forms in which it is shipped: plain,
//! gzip'ed, and inside an EFI zboot wrapper (drivers/firmware/efi/libstub/zboot-header.S).

use std::io::Read;

use flate2::read::GzDecoder;

/// What the 64 bytes at the start of an Image say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The Image goes so many bytes behind a multiple of 2 MiB.
    pub text_offset: u64,
    /// Bytes of memory that the kernel takes from there on, more than the file has. Kernels before 3.17 say 0.
    pub image_size: u64,
    /// The kernel runs big-endian.
    pub big_endian: bool,
}

impl Header {
    /// The header, if there is one.
    pub fn parse(image: &[u8]) -> Option<Header> {
        let word = |at: usize| Some(u64::from_le_bytes(image.get(at..at + 8)?.try_into().ok()?));
        let header = Header { text_offset: word(8)?, image_size: word(16)?, big_endian: word(24)? & 1 != 0 };
        (image.get(0x38..0x3c) == Some(b"ARM\x64")).then_some(header)
    }
}

/// The plain Image, or in one sentence what the file is instead.
pub fn plain(file: Vec<u8>) -> Result<Vec<u8>, String> {
    let image = unpacked(file)?;
    if Header::parse(&image).is_none() {
        return Err(format!("is no arm64 kernel Image: {}", kind(&image).unwrap_or(NO_MAGIC)));
    }
    check(&image)?;
    Ok(image)
}

/// Whether a plain Image is whole.
pub fn check(image: &[u8]) -> Result<(), String> {
    let whole = expected_length(image).unwrap_or(0x1000);
    if image.len() < whole {
        return Err(format!("is a truncated arm64 kernel Image: {} of at least {whole} bytes", image.len()));
    }
    Ok(())
}

/// How long the file has to be: its header only says how much memory the kernel takes, but the EFI stub's section table
/// (PE/COFF) says where the data in the file end. `None` for a kernel without EFI stub.
fn expected_length(image: &[u8]) -> Option<usize> {
    let word = |at: usize, bytes: usize| {
        let field = image.get(at..at + bytes)?;
        Some(field.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte)))
    };
    let pe = word(0x3c, 4).filter(|&pe| image.get(pe..pe + 4) == Some(b"PE\0\0"))?;
    let (sections, optional_header) = (word(pe + 6, 2)?, word(pe + 20, 2)?);
    let ends = (0..sections).map(|index| {
        let section = pe + 24 + optional_header + 40 * index;
        Some(word(section + 16, 4)? + word(section + 20, 4)?)
    });
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Whether a file is one that [`unpacked`] has something to do with.
pub fn packed(file: &[u8]) -> bool {
    file.starts_with(&[0x1f, 0x8b]) || (file.starts_with(b"MZ") && file.get(4..8) == Some(b"zimg"))
}

/// What a file holds: of a gzip file and of an EFI zboot image what was packed into it, otherwise the file itself.
pub fn unpacked(file: Vec<u8>) -> Result<Vec<u8>, String> {
    if file.starts_with(&[0x1f, 0x8b]) {
        return gunzip(&file);
    }
    if file.starts_with(b"MZ") && file.get(4..8) == Some(b"zimg") {
        let word = |at: usize| {
            let bytes = file.get(at..at + 4).ok_or("is a truncated EFI zboot image")?;
            Ok::<_, String>(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
        };
        let (offset, size) = (word(8)?, word(12)?);
        let payload = file.get(offset..offset.saturating_add(size)).ok_or("is a truncated EFI zboot image")?;
        let method = file.get(24..56).unwrap_or_default().split(|&byte| byte == 0).next().unwrap_or_default();
        return match method {
            b"gzip" => gunzip(payload),
            other => Err(format!(
                "is an EFI zboot image compressed with {}; only gzip is unpacked here: give the Image that it was made from",
                String::from_utf8_lossy(other)
            )),
        };
    }
    Ok(file)
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut whole).map_err(|error| format!("is a damaged gzip file: {error}"))?;
    Ok(whole)
}

/// Whether a file is a 32-bit Arm zImage (Linux, arch/arm/boot/compressed/head.S).
pub fn is_zimage(file: &[u8]) -> bool {
    file.get(0x24..0x28) == Some(&ZIMAGE)
}

const ZIMAGE: [u8; 4] = 0x016f_2818_u32.to_le_bytes();

const NO_MAGIC: &str = "the magic number at offset 0x38 is not there";

/// What a file is that is no Image, as far as its first bytes tell.
pub fn kind(file: &[u8]) -> Option<&'static str> {
    if file.get(0x202..0x206) == Some(b"HdrS") {
        return Some("it is an x86 kernel (bzImage)");
    }
    if is_zimage(file) {
        return Some("it is a 32-bit Arm kernel (zImage)");
    }
    const KINDS: &[(&[u8], &str)] = &[
        (b"\x7fELF", "it is an ELF file; arch/arm64/boot/Image of the same build is what is needed"),
        (b"!<arch>", "it is an archive, perhaps a Debian package"),
        (b"MZ", "it is an EFI program"),
        (b"\xfd7zXZ", "it is compressed with xz: unpack it first"),
        (b"\x28\xb5\x2f\xfd", "it is compressed with zstd: unpack it first"),
        (b"BZh", "it is compressed with bzip2: unpack it first"),
        (b"\x02\x21\x4c\x18", "it is compressed with lz4: unpack it first"),
        (b"\x04\x22\x4d\x18", "it is compressed with lz4: unpack it first"),
        (b"\x27\x05\x19\x56", "it is a U-Boot image: give the Image that it was made from"),
        (b"\xd0\x0d\xfe\xed", "it is a device tree or a FIT image"),
        (b"07070", "it is a cpio archive: an initramfs"),
    ];
    if file.is_empty() {
        return Some("it is empty");
    }
    KINDS.iter().find(|(magic, _)| file.starts_with(magic)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn image() -> Vec<u8> {
        let mut image = vec![0; 0x2000];
        image[..2].copy_from_slice(b"MZ");
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn zboot(payload: &[u8], method: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..8].copy_from_slice(b"MZ\0\0zimg");
        file[8..12].copy_from_slice(&64_u32.to_le_bytes());
        file[12..16].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        file[24..24 + method.len()].copy_from_slice(method);
        file.extend_from_slice(payload);
        file
    }

    #[test]
    fn an_image_is_taken_plain_gzipped_and_from_a_zboot_wrapper() {
        assert_eq!(plain(image()), Ok(image()));
        assert_eq!(plain(gzip(&image())), Ok(image()));
        assert_eq!(plain(zboot(&gzip(&image()), b"gzip")), Ok(image()));
    }

    #[test]
    fn a_download_cut_short_is_noticed_by_the_section_table() {
        let mut file = image();
        file[0x3c..0x40].copy_from_slice(&0x40_u32.to_le_bytes());
        file[0x40..0x48].copy_from_slice(b"PE\0\0\x64\xaa\x01\0");
        file[0x68..0x6c].copy_from_slice(&0x1000_u32.to_le_bytes());
        file[0x6c..0x70].copy_from_slice(&0x1000_u32.to_le_bytes());
        assert_eq!(plain(file.clone()), Ok(file.clone()));
        file.truncate(0x1800);
        assert_eq!(plain(file), Err("is a truncated arm64 kernel Image: 6144 of at least 8192 bytes".into()));
    }

    #[test]
    fn the_header_says_where_the_image_goes_and_how_much_memory_it_takes() {
        let mut file = image();
        file[8..16].copy_from_slice(&0x8_0000_u64.to_le_bytes());
        file[16..24].copy_from_slice(&0x1e7_0000_u64.to_le_bytes());
        file[24] = 0xa;
        let due = Header { text_offset: 0x8_0000, image_size: 0x1e7_0000, big_endian: false };
        assert_eq!(Header::parse(&file), Some(due));
        file[24] = 0xb;
        assert_eq!(Header::parse(&file), Some(Header { big_endian: true, ..due }));
        assert_eq!(Header::parse(&file[..59]), None);
        file[0x38] = 0;
        assert_eq!(Header::parse(&file), None);
    }

    #[test]
    fn a_32_bit_arm_kernel_is_called_that() {
        let mut file = vec![0; 0x2000];
        file[0x24..0x28].copy_from_slice(&[0x18, 0x28, 0x6f, 0x01]);
        assert_eq!(plain(file), Err("is no arm64 kernel Image: it is a 32-bit Arm kernel (zImage)".into()));
    }

    #[test]
    fn an_x86_kernel_is_called_that() {
        let mut file = vec![0; 0x2000];
        file[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(plain(file), Err("is no arm64 kernel Image: it is an x86 kernel (bzImage)".into()));
    }

    #[test]
    fn anything_else_is_refused_in_a_sentence() {
        for (file, expected) in [
            (Vec::new(), "it is empty"),
            (b"\x7fELF".to_vec(), "it is an ELF file"),
            (b"just text".to_vec(), "magic number"),
            (image()[..0x100].to_vec(), "truncated"),
            (gzip(&image())[..30].to_vec(), "damaged gzip"),
            (zboot(b"", b"zstd22"), "compressed with zstd22"),
            (zboot(&gzip(&image()), b"gzip")[..80].to_vec(), "truncated EFI zboot"),
        ] {
            let error = plain(file).unwrap_err();
            assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        }
    }
}
