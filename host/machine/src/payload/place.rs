//! Where device tree and initrd go, beside a kernel that has its place.

use std::ops::Range;

use super::{ALIGNMENT, Kernel, Kind, PayloadError};

/// Room for the device tree: `[booting]` has it lie within 2 MiB.
const FDT_ROOM: u64 = ALIGNMENT;
/// How far into RAM the device tree of anything but a Linux Image goes, as in QEMU: the file does not say how much
/// memory behind it the program takes for its own, a zImage's no more than others.
const KEEP_CLEAR: u64 = 128 << 20;

/// Where things that the kernel is told of are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Guest physical address of the device tree.
    pub fdt: u64,
    /// Where the initrd is, if there is one.
    pub initrd: Option<Range<u64>>,
}

impl Kernel<'_> {
    /// Places the device tree, and an initrd of so many bytes behind it.
    pub fn place(&self, ram: Range<u64>, initrd: Option<u64>) -> Result<Placed, PayloadError> {
        let clear = match self.kind {
            Kind::Linux => self.takes.end,
            Kind::ZImage | Kind::Elf | Kind::Flat => {
                self.takes.end.max(ram.start + (ram.end - ram.start).min(2 * KEEP_CLEAR) / 2)
            }
        };
        let fdt = clear.next_multiple_of(ALIGNMENT);
        let behind = fdt + FDT_ROOM;
        let left = ram.end.checked_sub(behind).ok_or(PayloadError::DeviceTree)?;
        match initrd {
            Some(bytes) if bytes > left => Err(PayloadError::Initrd { bytes, left }),
            other => Ok(Placed { fdt, initrd: other.map(|bytes| behind..behind + bytes) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::image;
    use super::*;

    const RAM: Range<u64> = 0x4000_0000..0x4800_0000;

    #[test]
    fn behind_a_linux_image_come_device_tree_and_initrd() {
        let file = image(0x110_0000);
        let kernel = Kernel::parse(&file, RAM).unwrap();
        let placed = kernel.place(RAM, Some(5)).unwrap();
        assert_eq!(placed, Placed { fdt: 0x4120_0000, initrd: Some(0x4140_0000..0x4140_0005) });
        assert_eq!(kernel.place(RAM, None).unwrap().initrd, None);
    }

    #[test]
    fn a_flat_binary_has_half_of_a_small_ram_to_itself() {
        let kernel = Kernel::parse(&[0; 4], RAM).unwrap();
        assert_eq!(kernel.place(RAM, None).unwrap().fdt, 0x4400_0000);
        let large = RAM.start..RAM.start + (4 << 30);
        assert_eq!(kernel.place(large, None).unwrap().fdt, 0x4800_0000);
    }

    #[test]
    fn an_initrd_larger_than_what_is_left_is_refused_with_both_sizes() {
        let file = image(0x10_0000);
        let kernel = Kernel::parse(&file, RAM).unwrap();
        let left = RAM.end - 0x4040_0000;
        assert!(kernel.place(RAM, Some(left)).is_ok());
        assert_eq!(kernel.place(RAM, Some(left + 1)), Err(PayloadError::Initrd { bytes: left + 1, left }));
    }

    #[test]
    fn a_kernel_that_fills_ram_leaves_no_place_for_the_device_tree() {
        let file = image(0x800_0000);
        let kernel = Kernel::parse(&file, RAM).unwrap();
        assert_eq!(kernel.place(RAM, None), Err(PayloadError::DeviceTree));
    }
}
