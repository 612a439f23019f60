//! GICC_IAR, GICC_HPPIR and the lines.

use crate::machine::*;

#[test]
fn at_reset_nothing_is_signalled_and_iar_reads_spurious() {
    let mut machine = Machine::reset(1, 32);
    machine.ppi(0, TIMER, true);
    assert_eq!(machine.lines(0), NONE);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
    assert_eq!(machine.read_c(0, GICC_HPPIR), SPURIOUS);
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
}

#[test]
fn every_enable_on_the_way_is_needed() {
    let enables = [(GICD_CTLR, 0), (GICD_ICENABLER, 1 << TIMER)];
    for (offset, value) in enables {
        let mut machine = Machine::booted(1, 32);
        machine.ppi(0, TIMER, true);
        assert_eq!(machine.lines(0), IRQ);
        machine.write_d(0, offset, value);
        assert_eq!(machine.lines(0), NONE, "after {value:#x} to GICD {offset:#x}");
        assert_eq!(machine.acknowledge(0), SPURIOUS, "after {value:#x} to GICD {offset:#x}");
    }
    let mut machine = Machine::booted(1, 32);
    machine.ppi(0, TIMER, true);
    machine.write_c(0, GICC_CTLR, 0);
    assert_eq!(machine.lines(0), NONE);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
    machine.write_c(0, GICC_CTLR, CTLR_GRP0);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn linux_needs_only_the_lowest_bit_of_each_ctlr() {
    let mut machine = Machine::reset(1, 32);
    machine.write_d(0, GICD_CTLR, 1);
    machine.write_c(0, GICC_PMR, 0xf0);
    machine.write_c(0, GICC_CTLR, 1);
    machine.write_bit(0, GICD_ISENABLER, TIMER);
    machine.set_priority(0, TIMER, 0xa0);
    machine.ppi(0, TIMER, true);
    assert_eq!(machine.lines(0), IRQ);
    assert_eq!(machine.acknowledge(0), TIMER);
}

#[test]
fn acknowledging_lowers_the_line() {
    let mut machine = Machine::booted(1, 32);
    machine.ppi(0, TIMER, true);
    assert_eq!(machine.acknowledge(0), TIMER);
    assert_eq!(machine.lines(0), NONE);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
    assert!(machine.read_bit(0, GICD_ISACTIVER, TIMER));
}

#[test]
fn the_highest_priority_comes_first_and_then_the_lowest_intid() {
    let mut machine = Machine::booted(1, 64);
    for intid in [80, 40, 60, 33] {
        machine.set_edge(intid);
        machine.pulse(intid);
    }
    machine.set_priority(0, 60, 0x40);
    let mut order = vec![];
    for _ in 0..4 {
        let iar = machine.acknowledge(0);
        order.push(iar);
        machine.end(0, iar);
    }
    assert_eq!(order, [60, 33, 40, 80]);
}

#[test]
fn an_interrupt_is_signalled_only_if_its_priority_is_higher_than_pmr() {
    let mut machine = Machine::booted(1, 32);
    machine.ppi(0, TIMER, true);
    for (pmr, lines) in [(0, NONE), (0x78, NONE), (0x80, NONE), (0x87, NONE), (0x88, IRQ), (0xff, IRQ)] {
        machine.write_c(0, GICC_PMR, pmr);
        assert_eq!(machine.lines(0), lines, "priority 0x80 with PMR {pmr:#x}");
    }
}

#[test]
fn the_lowest_priority_is_never_signalled() {
    let mut machine = Machine::booted(1, 32);
    machine.set_priority(0, TIMER, 0xff);
    machine.ppi(0, TIMER, true);
    assert_eq!(machine.lines(0), NONE);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
}

#[test]
fn hppir_shows_what_pmr_masks() {
    let mut machine = Machine::booted(1, 32);
    machine.ppi(0, TIMER, true);
    machine.write_c(0, GICC_PMR, 0);
    assert_eq!(machine.lines(0), NONE);
    assert_eq!(machine.read_c(0, GICC_HPPIR), TIMER);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
}

#[test]
fn hppir_does_not_acknowledge() {
    let mut machine = Machine::booted(1, 32);
    machine.ppi(0, TIMER, true);
    assert_eq!(machine.read_c(0, GICC_HPPIR), TIMER);
    assert_eq!(machine.read_c(0, GICC_HPPIR), TIMER);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, TIMER));
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
}

