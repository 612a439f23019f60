//! Nothing to object to.

use vtick_abi::litmus::{kind, sysreg};

use super::*;
use crate::Action;

/// A program with the vtimer due at 1000: armed, spun past, an MMIO read, turned off, a HVC, a note.
pub(super) struct Spin {
    pub(super) program: Program,
    pub(super) cval: Step,
    pub(super) ctl: Step,
    pub(super) spin: Step,
    pub(super) read: Step,
    pub(super) off: Step,
    pub(super) call: Step,
    pub(super) note: Step,
}

pub(super) fn spin() -> Spin {
    let mut p = Program::new(1_000_000);
    let cval = p.write(sysreg::CNTV_CVAL, 1000);
    let ctl = p.write(sysreg::CNTV_CTL, 1);
    let spin = p.spin_until(2000);
    let read = p.mmio_read();
    let off = p.write(sysreg::CNTV_CTL, 0);
    let call = p.hvc_psci_version();
    let note = p.note(0);
    Spin { program: p, cval, ctl, spin, read, off, call, note }
}

impl Spin {
    /// What its guest does, whatever KVM_RUN returns.
    pub(super) fn guest(self) -> Tape {
        let Spin { program, cval, ctl, spin, read, off, call, note } = self;
        Tape::new(program)
            .op(cval, 10, 12, 1000)
            .op(ctl, 14, 16, 1)
            .op(spin, 20, 2000, 2000)
            .op(read, 2010, 2060, mailbox::SCRATCH_VALUE)
            .op(off, 2070, 2072, 0)
            .op(call, 2080, 2200, 0x10000)
            .op(note, 2210, 2212, 0)
    }
}

