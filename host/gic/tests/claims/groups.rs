//! Group 0, Group 1 and FIQ.

use crate::machine::*;

/// SPI 40 in Group 0, SPI 41 in Group 1; both level-sensitive, both at priority 0x80.
fn with_groups(ctlr: u32) -> Machine {
    let mut machine = Machine::booted(1, 32);
    machine.set_group_1(0, 41);
    machine.write_c(0, GICC_CTLR, ctlr);
    machine
}

const BOTH: u32 = CTLR_GRP0 | CTLR_GRP1;

#[test]
fn at_reset_every_interrupt_is_in_group_0() {
    let mut machine = Machine::reset(1, 32);
    assert_eq!((machine.read_d(0, GICD_IGROUPR), machine.read_d(0, GICD_IGROUPR + 4)), (0, 0));
}

#[test]
fn group_0_raises_irq_or_with_fiqen_fiq() {
    let mut machine = with_groups(BOTH);
    machine.spi(40, true);
    assert_eq!(machine.lines(0), IRQ);
    machine.write_c(0, GICC_CTLR, BOTH | CTLR_FIQ_EN);
    assert_eq!(machine.lines(0), FIQ);
}

#[test]
fn group_1_raises_irq_whatever_fiqen_says() {
    let mut machine = with_groups(BOTH | CTLR_FIQ_EN);
    machine.spi(41, true);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn of_both_groups_at_once_the_highest_alone_raises_its_line() {
    let mut machine = with_groups(BOTH | CTLR_FIQ_EN);
    machine.spi(40, true);
    machine.spi(41, true);
    assert_eq!(machine.lines(0), FIQ);
    machine.set_priority(0, 41, 0x40);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn each_group_has_its_enable_in_the_distributor() {
    let mut machine = with_groups(BOTH);
    machine.spi(40, true);
    machine.spi(41, true);
    machine.write_d(0, GICD_CTLR, CTLR_GRP1);
    assert_eq!(machine.read_c(0, GICC_AHPPIR), 41, "Group 0 is not forwarded");
    assert_eq!(machine.lines(0), IRQ);
    machine.write_d(0, GICD_CTLR, CTLR_GRP0);
    assert_eq!(machine.read_c(0, GICC_HPPIR), 40);
    machine.spi(40, false);
    assert_eq!(machine.lines(0), NONE, "Group 1 is not forwarded");
}

#[test]
fn a_group_disabled_in_the_cpu_interface_hides_what_is_below_it() {
    let mut machine = with_groups(CTLR_GRP1);
    machine.set_priority(0, 40, 0x40);
    machine.spi(40, true);
    machine.spi(41, true);
    assert_eq!(machine.lines(0), NONE, "the highest pending interrupt is of the disabled Group 0");
    assert_eq!(machine.read_c(0, GICC_AIAR), SPURIOUS);
    assert_eq!(machine.read_c(0, GICC_HPPIR), SPURIOUS);
    machine.spi(40, false);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn iar_reads_1022_for_group_1_unless_ackctl_is_set() {
    let mut machine = with_groups(BOTH);
    machine.spi(41, true);
    assert_eq!(machine.acknowledge(0), GROUP_1_WAITS);
    assert_eq!(machine.read_c(0, GICC_HPPIR), GROUP_1_WAITS);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, 41), "1022 acknowledges nothing");
    assert_eq!(machine.lines(0), IRQ);
    machine.write_c(0, GICC_CTLR, BOTH | CTLR_ACK_CTL);
    assert_eq!(machine.read_c(0, GICC_HPPIR), 41);
    assert_eq!(machine.acknowledge(0), 41);
    machine.end(0, 41);
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, 41));
}

#[test]
fn iar_reads_1023_for_group_1_that_is_not_of_sufficient_priority() {
    let mut machine = with_groups(BOTH);
    machine.spi(41, true);
    machine.write_c(0, GICC_PMR, 0x80);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
    assert_eq!(machine.read_c(0, GICC_HPPIR), GROUP_1_WAITS);
}

