//! What a bank of flash says of itself: identifiers and the query structure ([CFI], tables 1 to 5).

use super::{BLOCK, BUFFER};

/// Chips side by side.
const CHIPS: u64 = 2;

/// The identifier at `word` of a block, for each chip: manufacturer, device, lock status ([P30/9.5]).
pub(super) fn id(word: u64, locked: bool) -> u16 {
    match word {
        0 => 0x89, // Intel
        1 => 0x18,
        2 => u16::from(locked),
        _ => 0,
    }
}

/// The byte of the query structure at `word`, for each chip of a bank of `size` bytes; zero where there is none.
pub(super) fn query(word: u64, size: u64) -> u16 {
    let [blocks_low, blocks_high, ..] = (size / BLOCK - 1).to_le_bytes();
    // In units of 256 bytes, of one chip.
    let [block_low, block_high, ..] = (BLOCK / CHIPS / 256).to_le_bytes();
    let byte = match word {
        // The identification string, the command set (0001: Intel/Sharp extended), and where its own table is.
        0x10 => b'Q',
        0x11 => b'R',
        0x12 => b'Y',
        0x13 => 0x01,
        0x15 => PRIMARY as u8,
        // Supply voltages, in binary coded decimals: 1.7 V to 2.0 V, no programming voltage needed.
        0x1b => 0x17,
        0x1c => 0x20,
        // Typical times as powers of two: word 128 us, buffer 128 us, block 1 s; then the worst, as multiples.
        0x1f | 0x20 => 7,
        0x21 => 10,
        0x23..=0x25 => 4,
        // The size of a chip, a power of two; x16; the size of its buffer, a power of two.
        0x27 => (size / CHIPS).ilog2() as u8,
        0x28 => 0x01,
        0x2a => (BUFFER as u64 / CHIPS).ilog2() as u8,
        // One region of blocks all alike: how many less one, and how large.
        0x2c => 1,
        0x2d => blocks_low,
        0x2e => blocks_high,
        0x2f => block_low,
        0x30 => block_high,
        // The command set's own table, version 1.0: no suspend, blocks lock one by one, at any time.
        0x31 => b'P',
        0x32 => b'R',
        0x33 => b'I',
        0x34 => b'1',
        0x35 => b'0',
        0x36 => 1 << 5,
        0x3b => 0x01, // The identifiers tell the lock status.
        _ => 0,
    };
    u16::from(byte)
}

/// Where the command set's own table begins.
const PRIMARY: u64 = 0x31;
