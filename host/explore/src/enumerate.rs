//! All programs up to so many operations, in a fixed order: shorter ones first, then by how they are spread over vCPUs,
//! then by routing, then by the alphabet. Each has a position, so that the order can be split and taken up again.
//!
//! Of programs that must behave the same only one is run ([`is_canonical`]).

use super::Sketch;
use super::alphabet::Operation;
use vtick_core::lines::{Line, Routing};

/// All programs over an alphabet.
#[derive(Clone, Debug)]
pub struct Space {
    alphabet: Vec<Operation>,
    /// The most that the operations of a program may weigh together.
    ops: usize,
    groups: Vec<Group>,
}

/// Programs that have the same number of operations on each vCPU, and the same routing.
#[derive(Clone, Debug)]
struct Group {
    /// Operations of each vCPU.
    lengths: Vec<usize>,
    routing: Routing,
    /// Positions before this group, and of it.
    before: u64,
    size: u64,
}

impl Space {
    /// The programs of one to `ops` operations, by their [weight](Operation::weight), on exactly `vcpus` vCPUs. `None`: more than 2^64.
    pub fn new(alphabet: Vec<Operation>, ops: usize, vcpus: usize) -> Option<Space> {
        let mut groups = Vec::new();
        let mut before = 0_u64;
        for total in 1..=ops {
            for lengths in splits(total, vcpus, total) {
                for routing in [Routing::Wire, Routing::Ignore] {
                    let size = (alphabet.len() as u64).checked_pow(u32::try_from(total).ok()?)?;
                    groups.push(Group { lengths: lengths.clone(), routing, before, size });
                    before = before.checked_add(size)?;
                }
            }
        }
        Some(Space { alphabet, ops, groups })
    }

    /// Number of positions. Not each of them is a program that is run.
    pub fn positions(&self) -> u64 {
        self.groups.last().map_or(0, |group| group.before + group.size)
    }

    /// The program at a position; `None`: one that behaves the same is at another, or there is no such position.
    pub fn at(&self, position: u64) -> Option<Sketch> {
        let group = self.groups.partition_point(|group| group.before + group.size <= position);
        let Group { lengths, routing, before, .. } = self.groups.get(group)?;
        let mut number = position - before;
        let letters = self.alphabet.len() as u64;
        // The first operation of the first vCPU is the most significant digit.
        let mut words: Vec<Vec<Operation>> = Vec::with_capacity(lengths.len());
        for &length in lengths.iter().rev() {
            let mut word = vec![Operation::Read; length];
            for operation in word.iter_mut().rev() {
                *operation = self.alphabet[(number % letters) as usize];
                number /= letters;
            }
            words.push(word);
        }
        words.reverse();
        let sketch = Sketch { routing: *routing, words };
        let weight: usize = sketch.words.iter().flatten().map(|operation| operation.weight()).sum();
        (weight <= self.ops && is_canonical(&sketch)).then_some(sketch)
    }

    /// The programs from a position on that are this shard's, each with its position: every `shards`th position.
    pub fn from(&self, position: u64, shard: u64, shards: u64) -> impl Iterator<Item = (u64, Sketch)> {
        let first = position + (shard + shards - position % shards) % shards;
        (first..self.positions())
            .step_by(usize::try_from(shards).unwrap_or(usize::MAX))
            .filter_map(|position| Some((position, self.at(position)?)))
    }
}

/// Ways to give `total` operations to `vcpus` vCPUs, none to the next more than to the one before: which vCPU is which
/// does not matter.
fn splits(total: usize, vcpus: usize, most: usize) -> Vec<Vec<usize>> {
    if vcpus == 0 {
        return if total == 0 { vec![Vec::new()] } else { Vec::new() };
    }
    let mut all = Vec::new();
    for first in (0..=total.min(most)).rev() {
        for rest in splits(total - first, vcpus - 1, first) {
            all.push([&[first][..], &rest].concat());
        }
    }
    all
}

/// Whether of all programs that must behave like this one, this one is run. Two programs must behave the same where
///
/// - their vCPUs are the same in another order;
/// - neighbours stand in another order that have nothing to do with each other: turning one timer off or setting its
///   IMASK, and the same of the other; the vCPU's own thread driving IRQ, and FIQ; two reads of registers by ONE_REG;
/// - interrupts are masked that are masked, or unmasked that are unmasked: at the start, or one after the other;
/// - levels are ignored of which none can rise.
///
/// Nor is run a program that ends in masking interrupts, of which nothing shows; or that ignores levels and sleeps: of
/// that nothing but its end by the watchdog has to come.
pub fn is_canonical(sketch: &Sketch) -> bool {
    if sketch.routing == Routing::Ignore && (!sketch.any(Operation::raises_a_level) || sketch.any(Operation::sleeps)) {
        return false;
    }
    if !sketch.words.iter().flatten().all(|operation| operation.fits(sketch.words.len())) {
        return false;
    }
    let in_order = sketch.words.windows(2).all(|pair| pair[0].len() != pair[1].len() || pair[0] >= pair[1]);
    in_order && sketch.words.iter().all(|word| is_canonical_word(word))
}

