//! 32-bit Arm kernels: a zImage, which unpacks itself.
//!
//! `[arm-booting]`: Linux, Documentation/arch/arm/booting.rst; the header's words: arch/arm/boot/compressed/head.S.

use std::borrow::Cow;

use super::{Kernel, Kind, PayloadError, Piece};

/// Where the zImage goes, from the start of RAM: `[arm-booting]` wants it above 32 MiB, so that it need not move before
/// it unpacks the kernel to the start.
const OFFSET: u64 = 32 << 20;
/// What is left free behind it for the unpacking: its stack and heap.
const BEHIND: u64 = 1 << 20;

/// Finds the place of a zImage that goes into RAM from `ram` on.
pub(super) fn zimage(bytes: Cow<'_, [u8]>, ram: u64) -> Result<Kernel<'_>, PayloadError> {
    let refuse = |what: String| Err(PayloadError::File(what));
    let word = |at: usize| {
        let word = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(word.try_into().ok()?))
    };
    let (Some(start), Some(end)) = (word(0x28), word(0x2c)) else {
        return refuse("is a truncated 32-bit Arm zImage".to_owned());
    };
    let whole = u64::from(end.wrapping_sub(start));
    if (bytes.len() as u64) < whole {
        return refuse(format!("is a truncated 32-bit Arm zImage: {} of at least {whole} bytes", bytes.len()));
    }
    let address = ram + OFFSET;
    let takes = ram..address + bytes.len() as u64 + BEHIND;
    Ok(Kernel { kind: Kind::ZImage, entry: address, pieces: vec![Piece { address, bytes }], takes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAM: std::ops::Range<u64> = 0x4000_0000..0x4800_0000;

    fn file(end: u32) -> Vec<u8> {
        let mut file = vec![0; 0x1000];
        file[0x24..0x28].copy_from_slice(&0x016f_2818_u32.to_le_bytes());
        file[0x2c..0x30].copy_from_slice(&end.to_le_bytes());
        file
    }

    #[test]
    fn a_zimage_has_the_start_of_ram_to_unpack_itself_to() {
        let file = file(0x1000);
        let kernel = Kernel::parse(&file, RAM).unwrap();
        assert_eq!((kernel.kind, kernel.entry), (Kind::ZImage, RAM.start + OFFSET));
        assert_eq!(kernel.takes, RAM.start..RAM.start + OFFSET + 0x1000 + BEHIND);
        assert!(kernel.place(RAM, Some(4)).unwrap().fdt >= RAM.start + (64 << 20));
    }

    #[test]
    fn one_that_is_cut_short_or_has_no_room_is_refused() {
        let refused = |file: &[u8], ram| Kernel::parse(file, ram).unwrap_err().to_string();
        assert_eq!(refused(&file(0x1001), RAM), "is a truncated 32-bit Arm zImage: 4096 of at least 4097 bytes");
        assert_eq!(refused(&file(0x1000)[..0x2a], RAM), "is a truncated 32-bit Arm zImage");
        assert!(refused(&file(0x1000), RAM.start..RAM.start + OFFSET).contains("see --memory"));
    }
}
