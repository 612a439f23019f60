//! Virtual addresses of a guest: a walk through its tables, as its CPU makes it (Arm ARM DDI 0487, D8: VMSAv8-64), so
//! that the instruction at a PC can be read. Addresses of up to 48 bits; of wider ones (LPA2) there is no translation.

/// Output addresses, and those of tables.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// The registers that say where the tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stage1 {
    /// SCTLR_EL1.
    pub sctlr: u64,
    /// TCR_EL1.
    pub tcr: u64,
    /// TTBR0_EL1 and TTBR1_EL1.
    pub ttbr: [u64; 2],
}

impl Stage1 {
    /// The guest physical address at a virtual one, if there is any. `read` reads a descriptor at a guest physical
    /// address.
    pub fn translate(&self, address: u64, read: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        if self.sctlr & 1 == 0 {
            return Some(address);
        }
        let upper = address >> 55 & 1 == 1;
        // TnSZ, EPDn and TGn (D24: TCR_EL1). The two halves code the granule differently.
        let (size, disabled, granule) = match upper {
            false => (self.tcr & 0x3f, self.tcr >> 7 & 1, [12, 16, 14, 0][(self.tcr >> 14 & 3) as usize]),
            true => (self.tcr >> 16 & 0x3f, self.tcr >> 23 & 1, [0, 14, 12, 16][(self.tcr >> 30 & 3) as usize]),
        };
        let bits = 64 - size;
        if disabled == 1 || granule == 0 || !(25..=48).contains(&bits) || bits <= granule {
            return None;
        }
        let below = address & ((1 << bits) - 1);
        let per_level = granule - 3;
        let mut level = 4 - (bits - granule).div_ceil(per_level);
        let mut table = self.ttbr[usize::from(upper)] & 0x0000_ffff_ffff_fffe;
        loop {
            let shift = granule + (3 - level) * per_level;
            let index = below >> shift & ((1 << per_level) - 1);
            let descriptor = read(table + index * 8)?;
            let offset = |shift: u64| (1_u64 << shift) - 1;
            match (descriptor & 3, level) {
                (3, 3) | (1, 0..=2) => return Some(descriptor & ADDRESS & !offset(shift) | below & offset(shift)),
                (3, _) => table = descriptor & ADDRESS & !offset(granule),
                _ => return None,
            }
            level += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const ON: u64 = 1;
    const TABLE: u64 = 0x4010_0000;

    /// Tables of 4 KiB pages: one page and one block in each half.
    fn walk(stage1: Stage1, descriptors: &[(u64, u64)], address: u64) -> Option<u64> {
        let memory: HashMap<u64, u64> = descriptors.iter().copied().collect();
        stage1.translate(address, |at| memory.get(&at).copied())
    }

    #[test]
    fn without_mmu_an_address_is_itself() {
        assert_eq!(walk(Stage1::default(), &[], 0x4008_0000), Some(0x4008_0000));
    }

    #[test]
    fn four_levels_of_four_kib_lead_to_a_page_and_three_to_a_block() {
        // T1SZ 16, TG1 4 KiB: Linux with 48-bit addresses. 0xffff_8000_8000_1234: indices 256, 2, 0, 1.
        let stage1 = Stage1 { sctlr: ON, tcr: 2 << 30 | 16 << 16 | 16, ttbr: [0, TABLE | 1] };
        let upper = [
            (TABLE + 256 * 8, 0x4020_0003),
            (0x4020_0000 + 2 * 8, 0x4020_1003),
            (0x4020_1000, 0x4020_2003),
            (0x4020_2000 + 8, 0x0060_0000_4567_8703),
            (0x4020_1000 + 8, 0x0060_0000_4800_0701),
        ];
        assert_eq!(walk(stage1, &upper, 0xffff_8000_8000_1234), Some(0x4567_8234));
        assert_eq!(walk(stage1, &upper, 0xffff_8000_8020_1234), Some(0x4800_1234), "a block of 2 MiB");
        assert_eq!(walk(stage1, &upper, 0xffff_8000_8040_0000), None, "not mapped");
        assert_eq!(walk(stage1, &upper[..2], 0xffff_8000_8000_1234), None, "its tables are nowhere");
    }

    #[test]
    fn other_granules_and_sizes_have_other_levels() {
        // 64 KiB, 42 bits: two levels. 16 KiB, 36 bits: two levels.
        let large = Stage1 { sctlr: ON, tcr: 1 << 14 | 22, ttbr: [TABLE, 0] };
        assert_eq!(
            walk(large, &[(TABLE + 2 * 8, 0x4020_0003), (0x4020_0000, 0x4567_0003)], 0x4000_1234),
            Some(0x4567_1234)
        );
        let middle = Stage1 { sctlr: ON, tcr: 2 << 14 | 28, ttbr: [TABLE, 0] };
        assert_eq!(
            walk(middle, &[(TABLE + 32 * 8, 0x4020_0003), (0x4020_0000, 0x4567_4003)], 0x4000_1234),
            Some(0x4567_5234)
        );
    }

    #[test]
    fn garbage_in_the_registers_translates_nothing() {
        for tcr in [0, u64::MAX, 3 << 14 | 16, 16 | 1 << 7, 60, 12] {
            let stage1 = Stage1 { sctlr: ON, tcr, ttbr: [u64::MAX; 2] };
            for address in [0, 0x4008_0000, u64::MAX, 0xffff_8000_8000_0000] {
                let _ = stage1.translate(address, |_| Some(u64::MAX));
                assert_eq!(stage1.translate(address, |_| Some(0)), None);
            }
        }
    }
}
