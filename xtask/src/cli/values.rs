//! Values of options: what each may be, and what is said where it is not.

use std::ops::RangeInclusive;
use std::time::Duration;

use vtick_shell::values;

/// Parameters that can stand on a kernel's command line (arm64: COMMAND_LINE_SIZE is 2048, and it has ours, too).
pub(super) fn parameters(name: &str, value: String) -> Result<String, String> {
    const LONGEST: usize = 1500;
    match value {
        long if long.len() > LONGEST => Err(format!("{name}: {} bytes; a kernel takes {LONGEST}", long.len())),
        odd if odd.chars().any(char::is_control) => Err(format!("{name}: a kernel's command line is one line of text")),
        value => Ok(value),
    }
}

/// A name that can be a file's.
pub(super) fn saved_name(name: String) -> Result<String, String> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c)) && !name.starts_with('.');
    if plain { Ok(name) } else { Err(format!("--save {name}: a name is letters, digits, and . _ - +")) }
}

pub(super) fn choice<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        format!("{name} {value}: one of {} is possible", words.join(", "))
    })
}

/// Megabytes of memory: a number of them, or of what its letter says.
pub(super) fn megabytes(name: &str, value: &str) -> Result<u32, String> {
    let size = values::bytes(value, 1 << 20).and_then(|bytes| u32::try_from(bytes >> 20).ok());
    size.filter(|size| (128..=1 << 20).contains(size))
        .ok_or_else(|| format!("{name} {value}: a size from 128M to 1024G is needed, such as 2048 (megabytes) or 3G"))
}

/// A number of this range, or what is needed instead.
pub(crate) fn number(name: &str, value: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{name} {value}: a number from {} to {} is needed", range.start(), range.end()))
}

/// Seconds, or a number with its unit.
pub(super) fn duration(name: &str, value: &str) -> Result<Duration, String> {
    values::duration(value).ok_or_else(|| format!("{name} {value}: seconds, or a number with s, m or h, are needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_megabytes_or_has_its_unit_and_lies_in_a_range() {
        for (value, due) in [("2048", 2048), ("512M", 512), ("3G", 3072), ("1048576k", 1024)] {
            assert_eq!(megabytes("--memory", value), Ok(due), "{value}");
        }
        for wrong in ["64M", "2T", "G", "99999999999G"] {
            let why = megabytes("--memory", wrong).unwrap_err();
            assert!(why.starts_with(&format!("--memory {wrong}: a size from 128M to 1024G")), "{why}");
        }
    }
}
