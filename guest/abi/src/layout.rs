//! The guest's physical memory map. Devices sit where QEMU's `virt` machine has them; RAM starts at 1 GiB.

/// GICv2 distributor frame, 4 KiB.
pub const GICD_BASE: u64 = 0x0800_0000;
/// Size of the distributor frame in bytes.
pub const GICD_SIZE: u64 = 0x1000;
/// GICv2 CPU interface frame, 8 KiB ([GICv2/4.1.3]: GICC_DIR is in its second 4 KiB page).
pub const GICC_BASE: u64 = 0x0801_0000;
/// Size of the CPU interface frame in bytes.
pub const GICC_SIZE: u64 = 0x2000;
/// GICv3 redistributor frames of vCPU 0, two of 64 KiB each; those of the next vCPU follow. The distributor stands where
/// a GICv2 has its own.
pub const GICR_BASE: u64 = 0x080a_0000;
/// The mailbox, 4 KiB; see [`crate::mailbox`].
pub const MAILBOX_BASE: u64 = 0x0b00_0000;
/// Size of the mailbox in bytes.
pub const MAILBOX_SIZE: u64 = 0x1000;

/// First byte of RAM.
pub const RAM_BASE: u64 = 0x4000_0000;
/// Size of RAM in bytes.
pub const RAM_SIZE: u64 = 16 << 20;

/// Where the guest image is linked and entered, as a raw arm64 image would be.
pub const IMAGE_BASE: u64 = RAM_BASE + 0x8_0000;

/// vCPUs the guest has stacks and transcripts for.
pub const MAX_VCPUS: usize = 8;

/// First byte of what host and guest share in RAM. The image and its stacks end before it (asserted by `link.ld`).
pub const SHARED_BASE: u64 = RAM_BASE + (8 << 20);
/// The litmus program: a [`crate::litmus::Header`] and the operations behind it.
pub const PROGRAM_BASE: u64 = SHARED_BASE;
/// Size of the program area in bytes.
pub const PROGRAM_SIZE: u64 = 64 << 10;
/// The measurement's [`crate::measure::Config`].
pub const MEASURE_BASE: u64 = PROGRAM_BASE + PROGRAM_SIZE;
/// Size of the measurement area in bytes.
pub const MEASURE_SIZE: u64 = 64 << 10;
/// One record area per vCPU: transcript records of a litmus program, or samples of a measurement.
pub const RECORDS_BASE: u64 = MEASURE_BASE + MEASURE_SIZE;
/// Size of one vCPU's record area in bytes.
pub const RECORDS_SIZE: u64 = 256 << 10;

/// First byte of the record area of vCPU `index`.
pub const fn records_base(index: usize) -> u64 {
    RECORDS_BASE + index as u64 * RECORDS_SIZE
}

const _: () = assert!(records_base(MAX_VCPUS) <= RAM_BASE + RAM_SIZE);
