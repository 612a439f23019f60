//! GICD_TYPER, GICD_IIDR, GICD_IPRIORITYR, GICD_ICFGR, GICD_NSACR and the identification registers.

use vtick_gic::{ConfigError, Gic};

use crate::machine::*;

#[test]
fn typer_counts_interrupts_and_cpus_and_has_no_security_extensions() {
    for (cpus, spis, typer, interrupts) in
        [(1, 0, 0, 32), (1, 1, 1, 64), (2, 32, 0x21, 64), (3, 33, 0x42, 96), (8, 988, 0xff, 1020), (8, 960, 0xfe, 992)]
    {
        let mut machine = Machine::reset(cpus, spis);
        assert_eq!(machine.read_d(0, GICD_TYPER), typer, "{cpus} CPUs, {spis} SPIs");
        assert_eq!(machine.gic.interrupts(), interrupts, "{cpus} CPUs, {spis} SPIs");
        machine.write_d(0, GICD_TYPER, !typer);
        assert_eq!(machine.read_d(0, GICD_TYPER), typer, "it is read-only");
    }
}

#[test]
fn sizes_that_no_gic_has_are_refused() {
    assert_eq!(Gic::new(0, 32).unwrap_err(), ConfigError::Cpus(0));
    assert_eq!(Gic::new(9, 32).unwrap_err(), ConfigError::Cpus(9));
    assert_eq!(Gic::new(1, 989).unwrap_err(), ConfigError::Spis(989));
    assert_eq!(Gic::new(1, usize::MAX).unwrap_err(), ConfigError::Spis(usize::MAX));
}

#[test]
fn gicd_ctlr_has_an_enable_for_each_group() {
    let mut machine = Machine::reset(2, 32);
    machine.write_d(0, GICD_CTLR, !0);
    assert_eq!(machine.read_d(1, GICD_CTLR), 3);
}

#[test]
fn the_identification_registers_say_gicv2_and_are_read_only() {
    let mut machine = Machine::reset(1, 32);
    assert_eq!(machine.read_d(0, ICPIDR2), 0x2b);
    machine.write_d(0, ICPIDR2, !0);
    assert_eq!(machine.read_d(0, ICPIDR2), 0x2b);
    let component: Vec<u32> = (0..4).map(|n| machine.read_d(0, 0xff0 + 4 * n)).collect();
    assert_eq!(component, [0x0d, 0xf0, 0x05, 0xb1]);
    assert_eq!(machine.read_d(0, GICD_IIDR) & 0xfff, 0x43b);
    machine.write_d(0, GICD_IIDR, 0);
    assert_eq!(machine.read_d(0, GICD_IIDR) & 0xfff, 0x43b);
}

#[test]
fn priorities_have_five_bits() {
    let mut machine = Machine::reset(1, 32);
    machine.write_d(0, GICD_IPRIORITYR + 32, !0);
    assert_eq!(machine.read_d(0, GICD_IPRIORITYR + 32), 0xf8f8_f8f8);
    machine.write_d(0, GICD_IPRIORITYR + 32, 0xff7f_bf3f);
    assert_eq!(machine.read_d(0, GICD_IPRIORITYR + 32), 0xf878_b838);
}

#[test]
fn a_byte_of_priority_leaves_its_neighbours() {
    let mut machine = Machine::reset(1, 32);
    machine.write_d(0, GICD_IPRIORITYR + 60, 0x1020_3040);
    machine.write_byte(0, GICD_IPRIORITYR + 62, 0xf0);
    assert_eq!(machine.read_d(0, GICD_IPRIORITYR + 60), 0x10f0_3040);
    assert_eq!(machine.read_byte(0, GICD_IPRIORITYR + 63), 0x10);
    assert_eq!(machine.read_byte(0, GICD_IPRIORITYR + 60), 0x40);
}

#[test]
fn priorities_of_sgis_and_ppis_are_each_cpus_own_and_those_of_spis_are_shared() {
    let mut machine = Machine::reset(2, 32);
    machine.write_d(0, GICD_IPRIORITYR + 28, 0x1020_3040);
    machine.write_d(0, GICD_IPRIORITYR + 32, 0x1020_3040);
    assert_eq!(machine.read_d(1, GICD_IPRIORITYR + 28), 0);
    assert_eq!(machine.read_d(1, GICD_IPRIORITYR + 32), 0x1020_3040);
}

