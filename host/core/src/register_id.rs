//! Registers of a vCPU by the ids of KVM_GET_ONE_REG and KVM_SET_ONE_REG ([KVM-API/4.68], arm64 register mappings), named
//! as the Arm ARM (DDI 0487, D24) names them.

/// KVM_REG_ARM_COPROC_MASK and where it stands.
const GROUP_SHIFT: u64 = 16;
const GROUP_MASK: u64 = 0xfff;
/// Groups of registers: KVM_REG_ARM_CORE, _DEMUX, _ARM64_SYSREG, _ARM_FW, _ARM64_SVE, _ARM_FW_FEAT_BMAP.
const CORE: u64 = 0x10;
const DEMUX: u64 = 0x11;
const SYSREG: u64 = 0x13;
const FIRMWARE: u64 = 0x14;
const SVE: u64 = 0x15;
const FIRMWARE_FEATURES: u64 = 0x16;

/// A register's name with its id, such as `ID_AA64PFR0_EL1 (0x603000000013c020)`.
pub fn describe(id: u64) -> String {
    format!("{} ({id:#x})", name(id))
}

fn name(id: u64) -> String {
    match id >> GROUP_SHIFT & GROUP_MASK {
        CORE => core(id & 0xffff),
        DEMUX => format!("CCSIDR of cache {}", id & 0xff),
        SYSREG => sysreg(id & 0xffff),
        FIRMWARE => format!("firmware pseudo-register {}", id & 0xffff),
        SVE => format!("SVE register {:#x}", id & 0xffff),
        FIRMWARE_FEATURES => format!("firmware feature bitmap {}", id & 0xffff),
        _ => "a register of an unknown group".to_owned(),
    }
}

/// A member of struct kvm_regs, by its offset in 32-bit words.
fn core(word: u64) -> String {
    match word {
        0..62 if word.is_multiple_of(2) => format!("x{}", word / 2),
        62 => "SP_EL0".to_owned(),
        64 => "PC".to_owned(),
        66 => "PSTATE".to_owned(),
        68 => "SP_EL1".to_owned(),
        70 => "ELR_EL1".to_owned(),
        _ => format!("word {word} of struct kvm_regs"),
    }
}

/// A system register by op0, op1, CRn, CRm and op2.
fn sysreg(encoded: u64) -> String {
    let [op0, op1, crn, crm, op2] =
        [encoded >> 14 & 3, encoded >> 11 & 7, encoded >> 7 & 15, encoded >> 3 & 15, encoded & 7];
    let found = SYSREGS.iter().find(|(at, _)| *at == [op0, op1, crn, crm, op2]);
    found.map_or_else(|| format!("S{op0}_{op1}_C{crn}_C{crm}_{op2}"), |(_, name)| (*name).to_owned())
}

