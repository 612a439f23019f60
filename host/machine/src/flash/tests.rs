use proptest::prelude::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::map::FLASH;

/// A command as a driver writes it, to both chips.
fn both(code: u8) -> [u8; 4] {
    [code, 0, code, 0]
}

fn bank() -> Flash {
    Flash::erased(FLASH[1], 2 * BLOCK).unwrap()
}

/// Whether its contents are mapped.
fn watch(flash: &mut Flash) -> Arc<AtomicBool> {
    let mapped = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&mapped);
    flash.mapped_by(Box::new(move |map| {
        assert_ne!(theirs.swap(map, Ordering::Relaxed), map, "mapped or unmapped twice");
    }));
    mapped
}

fn read32(flash: &mut Flash, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    flash.read(offset, &mut bytes);
    u32::from_le_bytes(bytes)
}

fn write32(flash: &mut Flash, offset: u64, value: u32) {
    flash.write(offset, &value.to_le_bytes());
}

fn commands(flash: &mut Flash, offset: u64, codes: &[u8]) {
    for &code in codes {
        flash.write(offset, &both(code));
    }
}

fn program(flash: &mut Flash, offset: u64, value: u32) {
    commands(flash, offset, &[command::PROGRAM]);
    write32(flash, offset, value);
    commands(flash, offset, &[command::READ_STATUS]);
}

#[test]
fn a_programmed_word_is_read_back_after_read_array_and_only_then() {
    let mut flash = bank();
    let mapped = watch(&mut flash);
    program(&mut flash, 0x40, 0x1234_5678);
    assert!(!mapped.load(Ordering::Relaxed));
    assert_eq!(read32(&mut flash, 0x40), 0x0080_0080, "the status of both chips: ready");
    commands(&mut flash, 0, &[command::CLEAR_STATUS]);
    assert!(!mapped.load(Ordering::Relaxed), "clearing the status does not end reading it");
    commands(&mut flash, 0, &[command::READ_ARRAY]);
    assert!(mapped.load(Ordering::Relaxed));
    assert_eq!(read32(&mut flash, 0x40), 0x1234_5678);
    let mut mapped = [0; 4];
    flash.memory().read_slice(&mut mapped, GuestAddress(FLASH[1].base + 0x40)).unwrap();
    assert_eq!(u32::from_le_bytes(mapped), 0x1234_5678, "what is mapped is what is read");
}

#[test]
fn programming_turns_ones_into_zeros_and_erasing_a_block_turns_its_bits_into_ones_alone() {
    let mut flash = bank();
    for offset in [BLOCK - 4, BLOCK] {
        program(&mut flash, offset, 0xffff_00f0);
        program(&mut flash, offset, 0xf0f0_ffff);
    }
    commands(&mut flash, BLOCK + 0x1000, &[command::ERASE, command::CONFIRM, command::READ_ARRAY]);
    assert_eq!(read32(&mut flash, BLOCK - 4), 0xf0f0_00f0);
    assert_eq!(read32(&mut flash, BLOCK), 0xffff_ffff);
}

#[test]
fn a_buffer_is_programmed_with_its_confirmation_and_not_before() {
    let mut flash = bank();
    commands(&mut flash, 0x100, &[command::BUFFERED_PROGRAM]);
    assert_eq!(read32(&mut flash, 0x100) & 0x80, 0x80, "a buffer is available");
    commands(&mut flash, 0x100, &[31]);
    for word in 0..32 {
        write32(&mut flash, 0x100 + 4 * word, 0x0101_0101 * word as u32);
    }
    let mut before = [0; 4];
    flash.memory().read_slice(&mut before, GuestAddress(FLASH[1].base + 0x17c)).unwrap();
    assert_eq!(before, [0xff; 4]);
    commands(&mut flash, 0, &[command::CONFIRM, command::READ_STATUS]);
    assert_eq!(read32(&mut flash, 0), 0x0080_0080);
    commands(&mut flash, 0, &[command::READ_ARRAY]);
    assert_eq!(read32(&mut flash, 0x17c), 0x1f1f_1f1f);
    assert_eq!(read32(&mut flash, 0x180), 0xffff_ffff);
}

#[test]
fn a_broken_sequence_changes_nothing_and_is_told_in_the_status() {
    let past_the_buffer: &[(u64, u8)] = &[(0, 0xe8), (0, 1), (0, 0), (0x80, 0)];
    for sequence in [&[(0, 0x20), (0, 0x20)], &[(0, 0xe8), (0, 32)], &[(0, 0x60), (0, 0x60)], past_the_buffer] {
        let mut flash = bank();
        for &(offset, code) in sequence {
            flash.write(offset, &both(code));
        }
        commands(&mut flash, 0, &[command::READ_STATUS]);
        assert_eq!(read32(&mut flash, 0), 0x00b0_00b0, "{sequence:x?}: erase and program error");
        commands(&mut flash, 0, &[command::CLEAR_STATUS]);
        assert_eq!(read32(&mut flash, 0), 0x0080_0080, "{sequence:x?}: cleared");
        commands(&mut flash, 0, &[command::READ_ARRAY]);
        assert_eq!(read32(&mut flash, 0), 0xffff_ffff, "{sequence:x?}: contents");
    }
}

