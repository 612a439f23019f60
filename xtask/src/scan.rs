//! Finds instructions in the guest's MMIO helpers that KVM could not emulate.
//!
//! An access to memory that isn't there reaches userspace only if the CPU describes it in ESR_EL2 (Arm ARM, ISS encoding
//! for an exception from a Data Abort: ISV). It does that for loads and stores of one general-purpose register, not
//! with writeback, not for pairs, exclusives, atomics or SIMD registers. Compilers are free to choose any of these, so
//! what they chose is read back.

use std::fmt;

/// What the helpers' names start with.
const HELPER: &str = "mmio_";
/// Loads and stores that are described, in their plain form `op reg, [xN]`.
const PLAIN: [&str; 9] = ["ldr", "ldrb", "ldrh", "ldrsb", "ldrsh", "ldrsw", "str", "strb", "strh"];

/// An instruction that must not be there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    symbol: String,
    address: String,
    instruction: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: KVM cannot emulate `{}`", self.symbol, self.address, self.instruction)
    }
}

/// Looks through `llvm-objdump -d --no-show-raw-insn` of the guest. An error if the helpers aren't there or touch no memory:
/// then this looked in the wrong place.
pub(crate) fn scan(disassembly: &str) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    let mut helper: Option<(String, usize)> = None;
    let mut helpers = 0;
    for line in disassembly.lines().chain(["0 <end>:"]) {
        if let Some(symbol) = symbol(line) {
            if let Some((name, 0)) = helper.take() {
                return Err(format!("the MMIO helper {name} has no load or store in it"));
            }
            let name = symbol.rsplit("::").next().unwrap_or(symbol);
            helper = name.starts_with(HELPER).then(|| (symbol.to_owned(), 0));
            helpers += usize::from(helper.is_some());
        } else if let Some((symbol, accesses)) = &mut helper
            && let Some((address, instruction)) = instruction(line)
            && touches_memory(&instruction)
        {
            *accesses += 1;
            if !is_plain(&instruction) {
                findings.push(Finding { symbol: symbol.clone(), address: address.to_owned(), instruction });
            }
        }
    }
    if helpers == 0 {
        Err(format!("the guest has no function {HELPER}*: the build cannot check its MMIO"))
    } else {
        Ok(findings)
    }
}

/// `0000000040080000 <name>:`
fn symbol(line: &str) -> Option<&str> {
    let (address, rest) = line.split_once(" <")?;
    let is_address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit());
    rest.strip_suffix(">:").filter(|_| is_address)
}

/// `40080010: <tab>ldr<tab>w0, [x0]`, with single blanks between the words.
fn instruction(line: &str) -> Option<(&str, String)> {
    let (address, text) = line.split_once(':')?;
    let address = address.trim();
    let text = text.split("//").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((address, text))
}

fn touches_memory(instruction: &str) -> bool {
    instruction.contains('[') && !instruction.starts_with("prfm")
}

fn is_plain(instruction: &str) -> bool {
    let Some((mnemonic, operands)) = instruction.split_once(' ') else { return false };
    let Some((register, address)) = operands.split_once(", ") else { return false };
    let general = |name: &str| {
        let number = name.strip_prefix(['w', 'x']).unwrap_or_default();
        number == "zr" || number.parse::<u8>().is_ok_and(|number| number <= 30)
    };
    let base = address.strip_prefix("[x").and_then(|rest| rest.strip_suffix(']'));
    PLAIN.contains(&mnemonic) && general(register) && base.is_some_and(|n| n.parse::<u8>().is_ok_and(|n| n <= 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, body: &[&str]) -> String {
        let lines: Vec<_> = body.iter().map(|text| format!("40080010:      \t{text}")).collect();
        format!("0000000040080010 <{name}>:\n{}\n\n", lines.join("\n"))
    }

    #[test]
    fn plain_loads_and_stores_pass_under_mangled_and_plain_names() {
        for (name, access) in [
            ("mmio_read32", "ldr\tw0, [x0]"),
            ("vtick_guest::mmio::mmio_read8", "ldrb\tw0, [x0]"),
            ("mmio_write16", "strh\tw1, [x0]"),
            ("mmio_write64", "str\txzr, [x30]"),
        ] {
            let text = function(name, &["dsb\tsy", access, "ret"]);
            assert_eq!(scan(&text), Ok(vec![]), "{access}");
        }
    }

    #[test]
    fn every_form_without_a_syndrome_is_found_and_named() {
        for access in [
            "str\tw8, [x0], #4",
            "str\tw8, [x0, #4]!",
            "ldp\tw0, w1, [x0]",
            "stp\tx0, x1, [x2]",
            "str\tq0, [x0]",
            "ldr\ts0, [x0]",
            "ld1\t{ v0.4s }, [x0]",
            "ldaxr\tw0, [x0]",
            "stxr\tw1, w0, [x2]",
            "ldadd\tw0, w1, [x2]",
            "cas\tw0, w1, [x2]",
            "ldar\tw0, [x0]",
            "ldr\tw0, [x0, x1, lsl #2]",
            "str\tw0, [sp]",
            "ldtr\tw0, [x0]",
        ] {
            let text = function("mmio_write32", &[access, "ret"]);
            let expected = Finding {
                symbol: "mmio_write32".into(),
                address: "40080010".into(),
                instruction: access.replace('\t', " "),
            };
            assert_eq!(scan(&text), Ok(vec![expected]), "{access}");
        }
    }

    #[test]
    fn other_functions_may_do_as_they_like() {
        let text =
            function("memcpy", &["ldp\tx0, x1, [x2], #16"]) + &function("mmio_read32", &["ldr\tw0, [x0]", "ret"]);
        assert_eq!(scan(&text), Ok(vec![]));
    }

    #[test]
    fn a_guest_without_helpers_or_with_an_empty_one_is_an_error() {
        assert!(scan(&function("main", &["ret"])).unwrap_err().contains("no function mmio_*"));
        assert!(scan(&function("mmio_read32", &["ret"])).unwrap_err().contains("mmio_read32 has no load or store"));
    }
}