#[test]
fn the_aliased_registers_acknowledge_and_end_group_1_and_see_nothing_of_group_0() {
    let mut machine = with_groups(BOTH);
    machine.spi(41, true);
    assert_eq!(machine.read_c(0, GICC_AHPPIR), 41);
    assert_eq!(machine.read_c(0, GICC_AIAR), 41);
    assert_eq!((machine.read_c(0, GICC_APR), machine.read_c(0, GICC_NSAPR)), (0, 1 << (0x80 >> 3)));
    machine.write_c(0, GICC_AEOIR, 41);
    assert_eq!(machine.read_c(0, GICC_NSAPR), 0);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, 41));

    machine.spi(41, false);
    machine.spi(40, true);
    assert_eq!(machine.read_c(0, GICC_AHPPIR), SPURIOUS);
    assert_eq!(machine.read_c(0, GICC_AIAR), SPURIOUS);
    assert_eq!(machine.acknowledge(0), 40);
    machine.write_c(0, GICC_AEOIR, 40);
    assert!(machine.read_bit(0, GICD_ISACTIVER, 40), "AEOIR doesn't end Group 0");
    assert_eq!(machine.read_c(0, GICC_RPR), 0x80);
}

#[test]
fn an_interrupt_of_one_group_preempts_one_of_the_other() {
    let mut machine = with_groups(BOTH | CTLR_FIQ_EN);
    machine.spi(41, true);
    assert_eq!(machine.read_c(0, GICC_AIAR), 41);
    machine.spi(40, true);
    assert_eq!(machine.lines(0), NONE, "equal priority");
    machine.set_priority(0, 40, 0x40);
    assert_eq!(machine.lines(0), FIQ);
    assert_eq!(machine.acknowledge(0), 40);
    assert_eq!(machine.read_c(0, GICC_RPR), 0x40);
    machine.end(0, 40);
    assert_eq!(machine.read_c(0, GICC_RPR), 0x80, "Group 1's priority is still active");
    machine.write_c(0, GICC_AEOIR, 41);
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
}

#[test]
fn an_end_drops_the_priority_of_its_own_group() {
    let mut machine = with_groups(BOTH);
    machine.spi(41, true);
    machine.read_c(0, GICC_AIAR);
    machine.set_priority(0, 40, 0x40);
    machine.spi(40, true);
    machine.acknowledge(0);
    machine.write_c(0, GICC_AEOIR, 41);
    assert_eq!((machine.read_c(0, GICC_APR), machine.read_c(0, GICC_NSAPR)), (1 << (0x40 >> 3), 0));
    assert_eq!(machine.read_c(0, GICC_RPR), 0x40);
}

#[test]
fn abpr_is_group_1s_binary_point_unless_cbpr_is_set() {
    for (ctlr, bpr, abpr, lines) in
        [(BOTH, 2, 6, NONE), (BOTH, 6, 2, IRQ), (BOTH | CTLR_CBPR, 2, 6, IRQ), (BOTH | CTLR_CBPR, 6, 2, NONE)]
    {
        let mut machine = with_groups(ctlr);
        machine.write_c(0, GICC_BPR, bpr);
        machine.write_c(0, GICC_ABPR, abpr);
        machine.set_priority(0, 41, 0xb0);
        machine.write_c(0, GICC_APR, 1 << (0xb8 >> 3));
        machine.spi(41, true);
        assert_eq!(machine.lines(0), lines, "CTLR {ctlr:#x}, BPR {bpr}, ABPR {abpr}");
    }
}

#[test]
fn sgis_and_ppis_have_a_group_on_each_cpu() {
    let mut machine = Machine::booted(2, 32);
    machine.write_c(0, GICC_CTLR, BOTH | CTLR_FIQ_EN);
    machine.write_c(1, GICC_CTLR, BOTH | CTLR_FIQ_EN);
    machine.write_d(1, GICD_IGROUPR, 1 << 5);
    machine.write_d(0, GICD_SGIR, sgi_to(0b11, 5));
    assert_eq!((machine.lines(0), machine.lines(1)), (FIQ, IRQ));
    assert_eq!((machine.read_d(0, GICD_IGROUPR), machine.read_d(1, GICD_IGROUPR)), (0, 1 << 5));
}

#[test]
fn aiar_shows_the_source_of_an_sgi() {
    let mut machine = Machine::booted(2, 32);
    machine.set_group_1(0, 5);
    machine.write_d(1, GICD_SGIR, sgi_to(0b01, 5));
    assert_eq!(machine.read_c(0, GICC_AHPPIR), sgi_iar(1, 5));
    assert_eq!(machine.read_c(0, GICC_AIAR), sgi_iar(1, 5));
}

#[test]
fn a_bypassed_line_stays_low() {
    let mut machine = with_groups(0);
    for bypass in 0..16 {
        machine.write_c(0, GICC_CTLR, bypass << 5);
        machine.spi(40, true);
        assert_eq!(machine.lines(0), NONE);
        assert_eq!(machine.read_c(0, GICC_CTLR), bypass << 5);
    }
}
