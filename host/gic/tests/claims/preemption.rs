//! Priorities, nesting, binary points and the active priorities `[GICv2/3.3]`.

use crate::machine::*;

/// Edge-triggered SPIs 32 to 35 with these priorities.
fn with_priorities(priorities: [u32; 4]) -> Machine {
    let mut machine = Machine::booted(1, 32);
    for (intid, priority) in (32..).zip(priorities) {
        machine.set_edge(intid);
        machine.set_priority(0, intid, priority);
    }
    machine
}

#[test]
fn interrupts_nest_three_deep_and_unwind_in_order() {
    let mut machine = with_priorities([0xc0, 0x80, 0x40, 0x80]);
    for (depth, (intid, priority)) in [(32, 0xc0), (33, 0x80), (34, 0x40)].into_iter().enumerate() {
        machine.pulse(intid);
        assert_eq!(machine.lines(0), IRQ, "at depth {depth}");
        assert_eq!(machine.acknowledge(0), intid);
        assert_eq!(machine.read_c(0, GICC_RPR), priority);
        assert_eq!(machine.lines(0), NONE);
    }
    assert_eq!(machine.read_c(0, GICC_APR), 1 << (0xc0 >> 3) | 1 << (0x80 >> 3) | 1 << (0x40 >> 3));
    // Of the priority of the second level: it must wait until that has ended.
    machine.pulse(35);
    assert_eq!(machine.lines(0), NONE);
    machine.end(0, 34);
    assert_eq!((machine.lines(0), machine.read_c(0, GICC_RPR)), (NONE, 0x80));
    machine.end(0, 33);
    assert_eq!((machine.lines(0), machine.read_c(0, GICC_RPR)), (IRQ, 0xc0));
    assert_eq!(machine.acknowledge(0), 35);
    machine.end(0, 35);
    machine.end(0, 32);
    assert_eq!((machine.lines(0), machine.read_c(0, GICC_RPR)), (NONE, IDLE));
    assert_eq!(machine.read_c(0, GICC_APR), 0);
}

#[test]
fn equal_and_lower_priorities_do_not_preempt() {
    let mut machine = with_priorities([0x80, 0x80, 0x88, 0x78]);
    machine.pulse(32);
    assert_eq!(machine.acknowledge(0), 32);
    machine.pulse(33);
    machine.pulse(34);
    assert_eq!(machine.lines(0), NONE);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
    assert_eq!(machine.read_c(0, GICC_HPPIR), 33);
    machine.pulse(35);
    assert_eq!(machine.lines(0), IRQ);
    assert_eq!(machine.acknowledge(0), 35);
}

#[test]
fn all_32_levels_can_nest() {
    let mut machine = Machine::booted(1, 32);
    for level in (0..31).rev() {
        let intid = 32 + level;
        machine.set_priority(0, intid, level << 3);
        machine.spi(intid, true);
        assert_eq!(machine.acknowledge(0), intid, "level {level}");
    }
    assert_eq!(machine.read_c(0, GICC_APR), 0x7fff_ffff);
    for level in 0..31 {
        assert_eq!(machine.read_c(0, GICC_RPR), level << 3);
        machine.spi(32 + level, false);
        machine.end(0, 32 + level);
    }
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
}

#[test]
fn the_binary_point_says_which_bits_of_the_priority_preempt() {
    // With binary point n, bits [7:n+1] are the group priority.
    for (bpr, running, preempting) in
        [(2, 0xb8, 0xb0), (3, 0xb8, 0xa8), (4, 0xb8, 0x98), (5, 0xb8, 0x78), (5, 0xc8, 0xb8), (6, 0xc8, 0x78)]
    {
        let mut machine = with_priorities([running, preempting, 0, 0]);
        machine.write_c(0, GICC_BPR, bpr);
        machine.pulse(32);
        assert_eq!(machine.acknowledge(0), 32);
        machine.pulse(33);
        assert_eq!(machine.lines(0), IRQ, "{preempting:#x} over {running:#x} with binary point {bpr}");

        let mut machine = with_priorities([running, preempting + 8, 0, 0]);
        machine.write_c(0, GICC_BPR, bpr);
        machine.pulse(32);
        assert_eq!(machine.acknowledge(0), 32);
        machine.pulse(33);
        assert_eq!(machine.lines(0), NONE, "{:#x} over {running:#x} with binary point {bpr}", preempting + 8);
    }
}

