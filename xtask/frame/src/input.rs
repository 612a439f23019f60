//! What a person types, on its way into the emulated host: bytes as they are, so that nothing waits for the end of a
//! frame, and one byte that stands for two things.
//!
//! Nothing but this goes into that line, so nothing can tear it. DLE DLE is that byte itself, DLE `.` the end.

/// ASCII "data link escape".
const ESCAPE: u8 = 0x10;
const END: u8 = b'.';

/// What came of some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// What was typed.
    pub bytes: Vec<u8>,
    /// Nothing follows.
    pub ended: bool,
}

/// The bytes to send for those that were typed.
pub fn encode_input(typed: &[u8]) -> Vec<u8> {
    typed.iter().flat_map(|&byte| std::iter::repeat_n(byte, if byte == ESCAPE { 2 } else { 1 })).collect()
}

/// The bytes to send when nothing follows.
pub fn encode_end_of_input() -> [u8; 2] {
    [ESCAPE, END]
}

/// The reverse, over any number of reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputDecoder {
    escaped: bool,
}

impl InputDecoder {
    /// Takes bytes as they come. An escape before anything else is dropped.
    pub fn feed(&mut self, bytes: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for &byte in bytes {
            match (std::mem::take(&mut self.escaped), byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, END) => typed.ended = true,
                (true, ESCAPE) | (false, _) => typed.bytes.push(byte),
                (true, _) => {}
            }
        }
        typed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_typed_arrives_however_it_is_cut(typed in prop::collection::vec(0_u8..32, 0..64), at in 0_usize..128) {
            let sent = [encode_input(&typed), encode_end_of_input().to_vec()].concat();
            let (one, other) = sent.split_at(at.min(sent.len()));
            let mut decoder = InputDecoder::default();
            let (one, other) = (decoder.feed(one), decoder.feed(other));
            prop_assert_eq!([one.bytes, other.bytes].concat(), typed);
            prop_assert_eq!(one.ended as u8 + other.ended as u8, 1);
        }
    }

    #[test]
    fn the_end_that_somebody_types_is_not_the_end() {
        let typed = InputDecoder::default().feed(&encode_input(&encode_end_of_input()));
        assert_eq!(typed, Typed { bytes: vec![ESCAPE, END], ended: false });
    }
}
