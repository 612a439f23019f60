//! QEMU's log of the code that it translates (`-d in_asm`): a block is translated when it is about to run for the first
//! time, so that its instructions are those that ran.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The instructions that a log has, as they stood in memory, by address.
pub(crate) fn read(file: &Path) -> Result<BTreeMap<u64, u32>> {
    let mut instructions = BTreeMap::new();
    // Without a block of that code QEMU makes no file.
    let Ok(log) = File::open(file) else { return Ok(instructions) };
    let mut blocks = 0;
    for line in BufReader::new(log).lines() {
        let line = line.context("cannot read QEMU's log of translated code")?;
        blocks += usize::from(line.starts_with("IN:"));
        instructions.extend(instruction(&line));
    }
    let disassembled = blocks == 0 || !instructions.is_empty();
    ensure!(disassembled, "QEMU has logged translated code without disassembling it: it needs capstone built in");
    Ok(instructions)
}

/// `0xffff800080077928:  aa1e03e9  mov x9, x30`
fn instruction(line: &str) -> Option<(u64, u32)> {
    let (address, rest) = line.strip_prefix("0x")?.split_once(':')?;
    let word = rest.split_whitespace().next().filter(|word| word.len() == 8)?;
    Some((u64::from_str_radix(address, 16).ok()?, u32::from_str_radix(word, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_from_all_else_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        assert!(read(&file).unwrap().is_empty(), "no block, no file");
        let log = "----------------\nIN: \n0xffff800080077928:  aa1e03e9  mov      x9, x30\n0xffff80008007792c:  d503201f  nop      \n\n";
        std::fs::write(&file, log.repeat(2)).unwrap();
        let due = [(0xffff_8000_8007_7928, 0xaa1e_03e9), (0xffff_8000_8007_792c, 0xd503_201f)];
        assert_eq!(read(&file).unwrap(), BTreeMap::from(due));
        std::fs::write(&file, "IN: \n0xffff800080077928:  \nOBJD-T: e9031eaa\n").unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("capstone"));
    }
}