#[test]
fn a_locked_block_refuses_until_it_is_unlocked_and_its_neighbour_does_not() {
    let mut flash = bank();
    commands(&mut flash, 0, &[command::LOCK_SETUP, command::LOCK, command::READ_ID]);
    assert_eq!(read32(&mut flash, 8), 0x0001_0001);
    assert_eq!(read32(&mut flash, BLOCK + 8), 0);
    for (offset, status, contents) in [(0, 0x0092_0092, 0xffff_ffff), (BLOCK, 0x0080_0080, 0)] {
        program(&mut flash, offset, 0);
        assert_eq!(read32(&mut flash, 0), status);
        commands(&mut flash, offset, &[command::CLEAR_STATUS, command::READ_ARRAY]);
        assert_eq!(read32(&mut flash, offset), contents);
    }
    commands(&mut flash, 0, &[command::LOCK_SETUP, command::CONFIRM]);
    program(&mut flash, 0, 0);
    assert_eq!(read32(&mut flash, 0), 0x0080_0080);
}

#[test]
fn each_chip_answers_the_query_with_its_size_and_geometry() {
    let mut flash = Flash::erased(FLASH[1], 8 * BLOCK).unwrap();
    commands(&mut flash, 0x55 * 4, &[command::READ_QUERY]);
    let text: Vec<u32> = (0x10..0x13).map(|word| read32(&mut flash, word * 4)).collect();
    assert_eq!(text, [0x0051_0051, 0x0052_0052, 0x0059_0059]);
    let byte = |flash: &mut Flash, word: u64| u64::from(read32(flash, word * 4) as u8);
    assert_eq!(1 << byte(&mut flash, 0x27), 4 * BLOCK, "a chip is half of the bank");
    let blocks = byte(&mut flash, 0x2d) + (byte(&mut flash, 0x2e) << 8) + 1;
    let block = (byte(&mut flash, 0x2f) + (byte(&mut flash, 0x30) << 8)) * 256;
    assert_eq!((blocks, block), (8, BLOCK / 2));
}

#[test]
fn what_is_written_stays_in_the_file() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(BLOCK).unwrap();
    let mut flash = Flash::file(FLASH[1], Arc::new(file.try_clone().unwrap())).unwrap();
    commands(&mut flash, 0, &[command::ERASE, command::CONFIRM]);
    program(&mut flash, 8, 0x1122_3344);
    let mut bytes = [0; 4];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 8).unwrap();
    assert_eq!(u32::from_le_bytes(bytes), 0x1122_3344);
}

#[test]
fn no_bank_is_made_of_a_size_that_chips_do_not_have() {
    for size in [0, 1, BLOCK / 2, 3 * BLOCK, FLASH[1].size * 2] {
        assert!(matches!(Flash::erased(FLASH[1], size), Err(FlashError::Size { .. })), "{size}");
    }
}

/// An access: at an offset, how many bytes, and what is written, if anything.
fn access() -> impl Strategy<Value = (u64, usize, Option<u64>)> {
    let code = prop::sample::select(vec![0x01, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xd0, 0xe8, 0xff]);
    let value = prop_oneof![4 => code, 1 => any::<u64>(), 1 => 0..40_u64];
    let offset = prop_oneof![0..0x200_u64, 2 * BLOCK - 0x100..2 * BLOCK + 0x100, any::<u64>()];
    (offset, prop::sample::select(vec![1, 2, 4, 8]), prop::option::weighted(0.8, value))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_traffic_does_not_panic_and_what_is_mapped_is_what_would_be_read(
        accesses in prop::collection::vec(access(), 0..300),
    ) {
        let mut flash = bank();
        let mapped = watch(&mut flash);
        for (offset, len, write) in accesses {
            match write {
                Some(value) => flash.write(offset, &value.to_le_bytes()[..len]),
                None => flash.read(offset, &mut [0; 8][..len]),
            }
            if mapped.load(Ordering::Relaxed) {
                let offset = offset % (2 * BLOCK - 8);
                let (mut read, mut seen) = ([0; 8], [0; 8]);
                flash.read(offset, &mut read);
                flash.memory().read_slice(&mut seen, GuestAddress(FLASH[1].base + offset)).unwrap();
                prop_assert_eq!(read, seen);
            }
        }
    }
}
