//! `vtick test --disturb FIRST-LAST`: all checks with each of many seeds, and of them only what came out otherwise than it
//! should.

use anstream::println;

use super::terms::{REST, terms};
use crate::cli::Done;
use crate::kvm::Kvm;
use vtick_contract::fault::Described;
use vtick_contract::{Case, Check, Meaning, Tally};
use vtick_report::terminal::{self, Timelines};

/// After so many checks there is a word of how far it has come.
const SIGN_OF_LIFE: usize = 20;

/// One seed, or all from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seeds {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl std::str::FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let seeds = Seeds { first: number(first)?, last: number(last)? };
        if seeds.first > seeds.last { Err("the first is behind the last".to_owned()) } else { Ok(seeds) }
    }
}

/// Runs the checks with each of these seeds, and says what came out otherwise than it should.
pub(super) fn rehearse(
    chosen: &[&'static Check],
    seeds: std::ops::RangeInclusive<u64>,
    fault: Option<&Described>,
    ask_the_model: bool,
) -> anyhow::Result<Done> {
    let kvm = Kvm::open()?;
    kvm.require_the_mode()?;
    let host = kvm.describe();
    terminal::host(&host);
    let mut meanings = Vec::new();
    let (mut seeds_run, mut caught) = (0, 0);
    for seed in seeds {
        let (terms, _) = terms(&kvm, &host, Some(seed), ask_the_model);
        let before = meanings.len();
        let due = chosen.iter().filter(|check| fault.is_none_or(|fault| check.must_catch(fault.fault)));
        for (done, check) in due.enumerate() {
            // Whoever waits for a word from here is not to take this host for dead.
            if done > 0 && done.is_multiple_of(SIGN_OF_LIFE) {
                println!("seed {seed}: {done} checks so far");
            }
            let mut result = vtick_contract::run(&Case::Check(check), &host, terms, |program| {
                kvm.run(program, fault.map(|fault| fault.fault))
            });
            if fault.is_some() {
                result.expected = None;
            }
            meanings.push(result.meaning());
            let shown = match fault {
                None => matches!(result.meaning(), Meaning::Fail | Meaning::Disturbed | Meaning::HarnessError),
                Some(_) => result.meaning() != Meaning::Fail,
            };
            if shown {
                terminal::check(&result, Timelines::OfViolations);
            }
        }
        let tally = Tally::of(meanings[before..].iter().copied());
        seeds_run += 1;
        caught += usize::from(tally.violated > tally.expected);
        println!("seed {seed}: {tally}");
        std::thread::sleep(REST);
    }
    let tally = Tally::of(meanings);
    println!("\n{seeds_run} seeds: {tally}");
    if fault.is_some() {
        println!("caught with {caught} of {seeds_run} seeds");
    }
    Ok(Done::Ran(tally.violated == tally.expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_all_from_one_to_another() {
        assert_eq!("7".parse(), Ok(Seeds { first: 7, last: 7 }));
        assert_eq!("3-20".parse(), Ok(Seeds { first: 3, last: 20 }));
        assert_eq!("20-3".parse::<Seeds>(), Err("the first is behind the last".to_owned()));
        assert_eq!("a-3".parse::<Seeds>(), Err("a is no number".to_owned()));
    }
}
