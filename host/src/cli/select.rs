//! Picking things by name.

/// What is picked, and the option that lists it.
pub(super) struct Kind(pub(super) &'static str, pub(super) &'static str);

pub(super) const CHECK: Kind = Kind("check", "--list");
pub(super) const SCENARIO: Kind = Kind("scenario", "--list");
pub(super) const FAULT: Kind = Kind("fault", "--inject list");

/// The items whose name is, or else contains, one of `wanted`; all if nothing is wanted. An unknown name is an error
/// that shows near ones.
pub(super) fn select<T>(
    Kind(what, list): Kind,
    items: impl Iterator<Item = T>,
    name: impl Fn(&T) -> &str,
    wanted: &[String],
) -> anyhow::Result<Vec<T>> {
    let items: Vec<T> = items.collect();
    if wanted.is_empty() {
        return Ok(items);
    }
    let mut chosen = vec![false; items.len()];
    for pattern in wanted {
        let exact = items.iter().position(|item| name(item) == pattern);
        let matching: Vec<usize> = match exact {
            Some(index) => vec![index],
            None => (0..items.len()).filter(|&index| name(&items[index]).contains(pattern.as_str())).collect(),
        };
        if matching.is_empty() {
            let near = near(pattern, items.iter().map(&name));
            anyhow::bail!("no {what} named {pattern};{near} {list} shows all");
        }
        matching.into_iter().for_each(|index| chosen[index] = true);
    }
    Ok(items.into_iter().zip(chosen).filter_map(|(item, chosen)| chosen.then_some(item)).collect())
}

/// Names that may have been meant, with what stands before them and behind.
fn near<'a>(pattern: &str, names: impl Iterator<Item = &'a str>) -> String {
    /// Of Jaro and Winkler's similarity; below it are names that have no more than letters in common.
    const ALIKE: f64 = 0.75;
    let mut scored: Vec<(f64, &str)> = names.map(|name| (likeness(pattern, name), name)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = scored.iter().take(3).filter(|(score, _)| *score > ALIKE).map(|(_, name)| *name).collect();
    match near.split_last() {
        None => String::new(),
        Some((only, [])) => format!(" did you mean {only}?"),
        Some((last, others)) => format!(" did you mean {} or {last}?", others.join(", ")),
    }
}

/// How alike two names are: as a whole, or word by word where the pattern is only some words of the name.
fn likeness(pattern: &str, name: &str) -> f64 {
    /// Words have fewer letters, of which more are in common by chance.
    const WORDS: f64 = 0.9;
    let best = |word: &str| name.split('-').map(|other| strsim::jaro_winkler(word, other)).fold(0.0, f64::max);
    let words: Vec<f64> = pattern.split(['-', '_', ' ']).filter(|word| !word.is_empty()).map(best).collect();
    let by_word = words.iter().sum::<f64>() / words.len().max(1) as f64;
    strsim::jaro_winkler(pattern, name).max(WORDS * by_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["wfi-wakes-masked", "wfi-wakes-unmasked", "masked-timer"];

    fn pick(wanted: &[&str]) -> anyhow::Result<Vec<&'static str>> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        select(CHECK, NAMES.into_iter(), |name| name, &wanted)
    }

    #[test]
    fn an_exact_name_picks_only_that_one_and_a_part_of_names_picks_all_that_have_it() {
        assert_eq!(pick(&["wfi-wakes-masked"]).unwrap(), ["wfi-wakes-masked"]);
        assert_eq!(pick(&["wfi"]).unwrap(), ["wfi-wakes-masked", "wfi-wakes-unmasked"]);
        assert_eq!(pick(&[]).unwrap().len(), 3);
    }

    #[test]
    fn an_unknown_name_is_refused_with_near_ones() {
        let error = pick(&["wfi-wake-maskd"]).unwrap_err().to_string();
        assert!(error.starts_with("no check named wfi-wake-maskd; did you mean wfi-wakes-masked or "), "{error}");
        assert!(error.ends_with("? --list shows all"), "{error}");
        let error = pick(&["nosuch"]).unwrap_err().to_string();
        assert_eq!(error, "no check named nosuch; --list shows all");
    }

    #[test]
    fn a_misspelt_word_of_a_name_is_refused_with_the_names_that_have_it() {
        let names = ["vtimer-wfi-neighbour", "periodic-saturated", "hvc"];
        let pick = |wanted: &str| select(SCENARIO, names.into_iter(), |name| name, &[wanted.to_owned()]).unwrap_err();
        assert!(pick("saturatd").to_string().contains("did you mean periodic-saturated?"), "{}", pick("saturatd"));
        assert!(pick("neighbor").to_string().contains("did you mean vtimer-wfi-neighbour?"), "{}", pick("neighbor"));
    }
}
