//! How an instruction can be changed a little: the mutants of one A64 instruction (Arm ARM, C4.1).

use std::fmt;

use crate::a64::{self, Flow};

/// A small change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A conditional branch, select or comparison has the opposite condition; CBZ is CBNZ, TBZ is TBNZ, and the reverse.
    Inverted,
    /// A call is left out.
    NoCall,
    /// A store to memory is left out.
    NoStore,
    /// A write to a system register is left out.
    NoWrite,
    /// A constant is one more.
    Constant,
    /// A bit that is tested, kept, set or cleared is the next one.
    Bit,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Inverted, "inverted"),
    (Kind::NoCall, "no-call"),
    (Kind::NoStore, "no-store"),
    (Kind::NoWrite, "no-write"),
    (Kind::Constant, "constant"),
    (Kind::Bit, "bit"),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS.iter().find(|(kind, _)| kind == self).map_or("?", |(_, name)| name))
    }
}

impl Kind {
    /// The kind of this name.
    #[cfg(test)]
    fn named(name: &str) -> Option<Kind> {
        KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }
}

/// The mutants of `word`, behind `before`: each kind with the instruction that it makes.
pub(crate) fn mutants(word: u32, before: Option<u32>) -> Vec<(Kind, u32)> {
    let mut mutants = Vec::new();
    let mut add = |kind, new| mutants.push((kind, new));
    let (destination, source) = (word & 31, word >> 5 & 31);
    match a64::flow(word, 0) {
        // B.cond: the conditions come in pairs; the last two are both "always".
        Flow::Branch(_) if word >> 24 == 0x54 => {
            if word & 0xe != 0xe {
                add(Kind::Inverted, word ^ 1);
            }
        }
        Flow::Branch(_) => {
            add(Kind::Inverted, word ^ 1 << 24);
            if word & 0x7e00_0000 == 0x3600_0000 {
                add(Kind::Bit, next_bit_tested(word));
            }
        }
        Flow::Call(_) | Flow::CallRegister => add(Kind::NoCall, a64::NOP),
        Flow::Next => {
            // CSEL, CSINC, CSINV, CSNEG; CCMP, CCMN.
            if (word & 0x1fe0_0000 == 0x1a80_0000 || word & 0x1fe0_0000 == 0x1a40_0000) && word >> 13 & 7 != 7 {
                add(Kind::Inverted, word ^ 1 << 12);
            }
            if is_store(word) && source != 31 {
                add(Kind::NoStore, a64::NOP);
            }
            // MSR (register) and SYS.
            if word & 0xfff0_0000 == 0xd510_0000 {
                add(Kind::NoWrite, a64::NOP);
            }
            // ADD, SUB, CMP (immediate), but no address: of the stack, or the low bits behind an ADRP.
            let address = before.is_some_and(|before| before & 0x9f00_001f == 0x9000_0000 | source);
            let stack = [destination, source].contains(&31) && word & 0x2000_0000 == 0;
            if word & 0x1f80_0000 == 0x1100_0000 && !stack && !address && source != 31 {
                add(Kind::Constant, next_constant(word, 12, 10));
            }
            // MOVZ, MOVN.
            if word & 0x3f80_0000 == 0x1280_0000 {
                add(Kind::Constant, next_constant(word, 16, 5));
            }
            // AND, ORR, EOR, TST (immediate): the pattern of bits is turned by one.
            if word & 0x1f80_0000 == 0x1200_0000 && source != 31 {
                add(Kind::Bit, next_pattern(word));
            }
        }
        Flow::Jump(_) | Flow::Register | Flow::Trap => {}
    }
    mutants
}

/// STR, STRB, STRH, STUR, STP, STLR of general registers that change nothing but memory.
fn is_store(word: u32) -> bool {
    // Masks and patterns: unsigned offset, unscaled offset and register offset, each with opc of a store; STP with an
    // offset; STLR.
    let forms: [(u32, u32); 5] = [
        (0x3fc0_0000, 0x3900_0000),
        (0x3fe0_0c00, 0x3800_0000),
        (0x3fe0_0c00, 0x3820_0800),
        (0x3fc0_0000, 0x2900_0000),
        (0x3fe0_8000, 0x0880_8000),
    ];
    forms.iter().any(|(mask, pattern)| word & mask == *pattern)
}