/// Those that identify a CPU, and those that programs of ours touch. The ids of CNTV_CVAL and CNTVCT have each other's
/// encodings (arch/arm64/include/uapi/asm/kvm.h).
const SYSREGS: &[([u64; 5], &str)] = &[
    ([3, 0, 0, 0, 0], "MIDR_EL1"),
    ([3, 0, 0, 0, 5], "MPIDR_EL1"),
    ([3, 0, 0, 0, 6], "REVIDR_EL1"),
    ([3, 0, 0, 1, 0], "ID_PFR0_EL1"),
    ([3, 0, 0, 1, 1], "ID_PFR1_EL1"),
    ([3, 0, 0, 1, 2], "ID_DFR0_EL1"),
    ([3, 0, 0, 1, 3], "ID_AFR0_EL1"),
    ([3, 0, 0, 1, 4], "ID_MMFR0_EL1"),
    ([3, 0, 0, 1, 5], "ID_MMFR1_EL1"),
    ([3, 0, 0, 1, 6], "ID_MMFR2_EL1"),
    ([3, 0, 0, 1, 7], "ID_MMFR3_EL1"),
    ([3, 0, 0, 2, 0], "ID_ISAR0_EL1"),
    ([3, 0, 0, 2, 1], "ID_ISAR1_EL1"),
    ([3, 0, 0, 2, 2], "ID_ISAR2_EL1"),
    ([3, 0, 0, 2, 3], "ID_ISAR3_EL1"),
    ([3, 0, 0, 2, 4], "ID_ISAR4_EL1"),
    ([3, 0, 0, 2, 5], "ID_ISAR5_EL1"),
    ([3, 0, 0, 2, 6], "ID_MMFR4_EL1"),
    ([3, 0, 0, 2, 7], "ID_ISAR6_EL1"),
    ([3, 0, 0, 3, 0], "MVFR0_EL1"),
    ([3, 0, 0, 3, 1], "MVFR1_EL1"),
    ([3, 0, 0, 3, 2], "MVFR2_EL1"),
    ([3, 0, 0, 3, 4], "ID_PFR2_EL1"),
    ([3, 0, 0, 3, 5], "ID_DFR1_EL1"),
    ([3, 0, 0, 3, 6], "ID_MMFR5_EL1"),
    ([3, 0, 0, 4, 0], "ID_AA64PFR0_EL1"),
    ([3, 0, 0, 4, 1], "ID_AA64PFR1_EL1"),
    ([3, 0, 0, 4, 2], "ID_AA64PFR2_EL1"),
    ([3, 0, 0, 4, 4], "ID_AA64ZFR0_EL1"),
    ([3, 0, 0, 4, 5], "ID_AA64SMFR0_EL1"),
    ([3, 0, 0, 4, 7], "ID_AA64FPFR0_EL1"),
    ([3, 0, 0, 5, 0], "ID_AA64DFR0_EL1"),
    ([3, 0, 0, 5, 1], "ID_AA64DFR1_EL1"),
    ([3, 0, 0, 5, 2], "ID_AA64DFR2_EL1"),
    ([3, 0, 0, 5, 4], "ID_AA64AFR0_EL1"),
    ([3, 0, 0, 5, 5], "ID_AA64AFR1_EL1"),
    ([3, 0, 0, 6, 0], "ID_AA64ISAR0_EL1"),
    ([3, 0, 0, 6, 1], "ID_AA64ISAR1_EL1"),
    ([3, 0, 0, 6, 2], "ID_AA64ISAR2_EL1"),
    ([3, 0, 0, 6, 3], "ID_AA64ISAR3_EL1"),
    ([3, 0, 0, 7, 0], "ID_AA64MMFR0_EL1"),
    ([3, 0, 0, 7, 1], "ID_AA64MMFR1_EL1"),
    ([3, 0, 0, 7, 2], "ID_AA64MMFR2_EL1"),
    ([3, 0, 0, 7, 3], "ID_AA64MMFR3_EL1"),
    ([3, 0, 0, 7, 4], "ID_AA64MMFR4_EL1"),
    ([3, 0, 1, 0, 0], "SCTLR_EL1"),
    ([3, 0, 1, 0, 1], "ACTLR_EL1"),
    ([3, 0, 1, 0, 2], "CPACR_EL1"),
    ([3, 0, 2, 0, 0], "TTBR0_EL1"),
    ([3, 0, 2, 0, 1], "TTBR1_EL1"),
    ([3, 0, 2, 0, 2], "TCR_EL1"),
    ([3, 0, 5, 2, 0], "ESR_EL1"),
    ([3, 0, 6, 0, 0], "FAR_EL1"),
    ([3, 0, 12, 0, 0], "VBAR_EL1"),
    ([3, 1, 0, 0, 0], "CCSIDR_EL1"),
    ([3, 1, 0, 0, 1], "CLIDR_EL1"),
    ([3, 1, 0, 0, 7], "AIDR_EL1"),
    ([3, 2, 0, 0, 0], "CSSELR_EL1"),
    ([3, 3, 0, 0, 1], "CTR_EL0"),
    ([3, 3, 9, 12, 0], "PMCR_EL0"),
    ([3, 3, 9, 14, 3], "PMOVSSET_EL0"),
    ([3, 3, 14, 0, 1], "CNTPCT_EL0"),
    ([3, 3, 14, 0, 2], "CNTV_CVAL_EL0"),
    ([3, 3, 14, 2, 1], "CNTP_CTL_EL0"),
    ([3, 3, 14, 2, 2], "CNTP_CVAL_EL0"),
    ([3, 3, 14, 3, 1], "CNTV_CTL_EL0"),
    ([3, 3, 14, 3, 2], "CNTVCT_EL0"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_named_with_its_id_and_one_without_a_name_by_its_encoding() {
        assert_eq!(describe(0x6030_0000_0013_c020), "ID_AA64PFR0_EL1 (0x603000000013c020)");
        assert_eq!(describe(0x6030_0000_0013_df19), "CNTV_CTL_EL0 (0x603000000013df19)");
        assert_eq!(describe(0x6030_0000_0010_0040), "PC (0x6030000000100040)");
        assert_eq!(describe(0x6030_0000_0013_c79f), "S3_0_C15_C3_7 (0x603000000013c79f)");
        assert_eq!(describe(0x6030_0000_0014_0001), "firmware pseudo-register 1 (0x6030000000140001)");
    }
}
