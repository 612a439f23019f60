//! The text of instructions, by the disassembler of the toolchain.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use object::write::{Object, StandardSection};
use object::{Architecture, BinaryFormat, Endianness};

use super::code::Code;
use crate::process::run;

/// The text of each instruction of `part`, by its address. `objdump`: LLVM's.
pub(super) fn of(objdump: &Path, part: &Code) -> Result<BTreeMap<u64, String>> {
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
    let text = elf.section_id(StandardSection::Text);
    let code: Vec<u8> = part.words.iter().flat_map(|word| word.to_le_bytes()).collect();
    elf.append_section_data(text, &code, 4);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("code.o");
    fs::write(&file, elf.write()?).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(objdump);
    command.args(["-d", "--no-show-raw-insn", &format!("--adjust-vma={:#x}", part.start)]).arg(&file);
    let end = part.start + 4 * part.words.len() as u64;
    Ok(parse(&run(&mut command, None)?, part.start..end))
}

/// Lines such as `ffff800080012340:      \tcbz\tx0, 0xffff800080012348 <.text+0x8>`. A place in the `code` is given by its
/// offset.
fn parse(told: &str, code: Range<u64>) -> BTreeMap<u64, String> {
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let instruction = |line: &str| {
        let (address, text) = line.split_once(':')?;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // What stands in brackets is no name of the kernel's.
        let text = text.split_once(" <.text").map_or(&*text, |(text, _)| text);
        let (operation, target) = text.rsplit_once(" 0x").unwrap_or((text, ""));
        let text = match number(target).filter(|target| code.contains(target)) {
            Some(target) => format!("{operation} +{:#x}", target - code.start),
            None => text.to_owned(),
        };
        Some((number(address.trim())?, text)).filter(|(_, text)| !text.is_empty())
    };
    told.lines().filter_map(instruction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_from_the_lines_around_them() {
        let told = "\ncode.o:\tfile format elf64-littleaarch64\n\nDisassembly of section .text:\n\n\
                    ffff800080012340 <.text>:\nffff800080012340:      \tcbz\tx0, 0xffff800080012348 <.text+0x8>\n\
                    ffff800080012344:      \tbl\t0xffff800080011000 <.text+0xffffffffffffecc0>\n\
                    ffff800080012348:      \tret\n";
        let due = [
            (0xffff_8000_8001_2340, "cbz x0, +0x8".to_owned()),
            (0xffff_8000_8001_2344, "bl 0xffff800080011000".to_owned()),
            (0xffff_8000_8001_2348, "ret".to_owned()),
        ];
        assert_eq!(parse(told, 0xffff_8000_8001_2340..0xffff_8000_8001_234c), due.into());
    }
}
