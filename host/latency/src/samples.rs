//! Raw samples, in the order in which they came: what a distribution forgets. Bounded, whatever the run's length.

use std::io::{Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::hops::Hop;

/// Samples of one vCPU that are kept. A run that brings more keeps every second of them, then every fourth, and so on:
/// they are spread over all of it.
pub const MOST_SAMPLES: usize = 1 << 14;

/// No hop takes so many ticks: those of a record have to stay below, so that their sums fit.
const LONGEST: u64 = 1 << 50;

/// One interrupt or operation, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    /// When it was due, on the guest's virtual counter.
    pub deadline: u64,
    /// What each hop took, by [`Hop`]; 0 for one that is not known, which the next one then contains. All 0: the
    /// interrupt was lost.
    pub hops: [u64; Hop::ALL.len()],
}

impl Raw {
    /// From the deadline to the guest's vector; `None` of an operation and of a lost interrupt.
    pub fn deadline_to_handler(&self) -> Option<u64> {
        let ticks = self.hops[..=Hop::Vector as usize].iter().sum();
        (ticks != 0).then_some(ticks)
    }

    /// From the deadline to the interrupted code, or what an operation took.
    pub fn whole(&self) -> u64 {
        self.hops.iter().sum()
    }
}

/// The samples of one vCPU, or as many of them as there is room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Encoded", into = "Encoded")]
pub struct Samples {
    every: u64,
    seen: u64,
    kept: Vec<Raw>,
}

impl Default for Samples {
    fn default() -> Samples {
        Samples { every: 1, seen: 0, kept: Vec::new() }
    }
}

impl Samples {
    /// None yet, with room for as many of `expected` as are ever kept: nothing is allocated later.
    pub fn with_room_for(expected: u64) -> Samples {
        let room = usize::try_from(expected).unwrap_or(MOST_SAMPLES).min(MOST_SAMPLES);
        Samples { kept: Vec::with_capacity(room), ..Samples::default() }
    }

    /// Takes in the next one.
    pub fn push(&mut self, sample: Raw) {
        if self.seen.is_multiple_of(self.every) {
            if self.kept.len() == MOST_SAMPLES {
                self.thin();
            }
            self.kept.push(sample);
        }
        self.seen += 1;
    }

    /// The one that comes next stays one of those that are kept: the room is for an even number.
    fn thin(&mut self) {
        const { assert!(MOST_SAMPLES.is_multiple_of(2)) };
        let mut index = 0;
        self.kept.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.every *= 2;
    }

    /// Those that are kept, in order.
    pub fn kept(&self) -> &[Raw] {
        &self.kept
    }

    /// Each how-many-th of all is kept: 1, 2, 4, ...
    pub fn every(&self) -> u64 {
        self.every
    }

    /// How many there were.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Bytes that they take, and will take however many more come.
    pub fn room(&self) -> usize {
        self.kept.capacity() * size_of::<Raw>()
    }
}

/// Samples as a record has them: a column for the deadlines and one for each hop that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Encoded {
    /// How many there were.
    of: u64,
    /// Each how-many-th is here.
    every: u64,
    /// When each was due, on the guest's virtual counter: a column. A column is base64 of zlib of LEB128 numbers: zigzag of
    /// the difference to the number before.
    deadline: String,
    /// What each hop took, in ticks: a column for each hop that is known.
    hops: Vec<(Hop, String)>,
}

impl From<Samples> for Encoded {
    fn from(samples: Samples) -> Encoded {
        let Samples { every, seen, kept } = samples;
        let column = |hop: Hop| kept.iter().map(move |raw| raw.hops[hop as usize]);
        let known = Hop::ALL.into_iter().filter(|&hop| column(hop).any(|ticks| ticks != 0));
        let hops = known.map(|hop| (hop, encode(column(hop)))).collect();
        Encoded { of: seen, every, deadline: encode(kept.iter().map(|raw| raw.deadline)), hops }
    }
}

impl TryFrom<Encoded> for Samples {
    type Error = &'static str;

    fn try_from(encoded: Encoded) -> Result<Samples, &'static str> {
        let deadlines = decode(&encoded.deadline)?;
        let mut kept: Vec<Raw> = deadlines.into_iter().map(|deadline| Raw { deadline, ..Raw::default() }).collect();
        for (hop, column) in &encoded.hops {
            let column = decode(column)?;
            if column.len() != kept.len() {
                return Err("raw samples: their columns differ in length");
            }
            if column.iter().any(|&ticks| ticks > LONGEST) {
                return Err("raw samples: a hop is longer than the counter can count");
            }
            kept.iter_mut().zip(column).for_each(|(raw, ticks)| raw.hops[*hop as usize] = ticks);
        }
        if encoded.every == 0 || encoded.of.div_ceil(encoded.every) != kept.len() as u64 {
            return Err("raw samples: their number differs from the number stated");
        }
        Ok(Samples { every: encoded.every, seen: encoded.of, kept })
    }
}

