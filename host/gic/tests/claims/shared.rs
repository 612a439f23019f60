//! SPIs that several CPUs are offered: the 1-N model of the specification.

use crate::machine::*;

#[test]
fn whoever_acknowledges_first_gets_the_spi_and_the_others_see_spurious() {
    for first in 0..4 {
        let mut machine = Machine::booted(4, 32);
        machine.set_targets(40, 0xf);
        machine.spi(40, true);
        for cpu in 0..4 {
            assert_eq!(machine.lines(cpu), IRQ, "CPU {cpu}");
        }
        assert_eq!(machine.acknowledge(first), 40);
        for cpu in 0..4 {
            assert_eq!(machine.lines(cpu), NONE, "CPU {cpu} after CPU {first} has taken it");
            assert_eq!(machine.acknowledge(cpu), SPURIOUS, "CPU {cpu} after CPU {first} has taken it");
        }
        machine.end(first, 40);
        assert_eq!(machine.lines(0), IRQ);
    }
}

#[test]
fn an_edge_reaches_one_of_its_targets_only() {
    let mut machine = Machine::booted(3, 32);
    machine.set_targets(40, 0b110);
    machine.set_edge(40);
    machine.pulse(40);
    assert_eq!([0, 1, 2].map(|cpu| machine.acknowledge(cpu)), [SPURIOUS, 40, SPURIOUS]);
    machine.end(1, 40);
    assert_eq!([0, 1, 2].map(|cpu| machine.acknowledge(cpu)), [SPURIOUS; 3]);
}

#[test]
fn a_busy_cpu_leaves_the_spi_to_an_idle_one() {
    let mut machine = Machine::booted(2, 32);
    machine.ppi(0, TIMER, true);
    machine.acknowledge(0);
    machine.set_targets(40, 0b11);
    machine.spi(40, true);
    assert_eq!((machine.lines(0), machine.lines(1)), (NONE, IRQ));
}

#[test]
fn acknowledging_changes_the_lines_of_every_target_and_says_so() {
    let mut machine = Machine::booted(4, 32);
    machine.set_targets(40, 0b1101);
    machine.gic.take_changed();
    machine.spi(40, true);
    assert_eq!(machine.gic.take_changed(), 0b1101);
    assert_eq!(machine.gic.take_changed(), 0, "the call clears it");
    machine.acknowledge(2);
    assert_eq!(machine.gic.take_changed(), 0b1101);
}

#[test]
fn accesses_that_move_no_line_change_no_cpu() {
    let mut machine = Machine::booted(2, 32);
    machine.spi(40, true);
    machine.gic.take_changed();
    machine.spi(40, true);
    machine.spi(41, true);
    machine.read_c(0, GICC_HPPIR);
    machine.write_d(0, GICD_IPRIORITYR + 44, 0x1010_1010);
    machine.write_c(1, GICC_BPR, 3);
    assert_eq!(machine.gic.take_changed(), 0);
}

#[test]
fn a_line_that_went_down_and_up_again_counts_as_changed() {
    let mut machine = Machine::booted(1, 32);
    machine.spi(40, true);
    machine.gic.take_changed();
    machine.spi(40, false);
    machine.spi(40, true);
    assert_eq!(machine.gic.take_changed(), 1);
}

#[test]
fn a_new_gic_has_told_nobody_about_its_lines() {
    let mut machine = Machine::reset(3, 32);
    assert_eq!(machine.gic.take_changed(), 0b111);
}
