//! Longer programs, at random: each is made of its seed and nothing else.

use super::Sketch;
use super::alphabet::Operation;
use vtick_core::lines::Routing;

/// The generator that Sebastiano Vigna calls SplitMix64. A seed has to mean the same programs for ever, which no crate
/// promises of its default generator.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`. That some come by 2^-32 more often does not matter here.
    fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }
}

/// Program number `number` of `seed`, with 1 to `ops` operations on each of up to `vcpus` vCPUs.
pub fn sketch(seed: u64, number: u64, alphabet: &[Operation], ops: usize, vcpus: usize) -> Sketch {
    let mut random = SplitMix64(seed);
    let mut random = SplitMix64(random.next() ^ number);
    random.next();
    let vcpus = 1 + random.below(vcpus);
    let routing = if random.below(3) == 0 { Routing::Ignore } else { Routing::Wire };
    let fits = |operation: &&Operation| operation.fits(vcpus) && (routing != Routing::Ignore || !operation.sleeps());
    let letters: Vec<Operation> = alphabet.iter().filter(fits).copied().collect();
    let lengths: Vec<usize> = (0..vcpus).map(|_| 1 + random.below(ops)).collect();
    let mut letter = || {
        let letter = letters[random.below(letters.len())];
        // Of those that weigh more than one, fewer: a program takes as long as its longest operation.
        if letter.weight() > 1 && random.below(16) > 0 { Operation::Read } else { letter }
    };
    let words = lengths.into_iter().map(|length| (0..length).map(|_| letter()).collect()).collect();
    Sketch { routing, words }
}

#[cfg(test)]
mod tests {
    use super::super::alphabet::ALPHABET;
    use super::*;

    #[test]
    fn a_seed_means_the_same_programs_for_ever() {
        // Vigna's reference code gives this for the state 1234567.
        assert_eq!(SplitMix64(1_234_567).next(), 6_457_827_717_110_365_317);
        let of = |seed, number| sketch(seed, number, ALPHABET, 12, 4);
        assert_eq!(of(7, 3), of(7, 3));
        assert!(of(7, 3) != of(8, 3) && of(7, 3) != of(7, 4));
    }

    #[test]
    fn every_operation_and_every_number_of_vcpus_comes_up() {
        let sketches: Vec<_> = (0..2000).map(|number| sketch(1, number, ALPHABET, 12, 4)).collect();
        for &operation in ALPHABET {
            assert!(sketches.iter().any(|s| s.any(|other| other == operation)), "{operation:?}");
        }
        for vcpus in 1..=4 {
            assert!(sketches.iter().any(|s| s.words.len() == vcpus));
        }
        assert!(sketches.iter().flat_map(|s| &s.words).all(|word| (1..=12).contains(&word.len())));
    }

    #[test]
    fn nobody_sleeps_for_ever_because_levels_are_ignored() {
        let sketches = (0..2000).map(|number| sketch(2, number, ALPHABET, 12, 1));
        assert!(sketches.filter(|s| s.routing == Routing::Ignore).all(|s| !s.any(Operation::sleeps)));
    }
}
