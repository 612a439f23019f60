//! The clock: a PL031, which starts with what the host's clock says. In the emulated host that starts on the same day
//! every time.
//!
//! Tag `[PL031]`: Arm DDI 0224, *PrimeCell Real Time Clock (PL031) Technical Reference Manual*. It runs from the start,
//! as if RTCCR had been written, and an interrupt is cleared by whatever is written to RTCICR, as QEMU's is and
//! kvm-unit-tests demands.

use std::time::Duration;

use super::{Clock, Device};

// Offsets `[PL031/3.2]`.
const DR: u64 = 0x00;
const MR: u64 = 0x04;
const LR: u64 = 0x08;
const CR: u64 = 0x0c;
const IMSC: u64 = 0x10;
const RIS: u64 = 0x14;
const MIS: u64 = 0x18;
const ICR: u64 = 0x1c;
const IDENTIFICATION: u64 = 0xfe0;

/// RTCCR: the counter runs.
const STARTED: u32 = 1;
/// UARTPeriphID0 to 3 of revision 1, RTCPCellID0 to 3 `[PL031/3.3.9]`.
const IDS: [u8; 8] = [0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// A PL031.
pub struct Pl031 {
    clock: Clock,
    /// The tick at which the counter would have been `base`: it counts whole seconds since.
    start: u64,
    base: u32,
    /// RTCMR, and when the counter comes there, if it was ever written.
    matches: u32,
    alarm: Option<u64>,
    loaded: u32,
    raw: bool,
    mask: bool,
}

impl Pl031 {
    /// A clock at `time` since the epoch, which `clock` drives.
    pub fn new(clock: Clock, time: Duration) -> Pl031 {
        let part = u128::from(time.subsec_nanos()) * u128::from(clock.frequency()) / 1_000_000_000;
        Pl031 {
            start: clock.now().wrapping_sub(part as u64),
            // The counter has 32 bits.
            base: time.as_secs() as u32,
            clock,
            matches: 0,
            alarm: None,
            loaded: 0,
            raw: false,
            mask: false,
        }
    }

    /// Ticks since the counter was `base`.
    fn passed(&self) -> u64 {
        self.clock.now().wrapping_sub(self.start)
    }

    fn counter(&self) -> u32 {
        self.base.wrapping_add((self.passed() / self.clock.frequency()) as u32)
    }

    /// Finds out anew when the counter comes to the match register: now, if it is there.
    fn set_alarm(&mut self) {
        let seconds = u64::from(self.matches.wrapping_sub(self.counter()));
        let frequency = self.clock.frequency();
        let due = (self.passed() / frequency).saturating_add(seconds).saturating_mul(frequency);
        self.alarm = Some(self.start.wrapping_add(due));
        self.elapse();
    }

    fn register(&self, offset: u64) -> u32 {
        match offset {
            DR => self.counter(),
            MR => self.matches,
            LR => self.loaded,
            CR => STARTED,
            IMSC => self.mask.into(),
            RIS => self.raw.into(),
            MIS => (self.raw && self.mask).into(),
            IDENTIFICATION..=0xffc => IDS[(offset - IDENTIFICATION) as usize / 4].into(),
            _ => 0,
        }
    }

    fn set_register(&mut self, offset: u64, value: u32) {
        match offset {
            MR => {
                self.matches = value;
                self.set_alarm();
            }
            LR => {
                self.loaded = value;
                // The seconds go on where they are.
                self.base = value.wrapping_sub(self.counter().wrapping_sub(self.base));
                if self.alarm.is_some() {
                    self.set_alarm();
                }
            }
            IMSC => self.mask = value & 1 != 0,
            ICR => self.raw = false,
            _ => {}
        }
    }
}

impl Device for Pl031 {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        self.elapse();
        data.fill(0);
        let word = self.register(offset & !3).to_le_bytes();
        data.iter_mut().zip(word.into_iter().skip(offset as usize & 3)).for_each(|(byte, value)| *byte = value);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.elapse();
        if offset.is_multiple_of(4) {
            let mut word = [0; 4];
            word.iter_mut().zip(data).for_each(|(byte, value)| *byte = *value);
            self.set_register(offset, u32::from_le_bytes(word));
        }
    }

    fn output(&self) -> bool {
        self.raw && self.mask
    }

    fn due(&self) -> Option<u64> {
        self.alarm
    }

    fn elapse(&mut self) {
        if let Some(alarm) = self.alarm
            && self.clock.now().wrapping_sub(alarm) as i64 >= 0
        {
            self.raw = true;
            // The counter wraps, and comes there again.
            self.alarm = alarm.checked_add(self.clock.frequency().saturating_mul(1 << 32));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::manual::{FREQUENCY, clock, forward};

    fn get(device: &mut Pl031, offset: u64) -> u32 {
        let mut word = [0x55; 4];
        device.read(offset, &mut word);
        u32::from_le_bytes(word)
    }

    fn put(device: &mut Pl031, offset: u64, value: u32) {
        device.write(offset, &value.to_le_bytes());
    }

    fn pl031() -> Pl031 {
        Pl031::new(clock(), Duration::new(1_000, 750_000_000))
    }

    #[test]
    fn it_starts_with_the_hosts_time_and_counts_its_seconds() {
        let mut rtc = pl031();
        assert_eq!(get(&mut rtc, DR), 1_000);
        forward(FREQUENCY / 4 - 1);
        assert_eq!(get(&mut rtc, DR), 1_000);
        forward(1);
        assert_eq!(get(&mut rtc, DR), 1_001, "at the host's full second");
        put(&mut rtc, DR, 5);
        assert_eq!(get(&mut rtc, DR), 1_001, "read-only");
        put(&mut rtc, LR, 7);
        forward(FREQUENCY);
        assert_eq!((get(&mut rtc, DR), get(&mut rtc, LR)), (8, 7));
    }

    #[test]
    fn it_is_a_pl031_of_revision_1_at_any_width() {
        let mut rtc = pl031();
        let ids: Vec<u32> = (0..8).map(|n| get(&mut rtc, IDENTIFICATION + 4 * n)).collect();
        assert_eq!(ids, IDS.map(u32::from));
        let mut narrow = [0x55; 2];
        rtc.read(0xfe8, &mut narrow);
        assert_eq!(narrow, [0x14, 0]);
        rtc.write(0xfe8, &[0xef]);
        rtc.write(0xfe8, &[0xef; 2]);
        put(&mut rtc, 0xfe8, 0xdead_beef);
        assert_eq!(get(&mut rtc, 0xfe8), 0x14);
        let mut wide = [0x55; 8];
        rtc.read(0xfe0, &mut wide);
        assert_eq!(wide, [0x31, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn the_alarm_comes_in_its_second_masked_or_not_and_goes_when_it_is_cleared() {
        let mut rtc = pl031();
        put(&mut rtc, MR, 1_002);
        assert_eq!((rtc.due(), rtc.output()), (Some(FREQUENCY / 4 + FREQUENCY), false));
        forward(FREQUENCY / 4 + FREQUENCY);
        rtc.elapse();
        assert_eq!((get(&mut rtc, RIS), get(&mut rtc, MIS), rtc.output()), (1, 0, false), "masked");
        put(&mut rtc, IMSC, 1);
        assert_eq!((get(&mut rtc, RIS), get(&mut rtc, MIS), rtc.output()), (1, 1, true));
        put(&mut rtc, ICR, 0x8000_0000);
        assert_eq!((get(&mut rtc, RIS), get(&mut rtc, MIS), rtc.output()), (0, 0, false));
        forward(FREQUENCY);
        assert_eq!(get(&mut rtc, RIS), 0, "once");
    }

    #[test]
    fn a_guest_that_looks_before_anybody_has_told_the_device_sees_the_alarm() {
        let mut rtc = pl031();
        put(&mut rtc, IMSC, 1);
        put(&mut rtc, MR, 1_001);
        forward(FREQUENCY);
        assert_eq!((get(&mut rtc, RIS), rtc.output()), (1, true));
    }

    #[test]
    fn a_match_with_now_comes_at_once_and_with_the_past_after_the_counter_has_wrapped() {
        let mut rtc = pl031();
        put(&mut rtc, MR, 1_000);
        assert_eq!(get(&mut rtc, RIS), 1);
        put(&mut rtc, ICR, 1);
        put(&mut rtc, MR, 999);
        assert_eq!(get(&mut rtc, RIS), 0);
        forward((u64::from(u32::MAX)) * FREQUENCY);
        assert_eq!((get(&mut rtc, RIS), get(&mut rtc, DR)), (1, 999));
        // A clock that is set moves the alarm.
        put(&mut rtc, ICR, 1);
        put(&mut rtc, LR, 998);
        forward(FREQUENCY);
        assert_eq!(get(&mut rtc, RIS), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_traffic_does_not_panic_and_the_output_is_what_the_registers_say(
            accesses in prop::collection::vec((0_u64..0x30, any::<u32>(), 0_usize..=3, 0_u64..5_000_000_000), 0..50)
        ) {
            let mut rtc = pl031();
            for (offset, value, width, ticks) in accesses {
                forward(ticks);
                rtc.write(offset, &u64::from(value).to_le_bytes()[..1 << width]);
                rtc.read(offset, &mut [0; 8][..1 << width]);
                prop_assert_eq!(get(&mut rtc, MIS) == 1, rtc.output());
                prop_assert!(rtc.due().is_none_or(|due| due > rtc.clock.now()));
            }
        }
    }
}