#[test]
fn the_last_interrupt_exists_and_the_four_after_it_do_not() {
    let mut machine = Machine::reset(1, 988);
    machine.write_d(0, GICD_ISENABLER + 4 * 31, !0);
    assert_eq!(machine.read_d(0, GICD_ISENABLER + 4 * 31), 0x0fff_ffff);
    machine.write_byte(0, GICD_IPRIORITYR + 1019, 0x50);
    assert_eq!(machine.read_byte(0, GICD_IPRIORITYR + 1019), 0x50);
    for intid in 1020..1024 {
        for register in [GICD_IPRIORITYR, GICD_ITARGETSR] {
            machine.write_byte(0, register + intid, 0xff);
            assert_eq!(machine.read_byte(0, register + intid), 0, "{intid} at {register:#x}");
        }
    }
    machine.write_d(0, GICD_ICFGR + 4 * 63, !0);
    assert_eq!(machine.read_d(0, GICD_ICFGR + 4 * 63), 0x00aa_aaaa);
}

#[test]
fn the_last_interrupt_is_delivered() {
    let mut machine = Machine::booted(8, 988);
    machine.set_targets(1019, 0x80);
    machine.spi(1019, true);
    assert_eq!(machine.acknowledge(7), 1019);
    machine.end(7, 1019);
    assert_eq!(machine.acknowledge(7), 1019);
}

#[test]
fn interrupts_beyond_the_last_one_are_raz_wi() {
    let mut machine = Machine::reset(1, 32);
    let before = machine.gic.save();
    let registers = [GICD_IGROUPR, GICD_ISENABLER, GICD_ICENABLER, GICD_ISPENDR, GICD_ICPENDR, GICD_ISACTIVER];
    for register in registers {
        machine.write_d(0, register + 8, !0);
        assert_eq!(machine.read_d(0, register + 8), 0, "{register:#x}");
    }
    assert!(machine.gic.save() == before);
}

#[test]
fn sgis_are_edge_triggered_ppis_level_sensitive_and_spis_configurable() {
    let mut machine = Machine::reset(1, 32);
    for word in 0..4 {
        machine.write_d(0, GICD_ICFGR + 4 * word, !0);
    }
    let words = [0, 1, 2, 3].map(|word| machine.read_d(0, GICD_ICFGR + 4 * word));
    assert_eq!(words, [0xaaaa_aaaa, 0, 0xaaaa_aaaa, 0xaaaa_aaaa]);
    for word in 0..4 {
        machine.write_d(0, GICD_ICFGR + 4 * word, 0);
    }
    let words = [0, 1, 2, 3].map(|word| machine.read_d(0, GICD_ICFGR + 4 * word));
    assert_eq!(words, [0xaaaa_aaaa, 0, 0, 0]);
}

#[test]
fn each_field_of_icfgr_is_about_its_own_interrupt() {
    let mut machine = Machine::booted(1, 32);
    machine.write_d(0, GICD_ICFGR + 8, 2 << (2 * 9));
    machine.spi(32 + 8, true);
    machine.pulse(32 + 9);
    machine.pulse(32 + 10);
    assert_eq!(machine.read_d(0, GICD_ISPENDR + 4), 0b11 << 8);
}

#[test]
fn nsacr_and_reserved_space_are_raz_wi() {
    let mut machine = Machine::booted(2, 32);
    let before = machine.gic.save();
    for offset in [0x00c, 0x020, 0x03c, 0x07c, 0xd00, 0xdfc, GICD_NSACR, 0xefc, 0xf04, 0xf30, 0xfcc, 0x1000, !3] {
        machine.write_d(0, offset, !0);
        assert_eq!(machine.read_d(0, offset), 0, "GICD {offset:#x}");
    }
    for offset in [0x2c, 0x3c, 0x40, 0xcc, 0xf0, 0xf8, 0x100, 0xffc, 0x1004, 0x1ffc, 0x2000, !3] {
        machine.write_c(0, offset, !0);
        assert_eq!(machine.read_c(0, offset), 0, "GICC {offset:#x}");
    }
    assert!(machine.gic.save() == before);
}
