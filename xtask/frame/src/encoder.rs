//! Messages into lines.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::Message;
use crate::line::{FRAGMENT, Fragment};

/// Below this size, compressing costs more than it saves.
const WORTH_COMPRESSING: usize = 128;

/// Turns messages into numbered lines.
#[derive(Debug, Default)]
pub struct Encoder {
    next: u32,
}

impl Encoder {
    /// The lines of one message. Sending them again, in the same order, is always allowed.
    pub fn encode(&mut self, message: &Message) -> Vec<u8> {
        let (kind, bytes) = message.to_parts();
        let (compressed, bytes) = match compress(&bytes) {
            Some(smaller) => (true, smaller),
            None => (false, bytes),
        };
        let mut lines = Vec::with_capacity(bytes.len() * 3 / 2 + 64);
        let mut rest = bytes.as_slice();
        loop {
            let (payload, tail) = rest.split_at(rest.len().min(FRAGMENT));
            let more = !tail.is_empty();
            let sequence = self.next;
            self.next += 1;
            Fragment { sequence, kind, compressed, more, payload: payload.to_vec() }.write(&mut lines);
            if !more {
                return lines;
            }
            rest = tail;
        }
    }
}

/// The deflated bytes, if that is worth it.
fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < WORTH_COMPRESSING {
        return None;
    }
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(bytes).ok()?;
    let smaller = deflate.finish().ok()?;
    (smaller.len() < bytes.len()).then_some(smaller)
}