fn encode(values: impl Iterator<Item = u64>) -> String {
    let mut bytes = Vec::new();
    let mut before = 0u64;
    for value in values {
        let difference = value.wrapping_sub(before) as i64;
        before = value;
        let mut zigzag = (difference << 1 ^ difference >> 63) as u64;
        while zigzag >= 0x80 {
            bytes.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        bytes.push(zigzag as u8);
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let packed = zlib.write_all(&bytes).and_then(|()| zlib.finish()).expect("a vector takes everything");
    BASE64_STANDARD.encode(packed)
}

fn decode(text: &str) -> Result<Vec<u64>, &'static str> {
    const BROKEN: &str = "cannot decode the raw samples";
    /// More than a LEB128 number of 64 bits takes, for as many as there may be.
    const MOST_BYTES: u64 = 10 * MOST_SAMPLES as u64;
    let packed = BASE64_STANDARD.decode(text).map_err(|_| BROKEN)?;
    let mut bytes = Vec::new();
    ZlibDecoder::new(&packed[..]).take(MOST_BYTES).read_to_end(&mut bytes).map_err(|_| BROKEN)?;
    let mut values = Vec::new();
    let (mut before, mut zigzag, mut shift) = (0u64, 0u64, 0);
    for byte in bytes {
        if shift > 63 || values.len() == MOST_SAMPLES {
            return Err(BROKEN);
        }
        zigzag |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let difference = zigzag >> 1 ^ (zigzag & 1).wrapping_neg();
            before = before.wrapping_add(difference);
            values.push(before);
            (zigzag, shift) = (0, 0);
        }
    }
    if shift == 0 { Ok(values) } else { Err(BROKEN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: u64) -> Raw {
        // A deadline that comes round, and hops that go up and down.
        let noise = n.wrapping_mul(6_364_136_223_846_793_005) >> 52;
        Raw { deadline: (n << 20).wrapping_sub(5 << 20), hops: [2000 + noise, 0, 0, 5000 - noise, 1, 1, 1, n % 2] }
    }

    fn samples(count: u64) -> Samples {
        let mut samples = Samples::with_room_for(count);
        (0..count).for_each(|n| samples.push(sample(n)));
        samples
    }

    #[test]
    fn samples_are_kept_whole_and_in_order_while_there_is_room() {
        let all = samples(MOST_SAMPLES as u64);
        assert_eq!((all.every(), all.seen()), (1, MOST_SAMPLES as u64));
        assert!(all.kept().iter().copied().eq((0..MOST_SAMPLES as u64).map(sample)));
    }

    #[test]
    fn a_run_without_end_keeps_samples_from_all_of_it_in_constant_memory() {
        let mut samples = Samples::with_room_for(u64::MAX);
        let room = samples.room();
        let bound = MOST_SAMPLES as u64;
        for (total, every) in [(bound + 1, 2), (3 * bound, 4), (33 * bound, 64)] {
            (samples.seen()..total).for_each(|n| samples.push(sample(n)));
            assert_eq!((samples.every(), samples.room()), (every, room), "after {total}");
            let due = (0..total).step_by(every as usize);
            assert!(samples.kept().iter().copied().eq(due.map(sample)), "after {total}");
        }
    }

    #[test]
    fn a_record_gives_back_every_number_and_of_equal_ones_takes_next_to_nothing() {
        for count in [0, 1, 10_000, 40_000] {
            let samples = samples(count);
            let json = serde_json::to_string(&samples).unwrap();
            assert_eq!(serde_json::from_str::<Samples>(&json).unwrap(), samples);
        }
        let mut equal = Samples::default();
        (0..10_000).for_each(|n| equal.push(Raw { deadline: n * 42_000, hops: [1000; 8] }));
        let json = serde_json::to_string(&equal).unwrap();
        assert!(json.len() < 1500, "{} bytes", json.len());
    }

    #[test]
    fn a_broken_record_is_refused() {
        let json = serde_json::to_string(&samples(100)).unwrap();
        for (what, with) in [("\"of\":100", "\"of\":101"), ("\"every\":1", "\"every\":0"), ("eJ", "e!")] {
            let broken = json.replacen(what, with, 1);
            assert_ne!(broken, json);
            let error = serde_json::from_str::<Samples>(&broken).unwrap_err().to_string();
            assert!(error.contains("raw samples"), "{what}: {error}");
        }
    }

    #[test]
    fn a_sample_knows_its_latency_and_its_whole() {
        let sample = Raw { deadline: 1, hops: [3000, 1500, 50, 2450, 6000, 100, 5900, 50] };
        assert_eq!((sample.deadline_to_handler(), sample.whole()), (Some(7000), 19_050));
        assert_eq!(Raw { deadline: 1, hops: [0; 8] }.deadline_to_handler(), None);
    }
}
