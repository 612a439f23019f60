//! Where the kernel's functions are: /proc/kallsyms of the running host (Linux, kernel/kallsyms.c).

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result, ensure};

/// Where an Image may start: at multiples of 2 MiB.
const ALIGNMENT: u64 = 2 << 20;

/// Addresses of a kernel's symbols.
#[derive(Debug)]
pub(crate) struct Symbols {
    /// Where the Image starts.
    text: u64,
    /// Functions, by address. Of several names for one address the first one counts.
    functions: BTreeMap<u64, String>,
    /// Every address that has a name: where a function ends.
    all: Vec<u64>,
}

/// One piece of code that the compiler made of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The symbol, such as `kvm_arm_timer_read.isra.0`.
    pub(crate) symbol: String,
    /// Where it lies.
    pub(crate) range: Range<u64>,
}

impl Symbols {
    /// Reads /proc/kallsyms: `address type name`, with the module behind it for those of modules.
    pub(crate) fn parse(kallsyms: &str) -> Result<Symbols> {
        let (mut text, mut functions, mut all) = (None, BTreeMap::new(), Vec::new());
        for line in kallsyms.lines() {
            let mut words = line.split_whitespace();
            let (Some(address), Some(kind), Some(name), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let address = u64::from_str_radix(address, 16).with_context(|| format!("no line of kallsyms: {line}"))?;
            all.push(address);
            match name {
                "_text" => text = Some(address),
                // Linux 6.1 names no _text: the Image's start, which is aligned, lies before the first code (Linux,
                // Documentation/arch/arm64/booting.rst).
                "_stext" => text = text.or(Some(address / ALIGNMENT * ALIGNMENT)),
                _ if "tTwW".contains(kind) => drop(functions.entry(address).or_insert_with(|| name.to_owned())),
                _ => {}
            }
        }
        all.sort_unstable();
        all.dedup();
        let text = text.context("the kernel's symbols have no _text: it needs CONFIG_KALLSYMS=y")?;
        ensure!(text != 0, "the kernel hides the addresses of its symbols (kernel.kptr_restrict)");
        Ok(Symbols { text, functions, all })
    }

    /// The parts of a function: the symbol itself, and those that the compiler named after it.
    pub(crate) fn parts(&self, name: &str) -> Vec<Part> {
        let is_part = |symbol: &str| symbol.strip_prefix(name).is_some_and(|rest| rest.is_empty() || of_compiler(rest));
        let found = self.functions.iter().filter(|(_, symbol)| is_part(symbol));
        found
            .filter_map(|(&start, symbol)| Some(Part { symbol: symbol.clone(), range: start..self.end(start)? }))
            .collect()
    }

    /// The function at an address, if it begins there.
    pub(crate) fn at(&self, address: u64) -> Option<&str> {
        self.functions.get(&address).map(String::as_str)
    }

    /// Only these addresses, each with its name.
    pub(crate) fn of(functions: &BTreeMap<u64, String>) -> Symbols {
        Symbols { text: 0, functions: functions.clone(), all: Vec::new() }
    }

    /// The symbols with these names.
    pub(crate) fn named(&self, names: &[&str]) -> BTreeMap<u64, String> {
        let named = self.functions.iter().filter(|(_, symbol)| names.contains(&symbol.as_str()));
        named.map(|(&address, symbol)| (address, symbol.clone())).collect()
    }

    /// Where in the Image the code of an address is.
    pub(crate) fn offset(&self, address: u64) -> Option<usize> {
        usize::try_from(address.checked_sub(self.text)?).ok()
    }

    fn end(&self, start: u64) -> Option<u64> {
        self.all.get(self.all.partition_point(|&address| address <= start)).copied()
    }
}

/// Whether this stands behind the name of a function of which the compiler has made another: `.isra.0`, `.cold`, ...
fn of_compiler(suffix: &str) -> bool {
    let mut words = suffix.strip_prefix('.').into_iter().flat_map(|rest| rest.split('.'));
    suffix.starts_with('.')
        && words.all(|word| {
            ["isra", "part", "constprop", "cold"].contains(&word) || word.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "ffff800080000000 T _text\n\
                            ffff800080010000 t timer_get\n\
                            ffff800080010008 t timer_get.isra.0\n\
                            ffff800080010020 t timer_get_all\n\
                            ffff800080010028 T alias_of_cold\n\
                            ffff800080010030 t timer_get.part.0.cold\n\
                            ffff800080010044 d data\n\
                            ffff8000000a0000 t timer_get\t[module]\n";

    #[test]
    fn a_function_is_all_that_the_compiler_made_of_it_and_ends_at_the_next_symbol() {
        let symbols = Symbols::parse(KALLSYMS).unwrap();
        let base = 0xffff_8000_8001_0000;
        let parts: Vec<_> = symbols.parts("timer_get").into_iter().map(|p| (p.symbol, p.range)).collect();
        let due = [
            ("timer_get", base..base + 8),
            ("timer_get.isra.0", base + 8..base + 0x20),
            ("timer_get.part.0.cold", base + 0x30..base + 0x44),
        ];
        assert_eq!(parts, due.map(|(name, range)| (name.to_owned(), range)));
        assert_eq!(symbols.offset(base), Some(0x1_0000));
        assert_eq!(symbols.at(base + 0x20), Some("timer_get_all"));
        assert_eq!(symbols.named(&["timer_get_all"]).len(), 1);
        assert!(symbols.parts("timer").is_empty());
    }

    #[test]
    fn an_image_without_a_name_for_its_start_starts_before_its_code() {
        let symbols = Symbols::parse("ffff800008010000 t gic_handle_irq\nffff800008010000 T _stext\n").unwrap();
        assert_eq!(symbols.offset(0xffff_8000_0801_0000), Some(0x1_0000));
        let both = Symbols::parse("ffff800080010000 T _stext\nffff800080008000 T _text\n").unwrap();
        assert_eq!(both.offset(0xffff_8000_8000_8000), Some(0), "its own name counts");
    }

    #[test]
    fn addresses_that_are_hidden_or_absent_are_an_error() {
        assert!(Symbols::parse("0000000000000000 T _text\n").unwrap_err().to_string().contains("kptr_restrict"));
        assert!(Symbols::parse("").unwrap_err().to_string().contains("CONFIG_KALLSYMS"));
    }
}
