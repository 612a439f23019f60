//! `bisect`: the two neighbouring kernels of the archive between which a check's verdict changed.

use anyhow::{Result, bail};

use super::check::arguments_in_host;
use super::survive::survive;
use super::{CANNOT_RUN, plan, programs};
use crate::cache::Cache;
use crate::cli::Options;
use crate::kernel;
use crate::process::Interrupted;

/// `cargo xtask bisect`.
pub(crate) fn bisect(cache: &Cache, options: &Options) -> Result<i32> {
    let (Some(good), Some(bad)) = (&options.good, &options.bad) else {
        bail!(
            "bisect takes a kernel on which the check holds and one on which it does not: --good debian:A --bad debian:B"
        );
    };
    if options.forwarded.is_empty() {
        bail!("bisect takes the name of a check; `cargo xtask test --list` has them all");
    }
    if !options.kernels.is_empty() {
        bail!("bisect chooses the kernels itself, between --good and --bad: --kernel does not apply");
    }
    if let Some(status) = plan("test", &options.forwarded)? {
        return Ok(status);
    }
    let kernels = kernel::between(cache, good, bad, options.refresh)?;
    println!("{} kernels of the archive from {} to {}", kernels.len(), kernels[0], kernels[kernels.len() - 1]);
    let programs = programs(cache, options)?;
    let (argv, files) = arguments_in_host("test", options)?;
    let mut runs = 0;
    let found = search(kernels.len(), true, |index| {
        let name = &kernels[index];
        let status = kernel::obtain(cache, name, false).and_then(|kernel| {
            runs += 1;
            Ok(survive(options, &programs, &kernel, (&argv, &files), !options.verbose)?.0)
        });
        let (verdict, said) = match status {
            Ok(0) => (Some(true), "good".to_owned()),
            Ok(1) => (Some(false), "bad".to_owned()),
            Ok(status) => (None, format!("no verdict (status {status})")),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => (None, format!("no verdict: {}", format!("{error:#}").lines().next().unwrap_or_default())),
        };
        println!("{name:<32} {said}");
        Ok(verdict)
    })?;
    match found {
        Found::Between(first, second) => {
            let skipped = second - first - 1;
            println!("\n{}: good\n{}: bad", kernels[first], kernels[second]);
            match skipped {
                0 => println!("These two are neighbours in the archive; {runs} runs"),
                _ => println!("Of the {skipped} between them there is no verdict; {runs} runs"),
            }
            Ok(0)
        }
        Found::NotAsSaid(index, said) => {
            let [said, seen] = if said { ["good", "bad"] } else { ["bad", "good"] };
            eprintln!("error: --{said} {}: it is {seen}", kernels[index]);
            Ok(CANNOT_RUN)
        }
        Found::Nothing(index) => {
            eprintln!("error: {}: there is no verdict of it, and none of its neighbours decides", kernels[index]);
            Ok(CANNOT_RUN)
        }
    }
}

/// What a search comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The verdicts of these two were seen and differ, and there is none between them.
    Between(usize, usize),
    /// This one is not what it was said to be.
    NotAsSaid(usize, bool),
    /// Of this end there is no verdict.
    Nothing(usize),
}

/// Looks for the change among `count` (two at least), the first of which is said to be `first`, and the last the opposite.
/// An end is only looked at if nothing else decides: at most one look more than halving takes, where each look gives a verdict.
fn search(count: usize, first: bool, mut look: impl FnMut(usize) -> Result<Option<bool>>) -> Result<Found> {
    let (mut low, mut high) = (0_usize, count - 1);
    let mut seen = vec![false; count];
    let mut silent = vec![false; count];
    loop {
        let middle = low.midpoint(high);
        let untried = (low + 1..high).filter(|&index| !silent[index]);
        let Some(next) = untried.min_by_key(|&index| index.abs_diff(middle)) else { break };
        match look(next)? {
            Some(verdict) => {
                seen[next] = true;
                if verdict == first { low = next } else { high = next }
            }
            None => silent[next] = true,
        }
    }
    for (end, said) in [(low, first), (high, !first)] {
        if !seen[end] {
            match look(end)? {
                Some(verdict) if verdict == said => {}
                Some(_) => return Ok(Found::NotAsSaid(end, said)),
                None => return Ok(Found::Nothing(end)),
            }
        }
    }
    Ok(Found::Between(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches among verdicts, and counts how often it looked.
    fn found(verdicts: &[Option<bool>]) -> (Found, usize) {
        let mut looks = 0;
        let found = search(verdicts.len(), true, |index| {
            looks += 1;
            Ok(verdicts[index])
        });
        (found.unwrap(), looks)
    }

    #[test]
    fn wherever_the_change_is_it_is_found_in_few_looks() {
        for count in 2..80_usize {
            for change in 1..count {
                let verdicts: Vec<_> = (0..count).map(|index| Some(index < change)).collect();
                let (found, looks) = found(&verdicts);
                assert_eq!(found, Found::Between(change - 1, change), "{change} of {count}");
                let halvings = (count - 1).next_power_of_two().ilog2() as usize;
                let most = if count == 2 { 2 } else { halvings + 1 };
                assert!(looks <= most, "{looks} looks for {change} of {count}");
            }
        }
    }

    #[test]
    fn what_says_nothing_is_passed_over() {
        let (good, bad) = (Some(true), Some(false));
        assert_eq!(found(&[good, good, None, None, bad, bad]).0, Found::Between(1, 4));
        assert_eq!(found(&[good, None, bad]).0, Found::Between(0, 2));
        assert_eq!(found(&[None, None, bad]).0, Found::Nothing(0));
    }

    #[test]
    fn an_end_that_is_not_as_said_is_named() {
        assert_eq!(found(&[Some(false); 5]).0, Found::NotAsSaid(0, true));
        assert_eq!(found(&[Some(true); 5]).0, Found::NotAsSaid(4, false));
    }
}
