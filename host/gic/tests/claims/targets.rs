//! GICD_ITARGETSR `[GICv2/4.3.12]`: where QEMU 7.2 and 10.0 fail kvm-unit-tests. The `kvm_unit_tests_*` tests are its
//! `test_targets()` and `test_byte_access()`.

use crate::machine::*;

const FIRST_SPI: u64 = GICD_ITARGETSR + 32;

fn for_each_byte(cpus: usize) -> u32 {
    ((1 << cpus) - 1) * 0x0101_0101
}

#[test]
fn kvm_unit_tests_bits_of_cpus_that_do_not_exist_are_zero() {
    for cpus in 1..=8 {
        let mut machine = Machine::reset(cpus, 64);
        machine.write_d(0, FIRST_SPI, !0);
        assert_eq!(machine.read_d(0, FIRST_SPI) & !for_each_byte(cpus), 0, "{cpus} CPUs");
    }
}

#[test]
fn kvm_unit_tests_register_content_is_preserved() {
    for cpus in 1..=8 {
        let mut machine = Machine::reset(cpus, 64);
        machine.write_d(0, FIRST_SPI, 0x0103_020f);
        assert_eq!(machine.read_d(0, FIRST_SPI), 0x0103_020f & for_each_byte(cpus), "{cpus} CPUs");
    }
}

#[test]
fn kvm_unit_tests_byte_reads_and_writes_are_successful() {
    for cpus in 1..=8 {
        let (mut machine, mask) = (Machine::reset(cpus, 64), for_each_byte(cpus));
        let pattern = 0x0103_020f;
        machine.write_d(0, FIRST_SPI, pattern);
        assert_eq!(machine.read_byte(0, FIRST_SPI + 1), pattern >> 8 & mask & 0xff, "{cpus} CPUs");
        machine.write_byte(0, FIRST_SPI + 2, 0x1f);
        let expected = (pattern & 0xff00_ffff | 0x001f_0000) & mask;
        assert_eq!(machine.read_d(0, FIRST_SPI), expected, "{cpus} CPUs");
    }
}

#[test]
fn kvm_unit_tests_accesses_beyond_the_limit_are_raz_wi() {
    for cpus in 1..=8 {
        let mut machine = Machine::reset(cpus, 64);
        for register in [GICD_ITARGETSR, GICD_IPRIORITYR] {
            machine.write_d(0, register + 96, !0);
            assert_eq!(machine.read_d(0, register + 96), 0);
        }
    }
}

#[test]
fn the_first_eight_registers_read_as_the_reading_cpu_and_are_read_only() {
    let mut machine = Machine::reset(8, 32);
    for cpu in 0..8 {
        for register in 0..8 {
            let offset = GICD_ITARGETSR + 4 * register;
            machine.write_d(cpu, offset, !0);
            assert_eq!(machine.read_d(cpu, offset), 0x0101_0101 << cpu, "CPU {cpu}, {offset:#x}");
            machine.write_byte(cpu, offset + 3, 0);
            assert_eq!(machine.read_byte(cpu, offset + 3), 1 << cpu, "CPU {cpu}, {offset:#x}");
        }
    }
}

#[test]
fn all_cpus_see_the_same_targets_of_an_spi() {
    let mut machine = Machine::reset(4, 32);
    machine.write_d(3, FIRST_SPI, 0x0102_0408);
    for cpu in 0..4 {
        assert_eq!(machine.read_d(cpu, FIRST_SPI), 0x0102_0408);
    }
}

#[test]
fn an_spi_without_targets_goes_nowhere_until_it_has_one() {
    let mut machine = Machine::booted(2, 32);
    machine.set_targets(40, 0);
    machine.spi(40, true);
    assert_eq!((machine.lines(0), machine.lines(1)), (NONE, NONE));
    assert!(machine.read_bit(0, GICD_ISPENDR, 40), "it is pending all the same");
    machine.set_targets(40, 0b10);
    assert_eq!((machine.lines(0), machine.lines(1)), (NONE, IRQ));
}

#[test]
fn a_pending_spi_moves_when_its_targets_change() {
    let mut machine = Machine::booted(3, 32);
    machine.spi(40, true);
    for cpu in 0..3 {
        machine.set_targets(40, 1 << cpu);
        let lines = [0, 1, 2].map(|cpu| machine.lines(cpu).irq);
        assert_eq!(lines, [0, 1, 2].map(|other| other == cpu), "with CPU {cpu} as the target");
    }
}

#[test]
fn with_one_cpu_every_spi_goes_to_it_whatever_the_register_holds() {
    let mut machine = Machine::booted(1, 32);
    machine.set_targets(40, 0);
    machine.spi(40, true);
    assert_eq!(machine.lines(0), IRQ);
    assert_eq!(machine.acknowledge(0), 40);
}

#[test]
fn with_one_cpu_an_spi_is_delivered_without_ever_writing_its_targets() {
    let mut machine = Machine::reset(1, 32);
    machine.write_d(0, GICD_CTLR, 1);
    machine.write_c(0, GICC_PMR, 0xff);
    machine.write_c(0, GICC_CTLR, 1);
    machine.write_bit(0, GICD_ISENABLER, 40);
    machine.spi(40, true);
    assert_eq!(machine.acknowledge(0), 40);
}
