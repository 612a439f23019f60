//! Recognises an arm64 kernel Image (Documentation/arch/arm64/booting.rst) in the forms in which it is shipped: plain,
//! gzip'ed, and inside an EFI zboot wrapper (drivers/firmware/efi/libstub/zboot-header.S).

use std::io::Read;

use flate2::read::GzDecoder;

/// The plain Image, or in one sentence what the file is instead.
pub(crate) fn plain(file: Vec<u8>) -> Result<Vec<u8>, String> {
    let image = unwrap(file)?;
    let magic = image.get(0x38..0x3c);
    if magic != Some(b"ARM\x64") {
        return Err(format!("is no arm64 kernel Image: {}", kind(&image)));
    }
    let whole = expected_length(&image).unwrap_or(0x1000);
    if image.len() < whole {
        return Err(format!("is a truncated arm64 kernel Image: {} of at least {whole} bytes", image.len()));
    }
    Ok(image)
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

fn unwrap(file: Vec<u8>) -> Result<Vec<u8>, String> {
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

/// What a file is that isn't what was hoped for.
fn kind(file: &[u8]) -> &'static str {
    if file.get(0x202..0x206) == Some(b"HdrS") {
        return "it is an x86 kernel (bzImage)";
    }
    match file {
        [] => "it is empty",
        [0x7f, b'E', b'L', b'F', ..] => "it is an ELF file; arch/arm64/boot/Image of the same build is what is needed",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "it is an archive, perhaps a Debian package",
        [b'M', b'Z', ..] => "it is an EFI program",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "it is compressed with xz: unpack it first",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it is compressed with zstd: unpack it first",
        _ => "the magic number at offset 0x38 is not there",
    }
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
