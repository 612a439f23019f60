//! A64 instructions, as far as their effect on the flow of control goes (Arm ARM, C4.1).

/// A NOP.
pub(crate) const NOP: u32 = 0xd503_201f;

/// Where execution goes on behind an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// At the next instruction.
    Next,
    /// There, or at the next instruction.
    Branch(u64),
    /// There.
    Jump(u64),
    /// At the next instruction, when the function there has returned.
    Call(u64),
    /// At the next instruction, when the function in a register has returned.
    CallRegister,
    /// Somewhere that a register holds: the caller, for the most part.
    Register,
    /// In the handler of an exception that the kernel raises itself: BRK stands for a WARN or a BUG.
    Trap,
}

/// The flow behind `word` at `address`.
pub(crate) fn flow(word: u32, address: u64) -> Flow {
    let to = |bits: u32, from: u32| {
        let field = i64::from(word >> from & ((1 << bits) - 1));
        let signed = (field << (64 - bits)) >> (64 - bits);
        address.wrapping_add_signed(signed * 4)
    };
    match word {
        _ if word & 0xfc00_0000 == 0x1400_0000 => Flow::Jump(to(26, 0)),
        _ if word & 0xfc00_0000 == 0x9400_0000 => Flow::Call(to(26, 0)),
        _ if word & 0xff00_0000 == 0x5400_0000 => Flow::Branch(to(19, 5)),
        _ if word & 0x7e00_0000 == 0x3400_0000 => Flow::Branch(to(19, 5)),
        _ if word & 0x7e00_0000 == 0x3600_0000 => Flow::Branch(to(14, 5)),
        // BLR and its authenticated forms; everything else of the group goes elsewhere: BR, RET, ERET.
        _ if word & 0xfe60_0000 == 0xd620_0000 => Flow::CallRegister,
        _ if word & 0xfe00_0000 == 0xd600_0000 => Flow::Register,
        _ if word & 0xffe0_001f == 0xd420_0000 || word >> 16 == 0 => Flow::Trap,
        _ => Flow::Next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_branch_is_told_with_its_target() {
        let at = 0xffff_8000_8007_7928;
        for (word, due) in [
            (0x9403_4c6b, Flow::Call(0xffff_8000_8014_aad4)), // bl, forwards
            (0x17ff_ffff, Flow::Jump(at - 4)),                // b, backwards
            (0x5400_0041, Flow::Branch(at + 8)),              // b.ne
            (0xb4ff_ffe0, Flow::Branch(at - 4)),              // cbz x0
            (0x3500_0060, Flow::Branch(at + 12)),             // cbnz w0
            (0x3717_ffe0, Flow::Branch(at - 4)),              // tbnz w0, #2
            (0xd63f_0020, Flow::CallRegister),                // blr x1
            (0xd73f_0c3f, Flow::CallRegister),                // blrab x1, sp (FEAT_PAuth)
            (0xd65f_03c0, Flow::Register),                    // ret
            (0xd61f_0200, Flow::Register),                    // br x16
            (0xd421_0000, Flow::Trap),                        // brk #0x800: WARN
            (0x0000_0000, Flow::Trap),                        // udf
            (NOP, Flow::Next),
            (0xa9be_7bfd, Flow::Next), // stp x29, x30, [sp, #-32]!
        ] {
            assert_eq!(flow(word, at), due, "{word:#010x}");
        }
    }
}
