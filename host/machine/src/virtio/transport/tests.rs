use super::super::driver::{Driver, RAM};
use super::super::{Block, Console};
use super::*;
use proptest::prelude::*;
use virtio_bindings::bindings::virtio_config::VIRTIO_CONFIG_S_DRIVER;

fn block() -> Driver<Block> {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    Driver::new(Block::new(file.into(), false).unwrap())
}

#[test]
fn it_is_a_virtio_mmio_device_of_version_2() {
    let mut driver = block();
    let found = [0, 4, 8].map(|offset| driver.get(offset));
    assert_eq!(found, [0x7472_6976, 2, 2]);
}

#[test]
fn features_that_were_not_offered_are_refused() {
    for (features, ok) in [(1_u64 << 32, true), (0, false), (1 << 32 | 1 << 63, false)] {
        let mut driver = block();
        driver.put(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER);
        for select in [0, 1] {
            driver.put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, select);
            driver.put(VIRTIO_MMIO_DRIVER_FEATURES, half(features, select));
        }
        driver.put(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
        assert_eq!(driver.get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK != 0, ok, "{features:#x}");
    }
}

#[test]
fn a_status_of_zero_resets_queues_features_and_interrupt() {
    let mut driver = block();
    driver.start();
    driver.offer(0, &[(RAM, 16, false), (RAM + 16, 1, true)]);
    assert!(driver.device.output());
    driver.put(VIRTIO_MMIO_STATUS, 0);
    assert!(!driver.device.output());
    driver.put(VIRTIO_MMIO_QUEUE_SEL, 0);
    let after = [VIRTIO_MMIO_STATUS, VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_INTERRUPT_STATUS].map(|r| driver.get(r));
    assert_eq!(after, [0; 3]);
}

#[test]
fn the_output_is_high_from_the_used_buffer_to_the_acknowledgement() {
    let mut driver = block();
    driver.start();
    assert!(!driver.device.output());
    driver.offer(0, &[(RAM, 16, false), (RAM + 16, 1, true)]);
    assert!(driver.device.output());
    assert_eq!(driver.get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
    driver.put(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
    assert!(!driver.device.output());
}

#[test]
fn a_chain_outside_memory_and_a_broken_ring_end_in_needs_reset_and_nothing_is_served_after_it() {
    let ways: [fn(&mut Driver<Block>); 3] = [
        |driver| driver.offer(0, &[(0x10, 16, false), (RAM + 16, 1, true)]),
        |driver| driver.claim(0, 300),
        |driver| {
            driver.put_available_ring_at_the_end_of_memory(0);
            driver.put(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        },
    ];
    for break_it in ways {
        let mut driver = block();
        driver.start();
        break_it(&mut driver);
        assert_ne!(driver.get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
        assert_eq!(driver.get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
        assert!(driver.device.output());
        let used = driver.used(0);
        driver.offer(0, &[(RAM, 16, false), (RAM + 16, 1, true)]);
        assert_eq!(driver.used(0), used);
    }
}

#[test]
fn a_notification_before_the_driver_is_ready_does_nothing() {
    let mut driver = block();
    driver.put(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    driver.put(VIRTIO_MMIO_QUEUE_NOTIFY, 77);
    assert_eq!(driver.get(VIRTIO_MMIO_STATUS), 0);
}

#[test]
fn a_shared_memory_region_does_not_exist() {
    assert_eq!(block().get(VIRTIO_MMIO_SHM_LEN_LOW), u32::MAX);
}

/// A register that matters, or any offset; how wide; and what is written, if anything.
fn access() -> impl Strategy<Value = (u64, usize, Option<u64>)> {
    let register = (0..0x110_u64).prop_map(|offset| offset & !3);
    let value = prop_oneof![0..16_u64, RAM..RAM + 0x4000, any::<u64>()];
    (prop_oneof![8 => register, 1 => any::<u64>()], prop_oneof![8 => Just(4_usize), 1 => Just(1), 1 => Just(8)])
        .prop_flat_map(move |(offset, len)| (Just(offset), Just(len), prop::option::weighted(0.8, value.clone())))
}

/// A descriptor: address, length, flags, next.
fn descriptor() -> impl Strategy<Value = (u64, u32, u16, u16)> {
    let address = prop_oneof![4 => RAM..RAM + 0x1_0000, 1 => any::<u64>()];
    let len = prop_oneof![4 => 0..2048_u32, 2 => (0..64_u32).prop_map(|n| n * 16), 1 => any::<u32>()];
    (address, len, 0..8_u16, prop_oneof![4 => 0..16_u16, 1 => any::<u16>()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_register_traffic_does_not_panic(accesses in prop::collection::vec(access(), 0..200)) {
        let mut driver = block();
        for (offset, len, write) in accesses {
            match write {
                Some(value) => driver.device.write(offset, &value.to_le_bytes()[..len]),
                None => driver.device.read(offset, &mut [0; 8][..len]),
            }
        }
    }

    #[test]
    fn arbitrary_descriptors_do_not_panic(
        descriptors in prop::collection::vec(descriptor(), 16),
        headers in prop::collection::vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0x400),
        heads in prop::collection::vec(any::<u16>(), 1..8),
        available in prop_oneof![8 => 1..8_u16, 1 => any::<u16>()],
    ) {
        fn run<B: Backend>(
            mut driver: Driver<B>,
            fill: impl Fn(&mut Driver<B>, usize),
            input: impl Fn(&mut Driver<B>),
        ) {
            driver.start();
            for queue in 0..B::QUEUES.len() {
                fill(&mut driver, queue);
                driver.put(VIRTIO_MMIO_QUEUE_NOTIFY, queue as u32);
            }
            input(&mut driver);
        }
        fn fill<B: Backend>(
            driver: &mut Driver<B>, queue: usize, descriptors: &[(u64, u32, u16, u16)], headers: &[u8],
            heads: &[u16], available: u16,
        ) {
            driver.fill(headers);
            driver.describe(queue, descriptors);
            driver.publish(queue, heads, available);
        }
        run(block(), |d, q| fill(d, q, &descriptors, &headers, &heads, available), |_| {});
        let console = Driver::new(Console::new(|_| ()));
        run(console, |d, q| fill(d, q, &descriptors, &headers, &heads, available), |d| { d.device.receive(&[7; 5000]); });
    }
}
