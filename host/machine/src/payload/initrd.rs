//! Whether Linux can unpack or mount an initrd (init/initramfs.c, lib/decompress.c, init/do_mounts_rd.c): one that is
//! neither ends in a panic of the guest long after the mistake.

use super::PayloadError;

/// Archives (cpio "newc", with and without checksums), and what they are compressed with: gzip, bzip2, LZMA, xz, LZO, LZ4
/// and Zstandard.
const STARTS: [&[u8]; 10] = [
    b"070701",
    b"070702",
    &[0x1f, 0x8b],
    b"BZh",
    &[0x5d, 0, 0],
    b"\xfd7zXZ\0",
    b"\x89LZO",
    &[0x02, 0x21, 0x4c, 0x18],
    &[0x28, 0xb5, 0x2f, 0xfd],
    &[0x1f, 0x9e],
];
/// File systems that Linux recognises in a RAM disk, with the place of their magic numbers: squashfs, romfs, cramfs, ext2
/// and its successors, minix.
const FILE_SYSTEMS: [(usize, &[u8]); 6] = [
    (0, b"hsqs"),
    (0, b"-rom1fs-"),
    (0, &[0x45, 0x3d, 0xcd, 0x28]),
    (0x438, &[0x53, 0xef]),
    (0x410, &[0x7f, 0x13]),
    (0x410, &[0x8f, 0x13]),
];

/// Refuses an initrd that is empty and, for Linux, one of no format that it knows.
///
/// # Errors
/// [`PayloadError::File`] with the reason.
pub fn check_initrd(initrd: &[u8], for_linux: bool) -> Result<(), PayloadError> {
    if initrd.is_empty() {
        return Err(PayloadError::File("is empty: leave --initrd out for a guest without one".into()));
    }
    // Linux passes over zeros in front of an archive.
    let content = initrd.iter().position(|&byte| byte != 0).map_or(&[][..], |start| &initrd[start..]);
    let is_archive = STARTS.iter().any(|start| content.starts_with(start));
    let is_file_system =
        FILE_SYSTEMS.iter().any(|(at, magic)| initrd.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    if for_linux && !is_archive && !is_file_system {
        let what = "is no initrd that Linux knows: a cpio archive (`find . | cpio -o -H newc`), also compressed, or the \
                    image of a file system";
        return Err(PayloadError::File(what.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initrd_that_linux_could_not_use_is_refused_and_any_other_is_not() {
        let ext2 = [&[0; 0x438][..], &[0x53, 0xef, 0]].concat();
        let padded = [&[0; 512][..], b"070701"].concat();
        for good in [b"070701rest".as_slice(), &padded, &[0x1f, 0x8b, 8], &[0x28, 0xb5, 0x2f, 0xfd], b"hsqs", &ext2] {
            assert_eq!(check_initrd(good, true), Ok(()), "{good:x?}");
        }
        for bad in [b"".as_slice(), b"garbage", &[0; 4096], b"07070", &[0xff; 0x2000]] {
            assert!(check_initrd(bad, true).is_err(), "{bad:x?}");
        }
        assert_eq!(check_initrd(b"garbage", false), Ok(()), "another guest may read anything");
        assert!(check_initrd(b"", false).is_err());
    }
}
