//! Level-sensitive and edge-triggered inputs `[GICv2/4.3.8]`, and GICD_ISPENDR and GICD_ICPENDR.

use crate::machine::*;

#[test]
fn a_level_still_high_at_eoi_fires_again() {
    let mut machine = Machine::booted(1, 32);
    machine.spi(40, true);
    for _ in 0..3 {
        assert_eq!(machine.lines(0), IRQ);
        assert_eq!(machine.acknowledge(0), 40);
        assert_eq!(machine.lines(0), NONE, "active and pending is not signalled");
        machine.end(0, 40);
    }
    machine.spi(40, false);
    assert_eq!(machine.lines(0), NONE);
}

#[test]
fn a_level_that_fell_before_eoi_does_not_fire_again() {
    let mut machine = Machine::booted(1, 32);
    machine.ppi(0, TIMER, true);
    assert_eq!(machine.acknowledge(0), TIMER);
    machine.ppi(0, TIMER, false);
    machine.end(0, TIMER);
    assert_eq!(machine.lines(0), NONE);
    assert!(!machine.read_bit(0, GICD_ISPENDR, TIMER));
}

#[test]
fn a_level_that_fell_before_the_acknowledge_is_spurious() {
    let mut machine = Machine::booted(1, 32);
    machine.spi(40, true);
    machine.spi(40, false);
    assert_eq!(machine.lines(0), NONE);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
}

#[test]
fn an_edge_whose_input_stays_high_fires_once() {
    let mut machine = Machine::booted(1, 32);
    machine.set_edge(40);
    machine.spi(40, true);
    assert_eq!(machine.acknowledge(0), 40);
    machine.end(0, 40);
    assert_eq!(machine.lines(0), NONE);
    machine.spi(40, true);
    assert_eq!(machine.lines(0), NONE, "an input that stays high has no edge");
    machine.spi(40, false);
    assert_eq!(machine.lines(0), NONE, "a falling edge is none");
    assert_eq!(machine.acknowledge(0), SPURIOUS);
}

#[test]
fn an_edge_stays_pending_when_the_input_falls() {
    let mut machine = Machine::booted(1, 32);
    machine.set_edge(40);
    machine.pulse(40);
    assert_eq!(machine.lines(0), IRQ);
    assert_eq!(machine.acknowledge(0), 40);
}

#[test]
fn edges_before_the_acknowledge_count_once_and_one_after_it_counts_again() {
    let mut machine = Machine::booted(1, 32);
    machine.set_edge(40);
    machine.pulse(40);
    machine.pulse(40);
    assert_eq!(machine.acknowledge(0), 40);
    machine.pulse(40);
    assert_eq!(machine.lines(0), NONE);
    machine.end(0, 40);
    assert_eq!(machine.lines(0), IRQ);
    assert_eq!(machine.acknowledge(0), 40);
    machine.end(0, 40);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
}

#[test]
fn an_edge_is_latched_while_the_interrupt_is_disabled() {
    let mut machine = Machine::booted(1, 32);
    machine.set_edge(40);
    machine.write_bit(0, GICD_ICENABLER, 40);
    machine.pulse(40);
    assert_eq!(machine.lines(0), NONE);
    assert!(machine.read_bit(0, GICD_ISPENDR, 40));
    machine.write_bit(0, GICD_ISENABLER, 40);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn ispendr_makes_a_level_interrupt_pending_until_it_is_acknowledged() {
    let mut machine = Machine::booted(1, 32);
    machine.write_bit(0, GICD_ISPENDR, 40);
    assert_eq!(machine.acknowledge(0), 40);
    assert!(!machine.read_bit(0, GICD_ISPENDR, 40));
    machine.end(0, 40);
    assert_eq!(machine.lines(0), NONE);
}

#[test]
fn icpendr_clears_the_latch_but_not_the_line() {
    let mut machine = Machine::booted(1, 32);
    machine.spi(40, true);
    machine.write_bit(0, GICD_ISPENDR, 40);
    machine.write_bit(0, GICD_ICPENDR, 40);
    assert!(machine.read_bit(0, GICD_ICPENDR, 40), "the line is high");
    assert_eq!(machine.lines(0), IRQ);
    machine.spi(40, false);
    assert!(!machine.read_bit(0, GICD_ICPENDR, 40), "the latch was cleared");
    assert_eq!(machine.lines(0), NONE);
}

#[test]
fn icpendr_forgets_an_edge() {
    let mut machine = Machine::booted(1, 32);
    machine.set_edge(40);
    machine.spi(40, true);
    machine.write_bit(0, GICD_ICPENDR, 40);
    assert_eq!(machine.lines(0), NONE);
}

#[test]
fn a_latch_set_while_active_outlives_the_end() {
    let mut machine = Machine::booted(1, 32);
    machine.write_bit(0, GICD_ISPENDR, TIMER);
    assert_eq!(machine.acknowledge(0), TIMER);
    machine.write_bit(0, GICD_ISPENDR, TIMER);
    machine.end(0, TIMER);
    assert_eq!(machine.acknowledge(0), TIMER);
}

#[test]
fn a_level_that_was_latched_too_is_pending_only_for_its_line_after_the_acknowledge() {
    let mut machine = Machine::booted(1, 32);
    machine.spi(40, true);
    machine.write_bit(0, GICD_ISPENDR, 40);
    assert_eq!(machine.acknowledge(0), 40);
    machine.spi(40, false);
    machine.end(0, 40);
    assert_eq!(machine.lines(0), NONE);
}

#[test]
fn changing_the_trigger_neither_latches_nor_loses_a_line() {
    let mut machine = Machine::booted(1, 32);
    machine.spi(40, true);
    machine.set_edge(40);
    assert_eq!(machine.lines(0), NONE, "a high input is no edge");
    machine.write_d(0, GICD_ICFGR + 8, 0);
    assert_eq!(machine.lines(0), IRQ, "the input is still high");
}

#[test]
fn a_ppi_is_one_cpus_own() {
    let mut machine = Machine::booted(3, 32);
    machine.ppi(1, TIMER, true);
    assert_eq!([0, 1, 2].map(|cpu| machine.lines(cpu)), [NONE, IRQ, NONE]);
    assert_eq!([0, 1, 2].map(|cpu| machine.read_bit(cpu, GICD_ISPENDR, TIMER)), [false, true, false]);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
    assert_eq!(machine.acknowledge(1), TIMER);
}

#[test]
fn inputs_that_do_not_exist_are_ignored() {
    let mut machine = Machine::booted(2, 32);
    let before = machine.gic.save();
    machine.ppi(0, 15, true);
    machine.ppi(0, 32, true);
    machine.ppi(2, TIMER, true);
    machine.ppi(usize::MAX, u32::MAX, true);
    machine.spi(31, true);
    machine.spi(64, true);
    machine.spi(u32::MAX, true);
    assert!(machine.gic.save() == before);
}
