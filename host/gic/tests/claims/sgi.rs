//! Software generated interrupts: GICD_SGIR, the source CPU, GICD_SPENDSGIR and GICD_CPENDSGIR.

use crate::machine::*;

fn lines(machine: &Machine) -> Vec<bool> {
    (0..machine.gic.cpus()).map(|cpu| machine.lines(cpu).irq).collect()
}

#[test]
fn filter_0_sends_to_the_listed_cpus() {
    let mut machine = Machine::booted(4, 32);
    machine.write_d(1, GICD_SGIR, sgi_to(0b1011, 5));
    assert_eq!(lines(&machine), [true, true, false, true]);
}

#[test]
fn filter_1_sends_to_all_but_the_sender() {
    let mut machine = Machine::booted(4, 32);
    machine.write_d(2, GICD_SGIR, 1 << 24 | sgi_to(0b0100, 5));
    assert_eq!(lines(&machine), [true, true, false, true]);
}

#[test]
fn filter_2_sends_to_the_sender_alone() {
    let mut machine = Machine::booted(4, 32);
    machine.write_d(2, GICD_SGIR, 2 << 24 | sgi_to(0b1011, 5));
    assert_eq!(lines(&machine), [false, false, true, false]);
    assert_eq!(machine.acknowledge(2), sgi_iar(2, 5));
}

#[test]
fn filter_3_is_reserved_and_sends_nothing() {
    let mut machine = Machine::booted(4, 32);
    machine.write_d(2, GICD_SGIR, 3 << 24 | sgi_to(0b1111, 5));
    assert_eq!(lines(&machine), [false; 4]);
}

#[test]
fn cpus_that_do_not_exist_are_not_sent_to() {
    let mut machine = Machine::booted(2, 32);
    machine.write_d(0, GICD_SGIR, sgi_to(0xfc, 5));
    assert_eq!(lines(&machine), [false; 2]);
    machine.write_d(0, GICD_SGIR, 1 << 24 | 5);
    assert_eq!(lines(&machine), [false, true]);
}

#[test]
fn nsatt_has_no_meaning_without_the_security_extensions() {
    let mut machine = Machine::booted(2, 32);
    machine.write_d(0, GICD_SGIR, 1 << 15 | sgi_to(0b10, 5));
    assert_eq!(machine.acknowledge(1), sgi_iar(0, 5));
}

#[test]
fn an_sgi_is_pending_from_each_source_and_delivered_once_for_each() {
    let mut machine = Machine::booted(4, 32);
    for source in [3, 0, 2] {
        machine.write_d(source, GICD_SGIR, sgi_to(0b0010, 7));
    }
    for source in [0, 2, 3] {
        let iar = machine.acknowledge(1);
        assert_eq!(iar, sgi_iar(source, 7));
        assert_eq!(machine.lines(1), NONE, "another source waits while the SGI is active");
        machine.end(1, iar);
    }
    assert_eq!(machine.acknowledge(1), SPURIOUS);
}

#[test]
fn an_sgi_sent_twice_from_one_source_before_the_acknowledge_counts_once() {
    let mut machine = Machine::booted(2, 32);
    machine.write_d(0, GICD_SGIR, sgi_to(0b10, 7));
    machine.write_d(0, GICD_SGIR, sgi_to(0b10, 7));
    let iar = machine.acknowledge(1);
    machine.end(1, iar);
    assert_eq!(machine.acknowledge(1), SPURIOUS);
}

#[test]
fn an_sgi_sent_while_it_is_active_is_delivered_after_the_end() {
    let mut machine = Machine::booted(2, 32);
    machine.write_d(0, GICD_SGIR, sgi_to(0b10, 7));
    let iar = machine.acknowledge(1);
    machine.write_d(0, GICD_SGIR, sgi_to(0b10, 7));
    assert_eq!(machine.lines(1), NONE);
    machine.end(1, iar);
    assert_eq!(machine.acknowledge(1), iar);
}

#[test]
fn eoir_must_name_the_source_to_deactivate_an_sgi() {
    let mut machine = Machine::booted(4, 32);
    machine.write_d(3, GICD_SGIR, sgi_to(0b0001, 7));
    assert_eq!(machine.acknowledge(0), sgi_iar(3, 7));
    machine.end(0, sgi_iar(0, 7));
    assert!(machine.read_bit(0, GICD_ISACTIVER, 7), "the end of an SGI from CPU 0");
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE, "the priority is dropped all the same");
    machine.write_d(3, GICD_SGIR, sgi_to(0b0001, 8));
    let iar = machine.acknowledge(0);
    machine.end(0, iar);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, 8));
}

#[test]
fn dir_must_name_the_source_to_deactivate_an_sgi() {
    let mut machine = Machine::booted(4, 32);
    machine.write_c(0, GICC_CTLR, CTLR_GRP0 | CTLR_EOI_MODE);
    machine.write_d(2, GICD_SGIR, sgi_to(0b0001, 7));
    let iar = machine.acknowledge(0);
    machine.end(0, iar);
    machine.write_c(0, GICC_DIR, sgi_iar(1, 7));
    assert!(machine.read_bit(0, GICD_ISACTIVER, 7));
    machine.write_c(0, GICC_DIR, iar);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, 7));
}

