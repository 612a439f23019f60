//! Whatever a kernel prints between and inside the lines, no wrong message ever comes out.

use proptest::collection::vec;
use proptest::prelude::*;
use vtick_frame::{Decoder, Encoder, Event, Message};

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        vec(any::<u8>(), 0..2000).prop_map(Message::Stdout),
        "[ -~\n]{0,300}".prop_map(|text| Message::KernelLog(text.into_bytes())),
        ("/[a-z]{1,8}", vec(any::<u8>(), 0..3000)).prop_map(|(path, contents)| Message::File { path, contents }),
        Just(Message::Start),
    ]
}

/// Kernel-like text, raw bytes, and text that looks like the start or the middle of a line of ours.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "\\[ +[0-9]{1,3}\\.[0-9]{6}\\] [ -~]{0,60}\r?\n".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..40),
        Just(b"~vt1:".to_vec()),
        Just(b"~vt1:00000000:Or.:".to_vec()),
        Just(b"~".to_vec()),
        Just(b"\n".to_vec()),
    ]
}

fn delivered(line: &[u8]) -> (Vec<Message>, Decoder) {
    let mut decoder = Decoder::default();
    let mut events = decoder.feed(line);
    events.extend(decoder.finish());
    let messages = events.into_iter().filter_map(|e| if let Event::Message(m) = e { Some(m) } else { None });
    (messages.collect(), decoder)
}

fn insert(line: &[u8], noises: &[(prop::sample::Index, Vec<u8>)]) -> Vec<u8> {
    let mut torn = line.to_vec();
    for (at, noise) in noises {
        let at = at.index(torn.len() + 1);
        torn.splice(at..at, noise.iter().copied());
    }
    torn
}

proptest! {
    #[test]
    fn noise_anywhere_never_yields_a_wrong_message(
        sent in vec(message(), 1..6),
        noises in vec((any::<prop::sample::Index>(), noise()), 0..12),
    ) {
        let mut encoder = Encoder::default();
        let clean: Vec<u8> = sent.iter().flat_map(|m| encoder.encode(m)).collect();
        let (got, _) = delivered(&insert(&clean, &noises));
        prop_assert_eq!(&got[..], &sent[..got.len()]);
    }

    #[test]
    fn one_clean_repetition_recovers_everything(
        sent in vec(message(), 1..6),
        noises in vec((any::<prop::sample::Index>(), noise()), 0..12),
    ) {
        let mut encoder = Encoder::default();
        let clean: Vec<u8> = sent.iter().flat_map(|m| encoder.encode(m)).collect();
        let (got, decoder) = delivered(&[insert(&clean, &noises), clean].concat());
        prop_assert_eq!(got, sent);
        prop_assert_eq!(decoder.missing(), None);
    }

    #[test]
    fn overwritten_bytes_never_yield_a_wrong_message(
        sent in vec(message(), 1..6),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut encoder = Encoder::default();
        let mut line: Vec<u8> = sent.iter().flat_map(|m| encoder.encode(m)).collect();
        for (at, byte) in changes {
            let at = at.index(line.len());
            line[at] = byte;
        }
        let (got, _) = delivered(&line);
        prop_assert_eq!(&got[..], &sent[..got.len()]);
    }

    #[test]
    fn noise_between_lines_loses_nothing(sent in vec(message(), 1..6), between in vec(noise(), 6)) {
        let mut encoder = Encoder::default();
        let line: Vec<u8> = sent.iter().zip(&between).flat_map(|(m, n)| [n.clone(), encoder.encode(m)].concat()).collect();
        prop_assert_eq!(delivered(&line).0, sent);
    }
}
