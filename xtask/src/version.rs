//! Order of Debian version numbers (deb-version(7)).

use std::cmp::Ordering;

/// Compares two versions.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let epoch =
        |v: &str| v.split_once(':').map_or((0, v.to_owned()), |(e, rest)| (e.parse().unwrap_or(0), rest.into()));
    let ((epoch_a, a), (epoch_b, b)) = (epoch(a), epoch(b));
    // The revision is split off at the last hyphen; an absent one is the smallest.
    let revision = |v: &str| v.rsplit_once('-').map_or((v.to_owned(), String::new()), |(u, r)| (u.into(), r.into()));
    let ((a, revision_a), (b, revision_b)) = (revision(&a), revision(&b));
    epoch_a.cmp(&epoch_b).then_with(|| compare_part(&a, &b)).then_with(|| compare_part(&revision_a, &revision_b))
}

/// Alternates between the longest runs of non-digits and of digits.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split(a, |c| !c.is_ascii_digit());
        let (text_b, rest_b) = split(b, |c| !c.is_ascii_digit());
        let (number_a, rest_a) = split(rest_a, |c| c.is_ascii_digit());
        let (number_b, rest_b) = split(rest_b, |c| c.is_ascii_digit());
        let order = compare_text(text_a, text_b).then_with(|| {
            let value = |digits: &str| digits.parse::<u64>().unwrap_or(0);
            value(number_a).cmp(&value(number_b))
        });
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn split(text: &str, inside: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !inside(c)).unwrap_or(text.len()))
}

/// A tilde sorts before everything, even the end; letters before the rest.
fn compare_text(a: &str, b: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => c as i32,
        Some(c) => c as i32 + 0x100,
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) if rank(x) != rank(y) => return rank(x).cmp(&rank(y)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        let ascending = [
            "6.1.0-9",
            "6.1.176-1",
            "6.12.9-1",
            "6.12.117-1~bpo12+1",
            "6.12.117-1~deb12u1",
            "6.12.117-1",
            "6.12.117-1+b1",
            "6.12.117-2",
            "7.3.4-1~bpo13+1",
            "7.3.4-1",
            "1:0.1-1",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }
}
