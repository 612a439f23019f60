//! All mutants of the code that ran, and a sample of them that a seed repeats.

use std::fmt;

use anyhow::{Result, ensure};

use super::kinds::{self, Kind};
use crate::coverage::FunctionCode;
use crate::emulated::Patch;

/// A mutant: one instruction of the kernel, changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// The symbol of the code.
    pub(crate) symbol: String,
    /// Tells this code from other code of the same symbol.
    pub(crate) fingerprint: String,
    /// Bytes from the symbol to the instruction.
    pub(crate) offset: u64,
    pub(crate) kind: Kind,
    pub(crate) patch: Patch,
}

impl fmt::Display for Mutant {
    /// The name by which it is tried again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}:{}", self.symbol, self.offset, self.kind)
    }
}

/// Every mutant of the instructions that ran.
pub(crate) fn all(functions: &[FunctionCode]) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for part in functions.iter().flat_map(|function| &function.parts) {
        let instructions: Vec<(u64, u32)> = part.instructions().collect();
        for (index, &(address, old)) in instructions.iter().enumerate().filter(|(index, _)| part.ran[*index]) {
            let before = index.checked_sub(1).map(|before| instructions[before].1);
            mutants.extend(kinds::mutants(old, before).into_iter().map(|(kind, new)| Mutant {
                symbol: part.symbol.clone(),
                fingerprint: part.fingerprint.clone(),
                offset: address - part.start,
                kind,
                patch: Patch { address, old, new },
            }));
        }
    }
    mutants
}

/// So many of them, the same for the same seed, in an order that is as random: whatever part of them has been tried is a
/// sample itself.
pub(crate) fn sample(mut mutants: Vec<Mutant>, size: usize, seed: u64) -> Vec<Mutant> {
    let mut random = fastrand::Rng::with_seed(seed);
    random.shuffle(&mut mutants);
    mutants.truncate(size);
    mutants
}

/// Those with these names.
pub(crate) fn named(mutants: Vec<Mutant>, names: &[String]) -> Result<Vec<Mutant>> {
    for name in names {
        let known = mutants.iter().any(|mutant| mutant.to_string() == *name);
        ensure!(known, "--replay {name}: there is no such mutant of an instruction that these checks run");
    }
    Ok(mutants.into_iter().filter(|mutant| names.contains(&mutant.to_string())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Code;

    fn functions() -> Vec<FunctionCode> {
        let part = Code {
            symbol: "f".into(),
            start: 0x1000,
            fingerprint: "0badcafe".into(),
            words: vec![0xb400_0040, 0x9400_0001, 0x9400_0001, 0xd65f_03c0],
            ran: vec![true, true, false, true],
        };
        vec![FunctionCode { name: "f".into(), title: String::new(), parts: vec![part] }]
    }

    #[test]
    fn only_what_ran_has_mutants_and_their_names_find_them_again() {
        let all = all(&functions());
        let names: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["f+0x0:inverted", "f+0x4:no-call"]);
        assert_eq!(named(all.clone(), &names[1..]).unwrap(), all[1..]);
        assert!(named(all, &["f+0x8:no-call".to_owned()]).unwrap_err().to_string().contains("no such mutant"));
    }

    #[test]
    fn a_sample_is_repeated_by_its_seed_and_a_smaller_one_is_its_beginning() {
        let all: Vec<_> = (0..50).flat_map(|_| all(&functions())).collect();
        let all: Vec<_> = (0..).zip(all).map(|(offset, mutant)| Mutant { offset, ..mutant }).collect();
        let ten = sample(all.clone(), 10, 1);
        assert_eq!((ten.len(), &ten), (10, &sample(all.clone(), 10, 1)));
        assert_eq!(sample(all.clone(), 4, 1), ten[..4]);
        assert_ne!(sample(all, 10, 2), ten);
    }
}
