//! Values of options that both programs take: sizes, lengths of time, shares of a work.

use std::time::Duration;

/// The bytes of a size: 512M, 3G, 64k, 1GiB, 200MB. A number without a letter counts units of `plain` bytes. `None`: the
/// text is no size, or the size is beyond 64 bits.
pub fn bytes(text: &str, plain: u64) -> Option<u64> {
    let letters = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - letters.len()];
    let unit = match letters.to_ascii_lowercase().as_str() {
        "" => plain,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Seconds, or a number with s, m or h behind it. `None`: the text is neither, or no time at all.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "m" => 60,
        "h" => 3600,
        _ => 1,
    };
    let seconds = number.parse::<u32>().ok()?.checked_mul(factor)?;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// A share of a work: I/N is the Ith of N, counted from 1. `None`: the text is no such share.
pub fn share(text: &str) -> Option<(usize, usize)> {
    let (number, of) = text.split_once('/')?;
    let (number, of) = (number.parse().ok()?, of.parse().ok()?);
    (1..=of).contains(&number).then_some((number, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit_or_is_in_seconds() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(
            (seconds("90"), seconds("90s"), seconds("10m"), seconds("2h")),
            (Some(90), Some(90), Some(600), Some(7200))
        );
        for wrong in ["", "m", "0", "-1", "1.5m", "99999999999", "5d", "2000000h"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn shares_are_counted_from_one() {
        assert_eq!((share("1/1"), share("2/3"), share("3/3")), (Some((1, 1)), Some((2, 3)), Some((3, 3))));
        for wrong in ["0/3", "4/3", "1", "0/0", "a/b", "-1/2", ""] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_size_is_a_number_or_has_its_unit() {
        for (text, due) in [
            ("33554432", 33_554_432),
            ("64k", 64 << 10),
            ("512M", 512 << 20),
            ("200mb", 200 << 20),
            ("3G", 3 << 30),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(bytes(text, 1), Some(due), "{text}");
        }
        assert_eq!(bytes("2048", 1 << 20), Some(2 << 30));
    }

    #[test]
    fn anything_else_is_none() {
        for wrong in ["", "M", "12x", "1MG", "-1", "+1G", "1.5G", "3 G", "1i", "1Gb i", "99999999999G"] {
            assert_eq!(bytes(wrong, 1), None, "{wrong}");
        }
    }
}