#[test]
fn with_binary_point_7_nothing_preempts() {
    let mut machine = with_priorities([0xb8, 0, 0, 0]);
    machine.write_c(0, GICC_BPR, 7);
    machine.pulse(32);
    assert_eq!(machine.acknowledge(0), 32);
    machine.pulse(33);
    assert_eq!(machine.lines(0), NONE);
    machine.end(0, 32);
    assert_eq!(machine.acknowledge(0), 33);
}

#[test]
fn subpriority_still_orders_what_is_pending() {
    let mut machine = with_priorities([0xb8, 0xb0, 0xa8, 0]);
    machine.write_c(0, GICC_BPR, 7);
    for intid in [32, 33, 34] {
        machine.pulse(intid);
    }
    assert_eq!(machine.acknowledge(0), 34);
}

#[test]
fn the_running_priority_is_the_group_priority() {
    let mut machine = with_priorities([0xb8, 0, 0, 0]);
    machine.write_c(0, GICC_BPR, 4);
    machine.pulse(32);
    assert_eq!(machine.acknowledge(0), 32);
    assert_eq!(machine.read_c(0, GICC_RPR), 0xa0);
    assert_eq!(machine.read_c(0, GICC_APR), 1 << (0xa0 >> 3));
}

#[test]
fn the_binary_point_of_the_new_interrupt_cuts_the_running_priority_too() {
    let mut machine = with_priorities([0xb8, 0xb0, 0xa8, 0]);
    machine.pulse(32);
    assert_eq!(machine.acknowledge(0), 32);
    // 0xb0 is above the running 0xb8, but not above the 0xb0 that this binary point makes of it.
    machine.write_c(0, GICC_BPR, 3);
    machine.pulse(33);
    assert_eq!(machine.lines(0), NONE);
    machine.pulse(34);
    assert_eq!(machine.lines(0), IRQ);
}

#[test]
fn eoir_drops_the_highest_active_priority_whatever_the_order() {
    let mut machine = with_priorities([0xc0, 0x80, 0, 0]);
    machine.pulse(32);
    machine.acknowledge(0);
    machine.pulse(33);
    machine.acknowledge(0);
    machine.end(0, 32);
    assert_eq!(machine.read_c(0, GICC_RPR), 0xc0);
    assert!(!machine.read_bit(0, GICD_ISACTIVER, 32));
    assert!(machine.read_bit(0, GICD_ISACTIVER, 33));
}

#[test]
fn active_priorities_can_be_read_and_written() {
    let mut machine = with_priorities([0x80, 0x40, 0, 0]);
    machine.write_c(0, GICC_APR, 1 << (0x80 >> 3));
    assert_eq!(machine.read_c(0, GICC_RPR), 0x80);
    machine.pulse(32);
    assert_eq!(machine.lines(0), NONE);
    machine.write_c(0, GICC_NSAPR, 1 << (0x40 >> 3));
    assert_eq!(machine.read_c(0, GICC_RPR), 0x40);
    machine.write_c(0, GICC_APR, 0);
    machine.pulse(33);
    assert_eq!(machine.lines(0), NONE, "Group 1's active priority masks Group 0 too");
    machine.write_c(0, GICC_NSAPR, 0);
    assert_eq!(machine.lines(0), IRQ);
    for offset in [GICC_APR + 4, GICC_APR + 8, GICC_APR + 12, GICC_NSAPR + 4, GICC_NSAPR + 8, GICC_NSAPR + 12] {
        machine.write_c(0, offset, !0);
        assert_eq!(machine.read_c(0, offset), 0, "GICC {offset:#x} is RAZ/WI");
    }
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
}

#[test]
fn the_active_priority_is_the_one_at_the_time_of_the_acknowledge() {
    let mut machine = with_priorities([0x80, 0, 0, 0]);
    machine.pulse(32);
    machine.acknowledge(0);
    machine.set_priority(0, 32, 0x10);
    assert_eq!(machine.read_c(0, GICC_RPR), 0x80);
    machine.end(0, 32);
    assert_eq!(machine.read_c(0, GICC_RPR), IDLE);
}

#[test]
fn each_cpu_has_its_own_running_priority() {
    let mut machine = Machine::booted(2, 32);
    machine.ppi(0, TIMER, true);
    machine.ppi(1, TIMER, true);
    assert_eq!(machine.acknowledge(0), TIMER);
    assert_eq!((machine.read_c(0, GICC_RPR), machine.read_c(1, GICC_RPR)), (0x80, IDLE));
    assert_eq!((machine.lines(0), machine.lines(1)), (NONE, IRQ));
}
