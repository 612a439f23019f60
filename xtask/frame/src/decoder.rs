//! Lines back into messages.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::Message;
use crate::line::{Fragment, MAGIC};

/// A line longer than this is no line of ours, and is handed on as log text in pieces.
const LONGEST_LINE: usize = 16 * 1024;

/// What the line carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message, complete and in order.
    Message(Message),
    /// A line of text that belongs to no message, without its line end: the kernel's, the firmware's, or the remains
    /// of a torn fragment.
    Log(Vec<u8>),
}

/// Finds messages in everything that came over the line.
///
/// Messages are handed on in the order of their sequence numbers. A fragment that did not arrive intact holds back
/// those behind it until a repetition brings it; fragments seen before are dropped.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    next: u32,
    waiting: BTreeMap<u32, Fragment>,
    assembling: Vec<u8>,
}

impl Decoder {
    /// Takes bytes as they come, and gives what they completed.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || self.line.len() >= LONGEST_LINE {
                let line = std::mem::take(&mut self.line);
                self.end_of_line(&line, &mut events);
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
        }
        events
    }

    /// The line is closed: gives what an unfinished last line held.
    pub fn finish(&mut self) -> Vec<Event> {
        self.feed(b"\n")
    }

    /// The sequence number of a fragment that is missing although later ones have arrived.
    pub fn missing(&self) -> Option<u32> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// A line may hold several fragments, and foreign text before, between and behind them.
    fn end_of_line(&mut self, line: &[u8], events: &mut Vec<Event>) {
        let mut log = Vec::new();
        let mut rest = line;
        while !rest.is_empty() {
            if let Some((fragment, length)) = Fragment::read(rest) {
                self.fragment(fragment, events);
                rest = &rest[length..];
            } else {
                // No fragment here: foreign text up to the next place where one may start.
                let next = rest[1..].windows(MAGIC.len()).position(|w| w == MAGIC).map_or(rest.len(), |at| at + 1);
                log.extend_from_slice(&rest[..next]);
                rest = &rest[next..];
            }
        }
        let text = log.trim_ascii_end();
        if !text.is_empty() {
            events.push(Event::Log(text.to_vec()));
        }
    }

    fn fragment(&mut self, fragment: Fragment, events: &mut Vec<Event>) {
        if fragment.sequence >= self.next {
            self.waiting.entry(fragment.sequence).or_insert(fragment);
        }
        while let Some(fragment) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.assembling.extend_from_slice(&fragment.payload);
            if fragment.more {
                continue;
            }
            let bytes = std::mem::take(&mut self.assembling);
            let bytes = if fragment.compressed { decompress(&bytes) } else { Some(bytes) };
            events.extend(bytes.and_then(|b| Message::from_parts(fragment.kind, b)).map(Event::Message));
        }
    }
}

fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    DeflateDecoder::new(bytes).read_to_end(&mut whole).ok()?;
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoder, Exit};

    fn messages(events: &[Event]) -> Vec<Message> {
        events.iter().filter_map(|e| if let Event::Message(m) = e { Some(m.clone()) } else { None }).collect()
    }

    fn log(events: &[Event]) -> String {
        let lines: Vec<_> =
            events.iter().filter_map(|e| if let Event::Log(l) = e { Some(l.as_slice()) } else { None }).collect();
        String::from_utf8(lines.join(&b'\n')).expect("the tests write text")
    }

    fn every_kind() -> Vec<Message> {
        vec![
            Message::Hello("6.12.117".into()),
            Message::Start,
            Message::Stdout(b"one\n".to_vec()),
            Message::Stderr(vec![0, 255, b'~', b'\n']),
            Message::KernelLog(b"warning\n".repeat(4000)),
            Message::File { path: "/run/out".into(), contents: (0..=255).cycle().take(10_000).collect() },
            Message::Trouble("no such file".into()),
            Message::Exit(Exit::Code(3)),
            Message::Exit(Exit::Signal(11)),
            Message::End,
        ]
    }

    #[test]
    fn every_kind_of_message_comes_back_as_it_was_sent() {
        let mut encoder = Encoder::default();
        let line: Vec<u8> = every_kind().iter().flat_map(|m| encoder.encode(m)).collect();
        let mut decoder = Decoder::default();
        // Byte by byte: where reads happen to be cut must not matter.
        let events: Vec<_> = line.iter().flat_map(|&byte| decoder.feed(&[byte])).collect();
        assert_eq!(messages(&events), every_kind());
        assert_eq!(log(&events), "");
        assert_eq!(decoder.missing(), None);
    }

    #[test]
    fn a_kernel_message_inside_a_fragment_costs_that_fragment_until_it_is_sent_again() {
        let mut encoder = Encoder::default();
        let first = encoder.encode(&Message::Stdout(b"first".to_vec()));
        let second = encoder.encode(&Message::Stdout(b"second".to_vec()));
        let mut torn = first.clone();
        torn.splice(20..20, b"[    1.000000] Oops\r\n".iter().copied());

        let mut decoder = Decoder::default();
        let events = decoder.feed(&[torn, second.clone()].concat());
        assert_eq!(messages(&events), []);
        assert!(log(&events).contains("Oops"), "{}", log(&events));
        assert_eq!(decoder.missing(), Some(0));

        let events = decoder.feed(&[first, second].concat());
        assert_eq!(messages(&events), [Message::Stdout(b"first".to_vec()), Message::Stdout(b"second".to_vec())]);
        assert_eq!(decoder.missing(), None);
    }

    #[test]
    fn kernel_text_on_the_same_line_is_log_and_harms_nothing() {
        let frame = Encoder::default().encode(&Message::Start);
        let frame = frame.trim_ascii();
        let mut decoder = Decoder::default();
        let mut events = decoder.feed(b"before ");
        events.extend(decoder.feed(frame));
        events.extend(decoder.feed(b" behind\r"));
        events.extend(decoder.finish());
        assert_eq!(messages(&events), [Message::Start]);
        assert_eq!(log(&events), "before  behind");
    }

    #[test]
    fn a_repetition_is_dropped() {
        let frame = Encoder::default().encode(&Message::Start);
        let mut decoder = Decoder::default();
        assert_eq!(messages(&decoder.feed(&frame.repeat(3))), [Message::Start]);
    }

    #[test]
    fn a_line_without_end_does_not_grow_without_bound() {
        let mut decoder = Decoder::default();
        let events = decoder.feed(&vec![b'x'; 3 * LONGEST_LINE]);
        assert_eq!(events.len(), 2);
        assert!(decoder.line.len() <= LONGEST_LINE);
    }
}