/// TBZ and TBNZ: bits 31 and 23 to 19 are the number.
fn next_bit_tested(word: u32) -> u32 {
    let number = (word >> 31) << 5 | word >> 19 & 31;
    let next = if number == 63 { 62 } else { number + 1 };
    word & !(1 << 31 | 31 << 19) | (next >> 5) << 31 | (next & 31) << 19
}

/// The field of so many bits from there, plus one; the greatest number becomes the one before.
fn next_constant(word: u32, bits: u32, from: u32) -> u32 {
    let most = (1 << bits) - 1;
    let number = word >> from & most;
    let next = if number == most { number - 1 } else { number + 1 };
    word & !(most << from) | next << from
}

/// A logical immediate (Arm ARM, DecodeBitMasks): rotated right by one less, so that each bit is the next one.
fn next_pattern(word: u32) -> u32 {
    // The size of the pattern is told by N and the leading ones of imms.
    let size = if word >> 22 & 1 == 1 { 64 } else { 1 << (31 - (!(word >> 10) & 63).leading_zeros()) };
    let rotation = (word >> 16 & 63).wrapping_sub(1) & (size - 1);
    word & !(63 << 16) | rotation << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(word: u32) -> Vec<(Kind, u32)> {
        mutants(word, None)
    }

    #[test]
    fn each_instruction_has_the_mutants_that_it_can_have() {
        assert_eq!(of(0x5400_0041), [(Kind::Inverted, 0x5400_0040)], "b.ne");
        assert_eq!(of(0x5400_004e), [], "b.al");
        assert_eq!(of(0xb400_0040), [(Kind::Inverted, 0xb500_0040)], "cbz x0");
        assert_eq!(of(0x3708_0060), [(Kind::Inverted, 0x3608_0060), (Kind::Bit, 0x3710_0060)], "tbnz w0, #1");
        assert_eq!(of(0x37f8_0060)[1], (Kind::Bit, 0xb700_0060), "tbnz w0, #31: #32");
        assert_eq!(of(0x9400_0001), [(Kind::NoCall, a64::NOP)], "bl");
        assert_eq!(of(0x1a9f_17e0), [(Kind::Inverted, 0x1a9f_07e0)], "cset w0, eq");
        assert_eq!(of(0xf900_0260), [(Kind::NoStore, a64::NOP)], "str x0, [x19]");
        assert_eq!(of(0x3900_7260), [(Kind::NoStore, a64::NOP)], "strb w0, [x19, #28]");
        assert_eq!(of(0x889f_fe60), [(Kind::NoStore, a64::NOP)], "stlr w0, [x19]");
        assert_eq!(of(0xa901_0660), [(Kind::NoStore, a64::NOP)], "stp x0, x1, [x19, #16]");
        assert_eq!(of(0xd51b_e240), [(Kind::NoWrite, a64::NOP)], "msr cntp_cval_el0, x0");
        assert_eq!(of(0x7100_041f), [(Kind::Constant, 0x7100_081f)], "cmp w0, #1");
        assert_eq!(of(0x5280_0020), [(Kind::Constant, 0x5280_0040)], "mov w0, #1");
        assert_eq!(of(0x1200_0000), [(Kind::Bit, 0x121f_0000)], "and w0, w0, #1: #2");
        assert_eq!(of(0x927c_ec00)[0].1, 0x927b_ec00, "and x0, x0, #~15: the bits one further");
    }

    #[test]
    fn what_only_keeps_the_compilers_house_has_none() {
        for (word, what) in [
            (0xa9be_7bfd, "stp x29, x30, [sp, #-32]!"),
            (0xf900_0bf3, "str x19, [sp, #16]"),
            (0x9100_03fd, "mov x29, sp"),
            (0xd100_83ff, "sub sp, sp, #32"),
            (0xf940_0000, "ldr x0, [x0]"),
            (0xd65f_03c0, "ret"),
            (a64::NOP, "nop"),
            (0xaa1e_03e9, "mov x9, x30"),
            (0xd53b_e240, "mrs x0, cntp_cval_el0"),
        ] {
            assert_eq!(of(word), [], "{what}");
        }
        assert_eq!(mutants(0x912d_a273, Some(0xb000_e933)), [], "the low bits of an address");
    }

    #[test]
    fn a_kind_is_named_once() {
        for (kind, name) in KINDS {
            assert_eq!((Kind::named(name), kind.to_string().as_str()), (Some(kind), name));
        }
    }
}
