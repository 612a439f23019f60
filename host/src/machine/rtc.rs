//! The clock: a PL031, which says what the host's clock says. In the emulated host that starts on the same day every
//! time. Its alarm is not implemented, and its output never asserted.

use vm_superio::Rtc;

use super::Device;

/// A PL031.
pub struct Pl031(Rtc<vm_superio::rtc_pl031::NoEvents>);

impl Pl031 {
    /// A clock that runs.
    pub fn new() -> Pl031 {
        Pl031(Rtc::new())
    }
}

impl Default for Pl031 {
    fn default() -> Self {
        Self::new()
    }
}

impl Device for Pl031 {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let mut word = [0; 4];
        if let Ok(offset) = u16::try_from(offset) {
            self.0.read(offset, &mut word);
        }
        data.iter_mut().zip(word).for_each(|(byte, value)| *byte = value);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let (Ok(offset), Ok(word)) = (u16::try_from(offset), data.try_into()) {
            self.0.write(offset, word);
        }
    }

    fn output(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_the_time_and_what_it_is() {
        let mut clock = Pl031::new();
        let mut word = [0; 4];
        clock.read(0, &mut word);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(now - u64::from(u32::from_le_bytes(word)) < 60, "{word:?}");
        clock.read(0xfe0, &mut word);
        assert_eq!(word, [0x31, 0, 0, 0]);
        // A width that no driver uses.
        clock.write(8, &[0; 8]);
        clock.read(0xfe1, &mut [0; 8]);
    }
}
