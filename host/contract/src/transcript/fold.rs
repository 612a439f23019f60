//! A timeline for a person: what repeats is said once, and what is long has its middle left out.

/// A line of a timeline before it is folded.
pub(super) struct Line {
    /// When, in ticks; `None`: at no time of its own.
    pub(super) at: Option<i64>,
    /// What happened, without when: lines that say the same are alike.
    pub(super) what: String,
    /// More about when, which does not count for being alike.
    pub(super) aside: String,
}

impl Line {
    fn text(&self) -> String {
        let at = self.at.map_or_else(|| format!("{:>12}", ""), |at| format!("{at:>+12}"));
        format!("{at}  {}{}", self.what, self.aside)
    }
}

/// The longest group of lines that is looked for again behind itself.
const LONGEST_GROUP: usize = 4;
/// Groups in a row that are worth a line of their own.
const ENOUGH: usize = 4;

/// The lines as text, groups that repeat said once, with how often and how far apart they came.
pub(super) fn fold(lines: &[Line]) -> Vec<String> {
    let mut folded = Vec::new();
    let mut next = 0;
    while next < lines.len() {
        let rest = &lines[next..];
        let found = (1..=LONGEST_GROUP).map(|size| (size, repeats(rest, size))).find(|(_, times)| *times >= ENOUGH);
        let Some((size, times)) = found else {
            folded.push(rest[0].text());
            next += 1;
            continue;
        };
        let last = &rest[size * (times - 1)];
        let often = match (rest[0].at, last.at) {
            (Some(first), Some(last)) => {
                format!("{times} times, every {} ticks, the last at {last:+}", (last - first) / (times as i64 - 1))
            }
            _ => format!("{times} times"),
        };
        if size == 1 {
            folded.push(format!("{}, {often}", rest[0].text()));
        } else {
            folded.extend(rest[..size].iter().map(Line::text));
            folded.push(format!("{:>12}  the {size} lines above: {often}", ""));
        }
        next += size * times;
    }
    folded
}

/// How often the first `size` lines come in a row.
fn repeats(lines: &[Line], size: usize) -> usize {
    let Some(group) = lines.get(..size) else { return 0 };
    let alike = |chunk: &[Line]| chunk.iter().zip(group).all(|(a, b)| a.what == b.what && a.at.is_some());
    lines.chunks_exact(size).take_while(|chunk| alike(chunk)).count()
}

/// At most `most` lines: where there are more, those in the middle are counted.
pub fn shorten(lines: &[String], most: usize) -> Vec<String> {
    if lines.len() <= most {
        return lines.to_vec();
    }
    let last = most / 3;
    let first = most - last - 1;
    let (head, tail) = (&lines[..first], &lines[lines.len() - last..]);
    let left_out = lines.len() - first - last;
    let note = format!("{:>12}  ({left_out} lines are left out here; --timeline full shows all)", "");
    head.iter().chain([&note]).chain(tail).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, what: &str) -> Line {
        Line { at: Some(at), what: what.to_owned(), aside: format!(" (entered {:+})", at - 5) }
    }

    #[test]
    fn equal_lines_in_a_row_are_one_with_count_and_period() {
        let lines: Vec<_> = (0..5).map(|n| line(100 + 10 * n, "EINTR")).chain([line(200, "MMIO")]).collect();
        let due = [
            "        +100  EINTR (entered +95), 5 times, every 10 ticks, the last at +140",
            "        +200  MMIO (entered +195)",
        ];
        assert_eq!(fold(&lines), due);
        assert_eq!(fold(&lines[..3]).len(), 3, "three are shorter than what would be said of them");
    }

    #[test]
    fn a_group_that_repeats_is_shown_once() {
        let lines: Vec<_> = (0..20).map(|n| line(n, if n % 2 == 0 { "read" } else { "loop" })).collect();
        let folded = fold(&lines);
        assert_eq!(folded.len(), 3, "{folded:?}");
        assert_eq!(folded[2], "              the 2 lines above: 10 times, every 2 ticks, the last at +18");
    }

    #[test]
    fn what_is_long_keeps_its_start_and_its_end() {
        let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let short = shorten(&lines, 10);
        assert_eq!(short.len(), 10);
        assert_eq!((short[5].as_str(), short[7].as_str(), short[9].as_str()), ("5", "97", "99"));
        assert!(short[6].contains("(91 lines are left out here"), "{}", short[6]);
        assert_eq!(shorten(&lines, 100), lines);
    }
}
