//! Access widths `[GICv2/4.1.4]`: words everywhere; bytes where the register says so; all else is RAZ/WI.

use crate::machine::*;

const BYTE_ACCESSIBLE: [u64; 4] = [GICD_IPRIORITYR, GICD_ITARGETSR, GICD_CPENDSGIR, GICD_SPENDSGIR];

#[test]
fn widths_and_alignments_that_are_not_allowed_are_raz_wi() {
    let mut machine = Machine::booted(8, 64);
    machine.write_d(0, GICD_SPENDSGIR, !0);
    machine.ppi(0, TIMER, true);
    let before = machine.gic.save();
    for offset in 0..0x1004 {
        for len in [0, 1, 2, 3, 4, 5, 8, usize::MAX] {
            let is_byte_accessible = BYTE_ACCESSIBLE.iter().any(|register| {
                let bytes = if *register < GICD_SGIR { 1024 } else { 16 };
                (*register..register + bytes).contains(&offset)
            });
            if !(len == 4 && offset.is_multiple_of(4) || len == 1 && is_byte_accessible) {
                machine.gic.write_distributor(0, offset, len, !0);
                assert_eq!(machine.gic.read_distributor(0, offset, len), 0, "GICD {offset:#x}, {len} bytes");
            }
            if !(len == 4 && offset.is_multiple_of(4)) {
                machine.gic.write_cpu_interface(0, offset, len, !0);
                assert_eq!(machine.gic.read_cpu_interface(0, offset, len), 0, "GICC {offset:#x}, {len} bytes");
            }
        }
    }
    assert!(machine.gic.save() == before);
}

#[test]
fn cpus_that_do_not_exist_read_zero_and_write_nothing() {
    let mut machine = Machine::booted(2, 32);
    let before = machine.gic.save();
    for cpu in [2, 7, 8, usize::MAX] {
        for offset in (0..0x1004).step_by(4) {
            machine.gic.write_distributor(cpu, offset, 4, !0);
            assert_eq!(machine.gic.read_distributor(cpu, offset, 4), 0);
            machine.gic.write_cpu_interface(cpu, offset, 4, !0);
            assert_eq!(machine.gic.read_cpu_interface(cpu, offset, 4), 0);
        }
        assert_eq!(machine.lines(cpu), NONE);
    }
    assert!(machine.gic.save() == before);
}

#[test]
fn a_byte_write_ignores_the_upper_bits_of_its_value() {
    let mut machine = Machine::booted(8, 64);
    for register in BYTE_ACCESSIBLE {
        let offset = register + if register < GICD_SGIR { 36 } else { 4 };
        machine.write_d(0, offset, 0);
        machine.write_byte(0, offset, 0xffff_ff10);
        assert_eq!(machine.read_d(0, offset) & !0xff, 0, "the neighbours at {register:#x}");
    }
}

#[test]
fn every_register_has_a_name_and_a_section() {
    for (is_distributor, offset, name, section) in [
        (true, GICD_CTLR, "GICD_CTLR", "GICv2/4.3.1"),
        (true, GICD_ITARGETSR + 1023, "GICD_ITARGETSR", "GICv2/4.3.12"),
        (true, GICD_SPENDSGIR, "GICD_SPENDSGIR", "GICv2/4.3.17"),
        (false, GICC_IAR, "GICC_IAR", "GICv2/4.4.4"),
        (false, GICC_DIR, "GICC_DIR", "GICv2/4.4.15"),
    ] {
        assert_eq!(vtick_gic::register_name(is_distributor, offset), Some((name, section)));
    }
    assert_eq!(vtick_gic::register_name(true, GICD_NSACR), None);
    assert_eq!(vtick_gic::register_name(false, u64::MAX), None);
}
