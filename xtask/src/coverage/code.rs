//! The code of the functions that are looked at, and which of its instructions ran.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::functions::Function;
use super::symbols::{Part, Symbols};
use crate::a64::{self, Flow};

/// A piece of code under one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// The symbol.
    pub(crate) symbol: String,
    /// Address of the first instruction.
    pub(crate) start: u64,
    /// Tells this code from other code of the same symbol, wherever the linker puts it (eight hexadecimal digits).
    pub(crate) fingerprint: String,
    /// The instructions, without the padding behind them: as they stood in memory where they ran, otherwise as they stand
    /// in the kernel's Image.
    pub(crate) words: Vec<u32>,
    /// For each instruction, whether it ran.
    pub(crate) ran: Vec<bool>,
}

/// A function of the list as one kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunctionCode {
    /// The list's name of it.
    pub(crate) name: String,
    /// The heading that it stands under.
    pub(crate) title: String,
    /// Its code; nothing if the kernel has no such function, or has inlined it everywhere.
    pub(crate) parts: Vec<Code>,
}

impl Code {
    fn new(part: &Part, words: Vec<u32>) -> Code {
        let padding = |word: &&u32| **word == a64::NOP || **word == 0;
        let length = words.len() - words.iter().rev().take_while(padding).count();
        let words = words[..length].to_vec();
        let fingerprint = format!("{:08x}", fingerprint(&words, part.range.start));
        let ran = vec![false; length];
        Code { symbol: part.symbol.clone(), start: part.range.start, fingerprint, words, ran }
    }

    /// Each instruction's address and word.
    pub(crate) fn instructions(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.words.iter().enumerate().map(|(index, &word)| (self.start + 4 * index as u64, word))
    }

    /// Takes in what ran.
    fn take(&mut self, log: &BTreeMap<u64, u32>) {
        let end = self.start + 4 * self.words.len() as u64;
        for (address, &word) in log.range(self.start..end) {
            let index = ((address - self.start) / 4) as usize;
            (self.words[index], self.ran[index]) = (word, true);
        }
    }
}

/// The code of each function of the list, of which nothing has run yet. `image` is the kernel's Image.
pub(crate) fn of(functions: &[Function], symbols: &Symbols, image: &[u8]) -> Result<Vec<FunctionCode>> {
    let code = |part: &Part| {
        let outside = || format!("{} is not within the kernel's Image", part.symbol);
        let from = symbols.offset(part.range.start).with_context(outside)?;
        let length = (part.range.end - part.range.start) as usize / 4 * 4;
        let bytes = image.get(from..from + length).with_context(outside)?;
        let (words, _) = bytes.as_chunks::<4>();
        Ok(Code::new(part, words.iter().map(|word| u32::from_le_bytes(*word)).collect()))
    };
    functions
        .iter()
        .map(|function| {
            let parts = function.names.iter().flat_map(|name| symbols.parts(name));
            let parts = parts.map(|part| code(&part)).collect::<Result<Vec<_>>>()?;
            Ok(FunctionCode { name: function.names[0].clone(), title: function.title.clone(), parts })
        })
        .collect()
}

/// Takes a log's instructions into the functions' code.
pub(crate) fn take(functions: &mut [FunctionCode], log: &BTreeMap<u64, u32>) {
    functions.iter_mut().flat_map(|function| &mut function.parts).for_each(|part| part.take(log));
}

/// Takes in what ran of the same kernel elsewhere.
pub(crate) fn merge(into: &mut [FunctionCode], from: &[FunctionCode]) {
    let mut ran = BTreeMap::new();
    for part in from.iter().flat_map(|function| &function.parts) {
        ran.extend(part.instructions().zip(&part.ran).filter(|(_, ran)| **ran).map(|(instruction, _)| instruction));
    }
    take(into, &ran);
}

/// A sum over the instructions that does not depend on where this code and what it refers to lie.
fn fingerprint(words: &[u32], start: u64) -> u32 {
    let end = start + 4 * words.len() as u64;
    let (mut pages, mut sum) = (0_u32, flate2::Crc::new());
    for (index, &word) in words.iter().enumerate() {
        let address = start + 4 * index as u64;
        let source = 1 << (word >> 5 & 31);
        let kept = match a64::flow(word, address) {
            Flow::Call(_) => word & 0xfc00_0000,
            Flow::Jump(target) if !(start..end).contains(&target) => word & 0xfc00_0000,
            _ if word & 0x9f00_0000 == 0x9000_0000 => {
                // ADRP: the register now holds an address, whose low bits the next instructions add.
                pages |= 1 << (word & 31);
                word & 0x9f00_001f
            }
            _ if pages & source != 0 && (is_add(word) || is_load_or_store(word)) => word & !(0xfff << 10),
            _ => word,
        };
        sum.update(&kept.to_le_bytes());
    }
    sum.sum()
}

/// ADD (immediate).
fn is_add(word: u32) -> bool {
    word & 0x7f80_0000 == 0x1100_0000
}

/// A load or store with an unsigned offset.
fn is_load_or_store(word: u32) -> bool {
    word & 0x3b00_0000 == 0x3900_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "0000000000001000 T _text\n0000000000001008 t work\n0000000000001020 t next\n";

    fn functions(text: &[&str]) -> Vec<Function> {
        text.iter().map(|name| Function { title: "t".into(), names: vec![(*name).into()] }).collect()
    }

    fn image(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn code_is_found_in_the_image_without_its_padding_and_takes_in_what_ran_as_it_ran() {
        let symbols = Symbols::parse(KALLSYMS).unwrap();
        let image = image(&[0, 0, 0xaa1e_03e9, a64::NOP, 0xd65f_03c0, a64::NOP, a64::NOP, 0]);
        let mut code = of(&functions(&["work", "absent"]), &symbols, &image).unwrap();
        assert!(code[1].parts.is_empty());
        let log = BTreeMap::from([(0x1004, 1), (0x100c, 0x1400_0001), (0x1014, a64::NOP)]);
        take(&mut code, &log);
        let part = &code[0].parts[0];
        assert_eq!(part.words, [0xaa1e_03e9, 0x1400_0001, 0xd65f_03c0]);
        assert_eq!(part.ran, [false, true, false]);
        let mut other = of(&functions(&["work"]), &symbols, &image).unwrap();
        merge(&mut other, &code);
        assert_eq!(other[0].parts, code[0].parts);
        assert!(of(&functions(&["work"]), &symbols, &image[..16]).is_err());
    }

    #[test]
    fn a_fingerprint_is_that_of_the_code_and_not_of_its_place() {
        // adrp x19, .; add x19, x19, #0xb68; bl; cbz x0, +8; ret
        let code = [0xb000_e933, 0x912d_a273, 0x9403_4c6b, 0xb400_0040, 0xd65f_03c0];
        let moved = [0x9000_0013, 0x9100_4273, 0x9400_0001, 0xb400_0040, 0xd65f_03c0];
        let other = [0xb000_e933, 0x912d_a273, 0x9403_4c6b, 0xb400_0060, 0xd65f_03c0];
        assert_eq!(fingerprint(&code, 0x1000), fingerprint(&moved, 0x9000));
        assert_ne!(fingerprint(&code, 0x1000), fingerprint(&other, 0x1000));
    }
}