#[test]
fn a_pending_interrupt_that_is_active_is_not_offered_again() {
    let mut machine = Machine::booted(1, 32);
    machine.ppi(0, TIMER, true);
    let iar = machine.acknowledge(0);
    assert!(machine.read_bit(0, GICD_ISPENDR, TIMER), "active and pending");
    assert_eq!(machine.read_c(0, GICC_HPPIR), SPURIOUS);
    machine.end(0, iar);
    assert_eq!(machine.read_c(0, GICC_HPPIR), TIMER);
}

#[test]
fn raising_the_priority_of_a_pending_interrupt_signals_it() {
    let mut machine = Machine::booted(1, 32);
    machine.write_c(0, GICC_PMR, 0x80);
    machine.ppi(0, TIMER, true);
    assert_eq!(machine.lines(0), NONE);
    machine.set_priority(0, TIMER, 0x78);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn writing_read_only_registers_changes_nothing() {
    let mut machine = Machine::booted(2, 32);
    machine.ppi(0, TIMER, true);
    let before = machine.gic.save();
    for offset in [GICC_IAR, GICC_RPR, GICC_HPPIR, GICC_AIAR, GICC_AHPPIR, GICC_IIDR] {
        machine.write_c(0, offset, !0);
        assert!(machine.gic.save() == before, "a write to GICC {offset:#x} did something");
    }
    for offset in [GICC_EOIR, GICC_AEOIR, GICC_DIR] {
        assert_eq!(machine.read_c(0, offset), 0, "GICC {offset:#x} is write-only");
        assert!(machine.gic.save() == before, "a read of GICC {offset:#x} did something");
    }
}

#[test]
fn pmr_and_the_binary_points_keep_only_the_bits_that_exist() {
    let mut machine = Machine::reset(1, 32);
    for (offset, reset) in [(GICC_PMR, 0), (GICC_BPR, 2), (GICC_ABPR, 2)] {
        assert_eq!(machine.read_c(0, offset), reset, "GICC {offset:#x} at reset");
    }
    machine.write_c(0, GICC_PMR, !0);
    assert_eq!(machine.read_c(0, GICC_PMR), 0xf8);
    for offset in [GICC_BPR, GICC_ABPR] {
        for (written, read) in [(0, 2), (1, 2), (2, 2), (3, 3), (7, 7), (8, 2), (!0, 7)] {
            machine.write_c(0, offset, written);
            assert_eq!(machine.read_c(0, offset), read, "GICC {offset:#x} after {written:#x}");
        }
    }
}

#[test]
fn bpr_and_abpr_are_two_registers() {
    let mut machine = Machine::reset(1, 32);
    machine.write_c(0, GICC_BPR, 5);
    machine.write_c(0, GICC_ABPR, 6);
    assert_eq!((machine.read_c(0, GICC_BPR), machine.read_c(0, GICC_ABPR)), (5, 6));
}

#[test]
fn gicc_ctlr_has_ten_bits() {
    let mut machine = Machine::reset(1, 32);
    machine.write_c(0, GICC_CTLR, !0);
    assert_eq!(machine.read_c(0, GICC_CTLR), 0x3ff);
    machine.write_c(0, GICC_CTLR, 0);
    assert_eq!(machine.read_c(0, GICC_CTLR), 0);
}

#[test]
fn the_cpu_interface_names_its_architecture() {
    let mut machine = Machine::reset(1, 32);
    assert_eq!(machine.read_c(0, GICC_IIDR) >> 16 & 0xf, 2);
    assert_eq!(machine.read_c(0, GICC_IIDR) & 0xfff, 0x43b);
}
