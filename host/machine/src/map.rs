//! Where things are: the addresses and interrupts of QEMU's `virt` machine, which firmware has built in. The GIC's
//! frames are in [`vtick_abi::layout`], RAM starts at [`vtick_abi::layout::RAM_BASE`].

use vtick_abi::layout::{GICC_BASE, GICD_BASE, RAM_BASE};

/// Guest physical addresses, first and behind the last byte, and the SPI of its output: number `n` is INTID `32 + n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// Number of the SPI that its output is wired to, if it has one.
    pub spi: Option<u32>,
}

const fn window(base: u64, size: u64, spi: Option<u32>) -> Window {
    Window { base, size, spi }
}

/// Two banks of CFI flash, 64 MiB each: firmware, and its variables.
pub const FLASH: [Window; 2] = [window(0, 64 << 20, None), window(64 << 20, 64 << 20, None)];
/// The console: a PL011.
pub const UART: Window = window(0x0900_0000, 0x1000, Some(1));
/// The clock: a PL031.
pub const RTC: Window = window(0x0901_0000, 0x1000, Some(2));
/// QEMU's fw_cfg, through which firmware finds what was given on the command line.
pub const FW_CFG: Window = window(0x0902_0000, 0x18, None);
/// Where `virt` has the configuration space of its PCI Express bus: below 4 GiB, and above RAM. The second is what its
/// device tree says.
pub const PCI_CONFIGURATION: [Window; 2] =
    [window(0x3f00_0000, 16 << 20, None), window(0x40_1000_0000, 256 << 20, None)];
/// How many virtio-mmio transports there are, with a device behind them or not.
pub const VIRTIO_SLOTS: usize = 32;

/// Transport number `slot` of virtio-mmio.
pub const fn virtio(slot: usize) -> Window {
    assert!(slot < VIRTIO_SLOTS);
    window(0x0a00_0000 + slot as u64 * 0x200, 0x200, Some(16 + slot as u32))
}

const _: () = assert!(FLASH[1].base + FLASH[1].size <= GICD_BASE && GICD_BASE < GICC_BASE && GICC_BASE < UART.base);
const _: () = assert!(virtio(VIRTIO_SLOTS - 1).base + 0x200 <= PCI_CONFIGURATION[0].base);
const _: () = assert!(PCI_CONFIGURATION[0].base + PCI_CONFIGURATION[0].size <= RAM_BASE);