#[test]
fn an_sgi_made_active_by_a_write_is_ended_with_that_cpu_as_its_source() {
    let mut machine = Machine::booted(4, 32);
    machine.write_c(2, GICC_CTLR, CTLR_GRP0 | CTLR_EOI_MODE);
    machine.write_bit(2, GICD_ISACTIVER, 7);
    machine.write_c(2, GICC_DIR, sgi_iar(0, 7));
    assert!(machine.read_bit(2, GICD_ISACTIVER, 7));
    machine.write_c(2, GICC_DIR, sgi_iar(2, 7));
    assert!(!machine.read_bit(2, GICD_ISACTIVER, 7));
}

#[test]
fn hppir_shows_the_source_too() {
    let mut machine = Machine::booted(4, 32);
    machine.write_d(3, GICD_SGIR, sgi_to(0b0001, 7));
    assert_eq!(machine.read_c(0, GICC_HPPIR), sgi_iar(3, 7));
}

#[test]
fn spendsgir_and_cpendsgir_set_and_clear_each_source() {
    let mut machine = Machine::booted(4, 32);
    machine.write_d(1, GICD_SPENDSGIR + 4, 0b0101 << 8);
    assert_eq!(machine.read_d(1, GICD_SPENDSGIR + 4), 0b0101 << 8);
    assert_eq!(machine.read_d(1, GICD_CPENDSGIR + 4), 0b0101 << 8);
    assert_eq!(machine.read_d(0, GICD_SPENDSGIR + 4), 0, "they are banked");
    assert!(machine.read_bit(1, GICD_ISPENDR, 5));
    assert_eq!(machine.lines(1), IRQ);
    machine.write_d(1, GICD_CPENDSGIR + 4, 0b0001 << 8);
    assert_eq!(machine.read_c(1, GICC_HPPIR), sgi_iar(2, 5));
    machine.write_d(1, GICD_CPENDSGIR + 4, 0b0100 << 8);
    assert_eq!(machine.lines(1), NONE);
}

#[test]
fn spendsgir_and_cpendsgir_are_byte_accessible_and_leave_their_neighbours() {
    let mut machine = Machine::booted(8, 32);
    machine.write_d(0, GICD_SPENDSGIR + 12, 0x1122_3344);
    machine.write_byte(0, GICD_SPENDSGIR + 13, 0x80);
    assert_eq!(machine.read_d(0, GICD_SPENDSGIR + 12), 0x1122_b344);
    machine.write_byte(0, GICD_CPENDSGIR + 14, 0x02);
    assert_eq!(machine.read_d(0, GICD_CPENDSGIR + 12), 0x1120_b344);
    assert_eq!(machine.read_byte(0, GICD_CPENDSGIR + 13), 0xb3);
}

#[test]
fn sources_that_do_not_exist_cannot_be_pending() {
    let mut machine = Machine::booted(3, 32);
    machine.write_d(0, GICD_SPENDSGIR, !0);
    assert_eq!(machine.read_d(0, GICD_SPENDSGIR), 0x0707_0707);
}

#[test]
fn ispendr_and_icpendr_do_not_touch_sgis() {
    let mut machine = Machine::booted(2, 32);
    machine.write_d(0, GICD_ISPENDR, 0xffff);
    assert_eq!(machine.read_d(0, GICD_ISPENDR), 0);
    machine.write_d(0, GICD_SGIR, sgi_to(0b01, 3));
    machine.write_d(0, GICD_ICPENDR, 0xffff);
    assert_eq!(machine.read_d(0, GICD_ISPENDR), 1 << 3);
}

#[test]
fn sgis_are_always_enabled() {
    let mut machine = Machine::reset(2, 32);
    assert_eq!(machine.read_d(1, GICD_ISENABLER), 0xffff);
    machine.write_d(1, GICD_ICENABLER, !0);
    assert_eq!(machine.read_d(1, GICD_ICENABLER), 0xffff);
}

#[test]
fn an_sgi_sent_while_the_distributor_is_disabled_waits() {
    let mut machine = Machine::booted(2, 32);
    machine.write_d(0, GICD_CTLR, 0);
    machine.write_d(0, GICD_SGIR, sgi_to(0b10, 3));
    assert_eq!(machine.lines(1), NONE);
    machine.write_d(0, GICD_CTLR, 1);
    assert_eq!(machine.lines(1), IRQ);
}

#[test]
fn a_storm_between_8_cpus_delivers_each_sgi_once() {
    let mut machine = Machine::booted(8, 32);
    for intid in 0..16 {
        for source in 0..8 {
            machine.write_d(source, GICD_SGIR, sgi_to(0xff, intid));
        }
    }
    for cpu in 0..8 {
        let mut received = vec![];
        while machine.lines(cpu).irq {
            let iar = machine.acknowledge(cpu);
            received.push(iar);
            machine.end(cpu, iar);
        }
        let sent: Vec<_> = (0..16).flat_map(|intid| (0..8).map(move |source| sgi_iar(source, intid))).collect();
        assert_eq!(received, sent, "CPU {cpu}");
    }
}

#[test]
fn sgir_reads_as_zero() {
    let mut machine = Machine::booted(2, 32);
    machine.write_d(0, GICD_SGIR, sgi_to(0b10, 3));
    assert_eq!(machine.read_d(0, GICD_SGIR), 0);
}
