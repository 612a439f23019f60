//! Priority drop and deactivation: EOIR, DIR, EOImode, GICD_ISACTIVER and GICD_ICACTIVER `[GICv2/3.2.1]`.

use crate::machine::*;

fn split(cpus: usize) -> Machine {
    let mut machine = Machine::booted(cpus, 32);
    for cpu in 0..cpus {
        machine.write_c(cpu, GICC_CTLR, CTLR_GRP0 | CTLR_GRP1 | CTLR_EOI_MODE);
    }
    machine
}

#[test]
fn with_eoimode_0_eoir_drops_and_deactivates() {
    let mut machine = Machine::booted(1, 32);
    machine.ppi(0, TIMER, true);
    machine.acknowledge(0);
    machine.end(0, TIMER);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, TIMER));
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
}

#[test]
fn with_eoimode_1_eoir_only_drops_and_dir_deactivates() {
    let mut machine = split(1);
    machine.ppi(0, TIMER, true);
    assert_eq!(machine.acknowledge(0), TIMER);
    machine.end(0, TIMER);
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE, "dropped");
    assert!(machine.read_bit(0, GICD_ISACTIVER, TIMER), "still active");
    assert_eq!(machine.lines(0), NONE, "and so it isn't signalled again");
    // An equal priority may now run, which is what the split is for.
    machine.spi(40, true);
    assert_eq!(machine.acknowledge(0), 40);
    machine.end(0, 40);
    machine.write_c(0, GICC_DIR, TIMER);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, TIMER));
    assert_eq!(machine.lines(0), IRQ, "the line is still high");
}

#[test]
fn with_eoimode_1_dir_before_eoir_deactivates_but_does_not_drop() {
    let mut machine = split(1);
    machine.spi(40, true);
    machine.acknowledge(0);
    machine.write_c(0, GICC_DIR, 40);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, 40));
    assert_eq!(machine.read_c(0, GICC_RPR), 0x80);
    assert_eq!(machine.lines(0), NONE);
    machine.end(0, 40);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn with_eoimode_0_dir_is_ignored() {
    let mut machine = Machine::booted(1, 32);
    machine.spi(40, true);
    machine.acknowledge(0);
    machine.write_c(0, GICC_DIR, 40);
    assert!(machine.read_bit(0, GICD_ISACTIVER, 40));
}

#[test]
fn another_cpu_may_deactivate_an_spi() {
    let mut machine = split(2);
    machine.spi(40, true);
    machine.acknowledge(0);
    machine.end(0, 40);
    machine.write_c(1, GICC_DIR, 40);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, 40));
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn dir_deactivates_only_the_writers_own_ppi() {
    let mut machine = split(2);
    for cpu in 0..2 {
        machine.ppi(cpu, TIMER, true);
        machine.acknowledge(cpu);
        machine.end(cpu, TIMER);
    }
    machine.write_c(1, GICC_DIR, TIMER);
    assert!(machine.read_bit(0, GICD_ISACTIVER, TIMER));
    assert!(!machine.read_bit(1, GICD_ISACTIVER, TIMER));
}

#[test]
fn ending_special_and_nonexistent_intids_does_nothing() {
    for mode in [0, CTLR_EOI_MODE] {
        let mut machine = Machine::booted(2, 32);
        machine.write_c(0, GICC_CTLR, CTLR_GRP0 | CTLR_GRP1 | mode);
        machine.spi(40, true);
        machine.acknowledge(0);
        let before = machine.gic.save();
        for intid in [64, 1019, 1020, 1021, 1022, 1023] {
            for offset in [GICC_EOIR, GICC_AEOIR, GICC_DIR] {
                machine.write_c(0, offset, intid);
                assert!(machine.gic.save() == before, "{intid} to GICC {offset:#x} did something");
            }
        }
    }
}

#[test]
fn an_end_without_an_active_priority_does_nothing() {
    let mut machine = Machine::booted(2, 32);
    machine.spi(40, true);
    machine.acknowledge(0);
    let before = machine.gic.save();
    machine.end(1, 40);
    assert!(machine.gic.save() == before, "CPU 1 ended what CPU 0 is handling");
}

#[test]
fn an_end_drops_the_priority_of_what_was_deactivated_meanwhile() {
    let mut machine = Machine::booted(2, 32);
    machine.spi(40, true);
    machine.acknowledge(0);
    machine.write_bit(1, GICD_ICACTIVER, 40);
    assert_eq!(machine.lines(0), NONE, "its priority is still active");
    machine.end(0, 40);
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn isactiver_holds_a_pending_interrupt_back_and_icactiver_lets_it_go() {
    let mut machine = Machine::booted(2, 32);
    machine.spi(40, true);
    machine.write_bit(1, GICD_ISACTIVER, 40);
    assert_eq!(machine.lines(0), NONE);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
    assert!(machine.read_bit(0, GICD_ICACTIVER, 40));
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE, "it raises no priority");
    machine.write_bit(1, GICD_ICACTIVER, 40);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn zeros_written_to_the_bits_of_others_change_nothing() {
    for set in [GICD_ISENABLER, GICD_ISPENDR, GICD_ISACTIVER] {
        let clear = set + 0x80;
        let mut machine = Machine::reset(1, 32);
        machine.write_d(0, set + 4, 0x0000_ff00);
        machine.write_d(0, set + 4, 0x00ff_0000);
        assert_eq!(machine.read_d(0, set + 4), 0x00ff_ff00, "after setting at {set:#x}");
        machine.write_d(0, clear + 4, 0x0001_0100);
        assert_eq!(machine.read_d(0, clear + 4), 0x00fe_fe00, "after clearing at {clear:#x}");
        assert_eq!(machine.read_d(0, set + 4), 0x00fe_fe00);
    }
}