fn is_canonical_word(word: &[Operation]) -> bool {
    let mut masked = true;
    for &operation in word {
        let wanted = match operation {
            Operation::Mask => true,
            Operation::Unmask => false,
            _ => continue,
        };
        if wanted == masked {
            return false;
        }
        masked = wanted;
    }
    word.last() != Some(&Operation::Mask)
        && word.windows(2).all(|pair| pair[0] <= pair[1] || !commute(pair[0], pair[1]))
}

/// Whether the order of two neighbours cannot matter.
fn commute(first: Operation, second: Operation) -> bool {
    use Operation::{GetCtl, GetCval, Imask, Off};
    match (first, second) {
        (Off(one) | Imask(one), Off(other) | Imask(other)) => one != other,
        (Operation::Line(Line::Irq, _), Operation::Line(Line::Fiq, _)) => true,
        (Operation::Line(Line::Fiq, _), Operation::Line(Line::Irq, _)) => true,
        (GetCtl(_) | GetCval(_), GetCtl(_) | GetCval(_)) => first != second,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::alphabet::{ALPHABET, Timer, When};
    use super::*;
    use Operation::{Arm, Mask, Off, Read, Unmask, Wfi};

    const SMALL: [Operation; 6] =
        [Arm(Timer::Virtual, When::Past), Off(Timer::Virtual), Off(Timer::Physical), Wfi, Unmask, Mask];

    fn all(ops: usize, vcpus: usize) -> Vec<Sketch> {
        Space::new(SMALL.to_vec(), ops, vcpus).unwrap().from(0, 0, 1).map(|(_, sketch)| sketch).collect()
    }

    #[test]
    fn shorter_programs_come_first_and_no_program_comes_twice() {
        let programs = all(3, 1);
        assert!(programs.windows(2).all(|pair| pair[0].len() <= pair[1].len()));
        let distinct: std::collections::HashSet<_> = programs.iter().collect();
        assert_eq!(distinct.len(), programs.len());
        assert!(programs.iter().any(|p| p.words == [vec![SMALL[0], Wfi]]));
    }

    #[test]
    fn shards_together_are_the_whole_and_have_nothing_in_common() {
        let space = Space::new(SMALL.to_vec(), 3, 1).unwrap();
        let whole: Vec<_> = space.from(0, 0, 1).collect();
        let mut shards: Vec<_> = (0..3).flat_map(|shard| space.from(0, shard, 3).collect::<Vec<_>>()).collect();
        shards.sort_by_key(|(position, _)| *position);
        assert_eq!(shards, whole);
    }

    #[test]
    fn a_run_that_is_taken_up_again_goes_on_where_the_last_one_ended() {
        let space = Space::new(SMALL.to_vec(), 3, 1).unwrap();
        let whole: Vec<_> = space.from(0, 1, 2).collect();
        let (position, _) = whole[17];
        let rest: Vec<_> = space.from(position + 1, 1, 2).collect();
        assert_eq!(rest, whole[18..]);
    }

    #[test]
    fn of_two_orders_that_must_behave_the_same_one_is_run() {
        let words: Vec<_> = all(2, 1).into_iter().map(|sketch| sketch.words[0].clone()).collect();
        assert!(words.contains(&vec![Off(Timer::Virtual), Off(Timer::Physical)]));
        assert!(!words.contains(&vec![Off(Timer::Physical), Off(Timer::Virtual)]));
        assert!(!words.contains(&vec![Mask]), "masked from the start");
        assert!(!words.contains(&vec![Unmask, Unmask]));
    }

    #[test]
    fn two_vcpus_whose_programs_change_places_are_one_program() {
        let programs = all(2, 2);
        let has = |first: &[Operation], second: &[Operation]| {
            programs.iter().any(|sketch| sketch.words == [first.to_vec(), second.to_vec()])
        };
        assert!(has(&[Wfi], &[SMALL[0]]) != has(&[SMALL[0]], &[Wfi]));
        assert!(has(&[SMALL[0], Wfi], &[]) && !has(&[], &[SMALL[0], Wfi]));
    }

    #[test]
    fn every_operation_of_the_alphabet_is_there_once_and_in_order() {
        let distinct: std::collections::HashSet<_> = ALPHABET.iter().collect();
        assert_eq!(distinct.len(), ALPHABET.len());
        let space = Space::new(ALPHABET.to_vec(), 1, 1).unwrap();
        let run = space.from(0, 0, 1).filter(|(_, sketch)| sketch.routing == Routing::Wire).count();
        // Masking shows nothing by itself, there is no other vCPU whose line could be driven, and three weigh too much.
        assert_eq!(run, ALPHABET.len() - 6);
        assert!(space.at(space.positions()).is_none());
        assert!(space.from(0, 0, 1).any(|(_, sketch)| sketch.words == [vec![Read]]));
    }

    #[test]
    fn a_space_with_too_many_programs_to_count_is_refused() {
        assert!(Space::new(ALPHABET.to_vec(), 20, 1).is_none());
    }
}
