//! Saving and restoring.

use vtick_gic::{Gic, Group, State, StateError, Trigger};

use crate::machine::*;

/// In the middle of two nested interrupts, with an SGI pending from two CPUs, an edge latched and a line high.
fn busy() -> Machine {
    let mut machine = Machine::booted(4, 96);
    machine.set_edge(50);
    machine.set_priority(0, 40, 0x40);
    machine.set_targets(60, 0xf);
    machine.set_group_1(0, 60);
    machine.ppi(0, TIMER, true);
    machine.acknowledge(0);
    machine.spi(40, true);
    machine.acknowledge(0);
    machine.pulse(50);
    machine.spi(60, true);
    machine.write_d(2, GICD_SGIR, sgi_to(0xf, 3));
    machine.write_d(3, GICD_SGIR, sgi_to(0xf, 3));
    machine.acknowledge(1);
    machine.write_c(2, GICC_BPR, 5);
    machine.write_c(3, GICC_CTLR, CTLR_GRP0 | CTLR_FIQ_EN);
    machine
}

#[test]
fn a_restored_gic_goes_on_where_the_saved_one_was() {
    let mut machine = busy();
    let mut restored = Machine { gic: Gic::restore(&machine.gic.save()).expect("a saved state") };
    assert!(restored.gic.save() == machine.gic.save());
    let go_on = |machine: &mut Machine| {
        let mut seen = vec![];
        machine.end(0, 40);
        machine.spi(40, false);
        machine.end(0, TIMER);
        machine.ppi(0, TIMER, false);
        machine.end(1, sgi_iar(2, 3));
        for cpu in 0..4 {
            seen.push((machine.lines(cpu).irq.into(), machine.lines(cpu).fiq.into()));
            for _ in 0..4 {
                let iar = machine.acknowledge(cpu);
                seen.push((cpu as u32, iar));
                machine.end(cpu, iar);
            }
        }
        seen
    };
    assert_eq!(go_on(&mut restored), go_on(&mut machine));
    assert!(restored.gic.save() == machine.gic.save());
}

#[test]
fn after_restoring_every_cpus_line_is_to_be_looked_at() {
    let machine = busy();
    let mut restored = Gic::restore(&machine.gic.save()).expect("a saved state");
    assert_eq!(restored.take_changed(), 0xf);
    for cpu in 0..4 {
        assert_eq!(restored.output(cpu), machine.lines(cpu), "CPU {cpu}");
    }
}

#[test]
fn states_that_no_gic_can_be_in_are_refused() {
    let interrupt = |cpu, intid| StateError::Interrupt { cpu, intid };
    type Damage = fn(&mut State);
    let damages: &[(Damage, StateError)] = &[
        (|s| s.version = 2, StateError::Version(2)),
        (|s| s.cpus = 0, StateError::Size { cpus: 0, interrupts: 128 }),
        (|s| s.cpus = 9, StateError::Size { cpus: 9, interrupts: 128 }),
        (|s| s.interrupts = 0, StateError::Size { cpus: 4, interrupts: 0 }),
        (|s| s.interrupts = 100, StateError::Size { cpus: 4, interrupts: 100 }),
        (|s| s.interrupts = 1024, StateError::Size { cpus: 4, interrupts: 1024 }),
        (|s| s.distributor.ctlr = 4, StateError::Distributor),
        (|s| s.cpu_interfaces[1].ctlr = 1 << 10, StateError::CpuInterface { cpu: 1 }),
        (|s| s.cpu_interfaces[1].pmr = 1, StateError::CpuInterface { cpu: 1 }),
        (|s| s.cpu_interfaces[1].bpr = 1, StateError::CpuInterface { cpu: 1 }),
        (|s| s.cpu_interfaces[1].abpr = 8, StateError::CpuInterface { cpu: 1 }),
        (|s| s.cpu_interfaces[4].pmr = 0xf0, StateError::CpuInterface { cpu: 4 }),
        (|s| s.distributor.private[2][7].enabled = false, interrupt(2, 7)),
        (|s| s.distributor.private[2][7].pending_latch = true, interrupt(2, 7)),
        (|s| s.distributor.private[2][7].line_level = true, interrupt(2, 7)),
        (|s| s.distributor.private[2][7].sources = 0x10, interrupt(2, 7)),
        (|s| s.distributor.private[2][7].trigger = Trigger::Level, interrupt(2, 7)),
        (|s| s.distributor.private[2][7].source = 1, interrupt(2, 7)),
        (|s| (s.distributor.private[2][7].active, s.distributor.private[2][7].source) = (true, 4), interrupt(2, 7)),
        (|s| s.distributor.private[2][27].targets = 1, interrupt(2, 27)),
        (|s| s.distributor.private[2][27].sources = 1, interrupt(2, 27)),
        (|s| s.distributor.private[2][27].trigger = Trigger::Edge, interrupt(2, 27)),
        (|s| s.distributor.private[4][27].enabled = true, interrupt(4, 27)),
        (|s| s.distributor.shared[8].priority = 1, interrupt(0, 40)),
        (|s| s.distributor.shared[8].targets = 0x10, interrupt(0, 40)),
        (|s| s.distributor.shared[8].sources = 1, interrupt(0, 40)),
        (|s| s.distributor.shared[96].group = Group::One, interrupt(0, 128)),
    ];
    for (n, (damage, error)) in damages.iter().enumerate() {
        let mut state = busy().gic.save();
        damage(&mut state);
        match Gic::restore(&state) {
            Ok(_) => panic!("damage {n} was not noticed, expected: {error}"),
            Err(is) => assert_eq!(is, *error, "damage {n}"),
        }
    }
}