#[test]
fn a_level_that_rises_and_falls_and_is_told_each_time() {
    let tape = spin().guest();
    let tape = tape.run(5, 1030, EINTR, VTIMER).reason(10).run(1040, 2030, READ, VTIMER);
    let tape = tape.run(2040, 2100, EINTR, NONE).reason(10).run(2110, 2300, DONE, NONE);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn a_rise_that_comes_to_userspace_with_an_exit_that_was_under_way() {
    // The read began before the deadline: the notice may be the read's own.
    let mut p = Program::new(1_000_000);
    let (cval, ctl, read) = (p.write(sysreg::CNTV_CVAL, 1000), p.write(sysreg::CNTV_CTL, 1), p.mmio_read());
    for levels in [NONE, VTIMER] {
        let mut p = Program::new(1_000_000);
        p.write(sysreg::CNTV_CVAL, 1000);
        p.write(sysreg::CNTV_CTL, 1);
        p.mmio_read();
        let tape = Tape::new(p).op(cval, 10, 12, 1000).op(ctl, 14, 16, 1);
        let tape = tape.op(read, 980, 1200, mailbox::SCRATCH_VALUE).run(5, 1020, READ, levels);
        let tape = if levels == NONE { tape.run(1030, 1060, EINTR, VTIMER) } else { tape };
        assert_eq!(tape.run(1100, 1300, DONE, VTIMER).objections(), [""; 0], "{levels}");
    }
}

#[test]
fn an_interrupt_that_is_taken_in_the_operation_that_unmasks_and_again_while_its_line_stays_up() {
    let mut p = Program::new(1_000_000);
    let handled = p.on_irq(|p| p.note(0));
    let (ask, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
    let unmask = p.unmask();
    let (ask_low, lowered) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false });
    let mask = p.mask();
    let tape = Tape::new(p)
        .run(5, 30, asks(raised), NONE)
        .acted(raised, 35, 0)
        .op(ask, 10, 50, raised.0 as u64)
        .taken(kind::IRQ, handled, 62)
        .op(handled, 64, 66, 0)
        .taken(kind::IRQ, handled, 70)
        .op(handled, 72, 74, 0)
        .op(unmask, 60, 76, 3)
        // The next interrupt comes into the operation that asks for its end.
        .taken(kind::IRQ, handled, 82)
        .op(handled, 84, 86, 0)
        .run(40, 95, asks(lowered), NONE)
        .acted(lowered, 97, 0)
        .op(ask_low, 80, 110, lowered.0 as u64)
        .op(mask, 120, 122, 3)
        .run(100, 200, DONE, NONE);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn a_write_that_asserts_the_timer_and_is_interrupted_by_it() {
    let mut p = Program::new(1_000_000);
    p.route(vtick_core::lines::Routing::Wire);
    let (ctl_read, off, read) = p.on_irq(|p| (p.read(sysreg::CNTV_CTL), p.write(sysreg::CNTV_CTL, 0), p.mmio_read()));
    let (unmask, cval, ctl, note) =
        (p.unmask(), p.write(sysreg::CNTV_CVAL, 50), p.write(sysreg::CNTV_CTL, 1), p.note(0));
    let tape = Tape::new(p)
        .op(unmask, 80, 82, 3)
        .op(cval, 90, 92, 50)
        .run(5, 110, EINTR, VTIMER)
        .line(115, true)
        .taken(kind::IRQ, ctl_read, 128)
        .op(ctl_read, 129, 131, 5)
        .op(off, 132, 134, 0)
        .run(120, 145, READ, NONE)
        .line(150, false)
        .op(read, 136, 170, mailbox::SCRATCH_VALUE)
        .op(ctl, 100, 180, 1)
        .op(note, 182, 184, 0)
        .run(160, 200, DONE, NONE);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn a_sleep_that_ends_at_its_deadline_or_at_a_line() {
    let mut p = Program::new(1_000_000);
    let (cval, ctl, wfi) = (p.write(sysreg::CNTV_CVAL, 5000), p.write(sysreg::CNTV_CTL, 1), p.wfi());
    let tape = Tape::new(p)
        .op(cval, 10, 12, 5000)
        .op(ctl, 14, 16, 1)
        .run(5, 5300, EINTR, VTIMER)
        .op(wfi, 20, 5400, 0)
        .run(5310, 5600, DONE, VTIMER);
    assert_eq!(tape.objections(), [""; 0]);
    let mut p = Program::new(1_000_000);
    let (ask, raised) = p.ask(Action::LineAfter { ticks: 500, vcpu: 0, line: Line::Irq, level: true });
    let wfi = p.wfi();
    let tape = Tape::new(p)
        .run(5, 30, asks(raised), NONE)
        .op(ask, 10, 50, raised.0 as u64)
        .acted(raised, 540, 0)
        .op(wfi, 60, 560, 0)
        .run(40, 700, DONE, NONE);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn a_signal_that_shows_a_level_told_before_and_an_exit_at_once() {
    let mut p = Program::new(1_000_000);
    let (ask, sent) = p.ask(Action::SignalAfter { ticks: 100, vcpu: 0 });
    let spin = p.spin_until(400);
    let (ask_exit, set) = p.ask(Action::ImmediateExit { after: 0 });
    let tape = Tape::new(p)
        .run(5, 30, asks(sent), NONE)
        .op(ask, 10, 50, sent.0 as u64)
        .acted(sent, 140, 0)
        .run(40, 160, EINTR, NONE)
        .op(spin, 60, 400, 400)
        .run(170, 430, asks(set), NONE)
        .acted(set, 435, 0)
        .run(440, 445, EINTR, NONE)
        .reason(6)
        .op(ask_exit, 410, 470, set.0 as u64)
        .run(450, 600, DONE, NONE);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn a_machine_that_moves_to_a_fresh_vm_and_is_told_again_what_was_told_before() {
    let mut p = Program::new(1_000_000);
    let (cval, ctl, spin) = (p.write(sysreg::CNTV_CVAL, 100), p.write(sysreg::CNTV_CTL, 1), p.spin_until(200));
    let (ask, moved) = p.ask(Action::MoveToFreshVm);
    let read = p.mmio_read();
    let tape = Tape::new(p)
        .op(cval, 10, 12, 100)
        .op(ctl, 14, 16, 1)
        .run(5, 110, EINTR, VTIMER)
        .op(spin, 20, 200, 200)
        .run(120, 240, asks(moved), VTIMER)
        .acted(moved, 250, 0)
        .run(5000, 5010, EINTR, VTIMER)
        // The guest's counter is behind by a little from here on.
        .op(ask, 210, 5016, moved.0 as u64)
        .run(5020, 5046, READ, VTIMER)
        .op(read, 5022, 5045, mailbox::SCRATCH_VALUE)
        .run(5050, 5100, DONE, VTIMER);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn a_deadline_that_comes_later_in_a_fresh_vm_whose_counter_is_behind() {
    let mut p = Program::new(1_000_000);
    let (cval, ctl) = (p.write(sysreg::CNTV_CVAL, 6000), p.write(sysreg::CNTV_CTL, 1));
    let (ask, moved) = p.ask(Action::MoveToFreshVm);
    let read = p.mmio_read();
    let tape = Tape::new(p)
        .op(cval, 10, 12, 6000)
        .op(ctl, 14, 16, 1)
        .run(5, 40, asks(moved), NONE)
        .acted(moved, 50, 0)
        .op(ask, 20, 5020, moved.0 as u64)
        .run(5000, 6005, READ, NONE)
        .op(read, 5030, 6040, mailbox::SCRATCH_VALUE)
        .run(6015, 6017, EINTR, VTIMER)
        .run(6020, 6100, DONE, VTIMER);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn lines_of_a_vcpu_that_was_initialised_again_may_be_either() {
    for isr in [0, 1 << 7] {
        let mut p = Program::new(1_000_000);
        let (ask, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        let (ask_again, reinit) = p.ask(Action::Reinit { restore_timers: true });
        let read = p.read(sysreg::ISR);
        let tape = Tape::new(p)
            .run(5, 30, asks(raised), NONE)
            .acted(raised, 35, 0)
            .op(ask, 10, 50, raised.0 as u64)
            .run(40, 80, asks(reinit), NONE)
            .acted(reinit, 85, 0)
            .op(ask_again, 60, 100, reinit.0 as u64)
            .op(read, 110, 112, isr)
            .run(90, 200, DONE, NONE);
        assert_eq!(tape.objections(), [""; 0], "ISR_EL1 {isr:#x}");
    }
}

#[test]
fn a_level_that_was_away_and_is_back_is_a_cause_of_a_return() {
    let mut p = Program::new(1_000_000);
    let (cval, ctl, spin) = (p.write(sysreg::CNTV_CVAL, 100), p.write(sysreg::CNTV_CTL, 1), p.spin_until(200));
    let (ahead, call) = (p.write(sysreg::CNTV_CVAL, 300), p.hvc_psci_version());
    let tape = Tape::new(p)
        .op(cval, 10, 12, 100)
        .op(ctl, 14, 16, 1)
        .run(5, 110, EINTR, VTIMER)
        .op(spin, 20, 200, 200)
        .op(ahead, 210, 212, 300)
        // Seen low at the HVC, and high again when that was to be told.
        .run(120, 310, EINTR, VTIMER)
        .op(call, 290, 330, 0)
        .run(315, 400, DONE, VTIMER);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn a_sleep_with_a_level_that_userspace_knows_of_may_last_or_end() {
    let sleeper = || {
        let mut p = Program::new(1_000_000);
        p.stop_after(9000);
        let steps = [p.write(sysreg::CNTV_CVAL, 100), p.write(sysreg::CNTV_CTL, 1), p.spin_until(200), p.wfi()];
        let [cval, ctl, spin, wfi] = steps;
        let tape = Tape::new(p).op(cval, 10, 12, 100).op(ctl, 14, 16, 1).run(5, 110, EINTR, VTIMER);
        (tape.op(spin, 20, 200, 200), wfi)
    };
    let stopped =
        vtick_core::stopped::Stopped { at: 9000, levels: VTIMER, ..vtick_core::stopped::Stopped::overslept() };
    assert_eq!(sleeper().0.ends(Ending::Stopped(stopped)).objections(), [""; 0]);
    let (tape, wfi) = sleeper();
    assert_eq!(tape.op(wfi, 210, 250, 0).run(120, 300, DONE, VTIMER).objections(), [""; 0]);
}

#[test]
fn a_counter_that_is_behind_in_a_fresh_vm_and_readings_that_may_lie_on_either_side_of_a_return() {
    let mut p = Program::new(1_000_000);
    let (cval, ctl) = (p.write(sysreg::CNTV_CVAL, 6000), p.write(sysreg::CNTV_CTL, 1));
    let (ask, moved) = p.ask(Action::MoveToFreshVm);
    let (note, read) = (p.note(0), p.mmio_read());
    let tape = Tape::new(p)
        .op(cval, 10, 12, 6000)
        .op(ctl, 14, 16, 1)
        .run(5, 40, asks(moved), NONE)
        .acted(moved, 50, 0)
        .op(ask, 20, 5020, moved.0 as u64)
        // The guest reads 6002 when the host's counter is at 6012 at most.
        .op(note, 6000, 6002, 0)
        .run(5000, 6030, READ, NONE)
        .run(6035, 6040, EINTR, VTIMER)
        .op(read, 6006, 6038, mailbox::SCRATCH_VALUE)
        .run(6045, 6100, DONE, VTIMER);
    assert_eq!(tape.objections(), [""; 0]);
}

#[test]
fn lines_that_two_threads_drive_at_the_same_time_may_be_either() {
    for isr in [0, 1 << 7] {
        let mut p = Program::new(1_000_000);
        let (ask, raised) = p.ask(Action::LineAfter { ticks: 100, vcpu: 0, line: Line::Irq, level: true });
        let (ask_low, lowered) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false });
        let (spin, read) = (p.spin_until(400), p.read(sysreg::ISR));
        let tape = Tape::new(p)
            .run(5, 30, asks(raised), NONE)
            .op(ask, 10, 50, raised.0 as u64)
            .run(40, 150, asks(lowered), NONE)
            .acted(lowered, 180, 0)
            .acted(raised, 200, 0)
            .op(ask_low, 60, 220, lowered.0 as u64)
            .op(spin, 230, 400, 400)
            .op(read, 410, 412, isr)
            .run(190, 500, DONE, NONE);
        assert_eq!(tape.objections(), [""; 0], "ISR_EL1 {isr:#x}");
    }
}
