//! For each rule a transcript that breaks it.

use vtick_abi::litmus::{kind, sysreg};

use super::sound::spin;
use super::*;
use crate::model::RULES;
use crate::{Action, TimerRegister};
use vtick_core::Vgic;
use vtick_core::stopped::Stopped;

type Case = (&'static str, &'static str, fn() -> Tape);

/// A rule, how it is broken, and the transcript.
const CASES: &[Case] = &[
    ("truth", "an exit behind the deadline shows no level", || {
        spin().guest().run(5, 1030, EINTR, VTIMER).run(1040, 2030, READ, NONE).run(2040, 2300, DONE, NONE)
    }),
    ("truth", "guest code read the counter behind the deadline, and the exit that ended it shows no level", || {
        spin().guest().run(5, 2030, READ, NONE).run(2040, 2300, DONE, NONE)
    }),
    ("truth", "a level shows before its deadline", || {
        spin().guest().run(5, 900, EINTR, VTIMER).run(910, 2030, READ, VTIMER).run(2040, 2100, EINTR, NONE)
    }),
    ("truth", "a level shows of a timer that was turned off", || {
        let tape = spin().guest().run(5, 1030, EINTR, VTIMER).run(1040, 2030, READ, VTIMER);
        tape.run(2040, 2300, DONE, VTIMER)
    }),
    ("truth", "the physical timer's level shows for the virtual one's", || {
        spin().guest().run(5, 1030, EINTR, Levels::PTIMER).run(1040, 2030, READ, VTIMER).run(2040, 2100, EINTR, NONE)
    }),
    ("unknown-bit", "version 1, and bit 3", || {
        let mut p = Program::new(1_000_000);
        let asked = p.before(Action::CheckExtension { capability: 144 });
        Tape::new(p).acted(asked, 1, 1).run(5, 100, DONE, Levels(8))
    }),
    ("level-in-vgic-vm", "a level in a VM with a vGICv3", || {
        let mut p = Program::new(1_000_000);
        p.in_kernel(Vgic::V3);
        Tape::new(p).run(5, 100, DONE, VTIMER)
    }),
    ("truth-on-immediate-exit", "the level rose in userspace, and immediate_exit shows what was told before", || {
        let mut p = Program::new(1_000_000);
        let (cval, ctl) = (p.write(sysreg::CNTV_CVAL, 100), p.write(sysreg::CNTV_CTL, 1));
        let (ask, set) = p.ask(Action::ImmediateExit { after: 500 });
        Tape::new(p)
            .op(cval, 10, 12, 100)
            .op(ctl, 14, 16, 1)
            .run(5, 50, asks(set), NONE)
            .acted(set, 560, 0)
            .run(570, 580, EINTR, NONE)
            .run(590, 600, EINTR, VTIMER)
            .op(ask, 20, 630, set.0 as u64)
            .run(610, 700, DONE, VTIMER)
    }),
    ("pmu-is-restored", "no overflow was flagged, and after a restore the level is high", || {
        let mut p = Program::new(1_000_000);
        p.with_pmu();
        let cleared = [sysreg::PMCNTENCLR, sysreg::PMINTENCLR, sysreg::PMOVSCLR];
        let cleared = cleared.map(|register| p.write(register, 0xffff_ffff));
        let (ask, reinit) = p.ask(Action::Reinit { restore_timers: true });
        let tape = cleared
            .into_iter()
            .zip(10..)
            .fold(Tape::new(p), |t, (step, at)| t.op(step, at * 2, at * 2 + 1, 0xffff_ffff));
        tape.run(5, 50, asks(reinit), NONE)
            .acted(reinit, 60, 0)
            .run(70, 80, EINTR, Levels::PMU)
            .op(ask, 30, 95, reinit.0 as u64)
            .run(90, 100, DONE, Levels::PMU)
    }),
    ("notice-of-rise", "the guest spins past its deadline, and nobody is told", || {
        spin().guest().run(5, 2030, READ, VTIMER).run(2040, 2100, EINTR, NONE).run(2110, 2300, DONE, NONE)
    }),
    ("notice-of-rise", "a level that rose in userspace, and guest code before it was told", || {
        let mut p = Program::new(1_000_000);
        let (cval, ctl) = (p.write(sysreg::CNTV_CVAL, 100), p.write(sysreg::CNTV_CTL, 1));
        let (ask, stayed) = p.ask(Action::Stay { ticks: 60 });
        Tape::new(p)
            .op(cval, 10, 12, 100)
            .op(ctl, 14, 16, 1)
            .run(5, 50, asks(stayed), NONE)
            .acted(stayed, 115, 0)
            .op(ask, 20, 130, stayed.0 as u64)
            .run(120, 200, DONE, VTIMER)
    }),
    ("notice-of-fall", "the timer is turned off, and the guest goes through a HVC", || {
        let tape = spin().guest().run(5, 1030, EINTR, VTIMER).run(1040, 2030, READ, VTIMER);
        tape.run(2040, 2300, DONE, NONE)
    }),
    ("notice-of-fall", "userspace turned the timer off, and guest code runs before that is told", || {
        let mut p = Program::new(1_000_000);
        let (cval, ctl) = (p.write(sysreg::CNTV_CVAL, 0), p.write(sysreg::CNTV_CTL, 1));
        let (ask, set) = p.ask(Action::Set(TimerRegister::CntvCtl, crate::Value::Is(0)));
        Tape::new(p)
            .op(cval, 10, 12, 0)
            .op(ctl, 14, 16, 1)
            .run(5, 20, EINTR, VTIMER)
            .run(22, 50, asks(set), VTIMER)
            .acted(set, 60, 0)
            .op(ask, 30, 90, set.0 as u64)
            .run(70, 200, DONE, NONE)
    }),
    ("return-without-cause", "EINTR while a level stays high", || {
        let tape = spin().guest().run(5, 1030, EINTR, VTIMER).run(1040, 1500, EINTR, VTIMER);
        tape.run(1510, 2030, READ, VTIMER).run(2040, 2100, EINTR, NONE).run(2110, 2300, DONE, NONE)
    }),
    ("return-without-cause", "two returns for one signal", || {
        let mut p = Program::new(1_000_000);
        let (ask, sent) = p.ask(Action::SignalAfter { ticks: 100, vcpu: 0 });
        Tape::new(p)
            .run(5, 30, asks(sent), NONE)
            .op(ask, 10, 50, sent.0 as u64)
            .acted(sent, 140, 0)
            .run(40, 160, EINTR, NONE)
            .run(165, 170, EINTR, NONE)
            .run(180, 300, DONE, NONE)
    }),
    ("eintr-says-intr", "EINTR for a level, and exit_reason says MMIO (6)", || {
        let tape = spin().guest().run(5, 1030, EINTR, VTIMER).reason(6);
        tape.run(1040, 2030, READ, VTIMER).run(2040, 2100, EINTR, NONE).run(2110, 2300, DONE, NONE)
    }),
    ("unknown-exit", "an exit reason that nobody asked for", || {
        Tape::new(Program::new(1_000_000)).run(5, 50, Exit::Other { number: 9 }, NONE).run(60, 100, DONE, NONE)
    }),
    ("signal-ends-kvm-run", "a signal, and the guest spins on", || {
        let mut p = Program::new(1_000_000);
        let (ask, sent) = p.ask(Action::SignalAfter { ticks: 100, vcpu: 0 });
        let spin = p.spin_until(400);
        Tape::new(p)
            .run(5, 30, asks(sent), NONE)
            .op(ask, 10, 50, sent.0 as u64)
            .acted(sent, 140, 0)
            .op(spin, 60, 400, 400)
            .run(40, 600, DONE, NONE)
    }),
    ("access-is-an-exit", "the guest's clock is not the host's", || {
        let tape = spin().guest().run(5, 1030, EINTR, VTIMER).run(1040, 2061, READ, VTIMER);
        tape.run(2064, 2100, EINTR, NONE).run(2110, 2300, DONE, NONE)
    }),
    ("access-is-one-exit", "an access is done twice", || {
        let tape = spin().guest().run(5, 1030, EINTR, VTIMER).run(1040, 2030, READ, VTIMER);
        tape.run(2034, 2044, READ, VTIMER).run(2050, 2100, EINTR, NONE).run(2110, 2300, DONE, NONE)
    }),
    ("read-gets-its-answer", "a read's answer is lost", || {
        let mut p = Program::new(1_000_000);
        let read = p.mmio_read();
        Tape::new(p).op(read, 10, 50, 0).run(5, 30, READ, NONE).run(40, 100, DONE, NONE)
    }),
    ("immediate-exit", "the guest runs although immediate_exit was set", || {
        let mut p = Program::new(1_000_000);
        let (ask, set) = p.ask(Action::ImmediateExit { after: 0 });
        let spin = p.spin_until(100);
        Tape::new(p)
            .run(5, 30, asks(set), NONE)
            .acted(set, 35, 0)
            .op(ask, 10, 50, set.0 as u64)
            .op(spin, 60, 100, 100)
            .run(40, 200, DONE, NONE)
    }),
    ("progress", "the guest never comes to its end", || {
        let stopped = Stopped { in_wfi: false, cntv_ctl: 0, ..Stopped::overslept() };
        Tape::new(Program::new(1_000_000)).ends(Ending::Stopped(stopped))
    }),
    ("taken-with-line-low", "an interrupt that nobody raised", || {
        let mut p = Program::new(1_000_000);
        let handled = p.on_irq(|p| p.note(0));
        let (unmask, note) = (p.unmask(), p.note(0));
        let tape = Tape::new(p).op(unmask, 10, 12, 3).taken(kind::IRQ, handled, 50).op(handled, 52, 54, 0);
        tape.op(note, 60, 62, 0).run(5, 100, DONE, NONE)
    }),
    ("taken-with-line-low", "an interrupt after the line was lowered", || {
        let mut p = Program::new(1_000_000);
        let handled = p.on_irq(|p| p.note(0));
        let (ask, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        let (ask_low, lowered) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: false });
        let unmask = p.unmask();
        Tape::new(p)
            .run(5, 30, asks(raised), NONE)
            .acted(raised, 35, 0)
            .op(ask, 10, 50, raised.0 as u64)
            .run(40, 80, asks(lowered), NONE)
            .acted(lowered, 85, 0)
            .op(ask_low, 60, 100, lowered.0 as u64)
            .taken(kind::IRQ, handled, 112)
            .op(handled, 114, 116, 0)
            .op(unmask, 110, 120, 3)
            .run(90, 200, DONE, NONE)
    }),
    ("taken-while-masked", "an interrupt that is masked", || {
        let mut p = Program::new(1_000_000);
        let handled = p.on_irq(|p| p.note(0));
        let (ask, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        let note = p.note(0);
        Tape::new(p)
            .run(5, 30, asks(raised), NONE)
            .acted(raised, 35, 0)
            .op(ask, 10, 50, raised.0 as u64)
            .taken(kind::IRQ, handled, 60)
            .op(handled, 62, 64, 0)
            .op(note, 70, 72, 0)
            .run(40, 200, DONE, NONE)
    }),
    ("taken-while-masked", "an interrupt into the handler that the unmasked one entered", || {
        let mut p = Program::new(1_000_000);
        let handled = p.on_irq(|p| p.note(0));
        let (ask, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        let (unmask, mask) = (p.unmask(), p.mask());
        Tape::new(p)
            .run(5, 30, asks(raised), NONE)
            .acted(raised, 35, 0)
            .op(ask, 10, 50, raised.0 as u64)
            .taken(kind::IRQ, handled, 62)
            .taken(kind::IRQ, handled, 80)
            .op(handled, 82, 84, 0)
            .op(handled, 86, 88, 0)
            .op(unmask, 60, 90, 3)
            .op(mask, 92, 94, 3)
            .run(40, 200, DONE, NONE)
    }),
    ("isr-shows-the-lines", "ISR_EL1 shows no IRQ with the line up", || {
        let mut p = Program::new(1_000_000);
        let (ask, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        let isr = p.read(sysreg::ISR);
        Tape::new(p)
            .run(5, 30, asks(raised), NONE)
            .acted(raised, 35, 0)
            .op(ask, 10, 50, raised.0 as u64)
            .op(isr, 60, 62, 0)
            .run(40, 200, DONE, NONE)
    }),
    ("isr-shows-the-lines", "ISR_EL1 shows a FIQ that nobody raised", || {
        let mut p = Program::new(1_000_000);
        let isr = p.read(sysreg::ISR);
        Tape::new(p).op(isr, 60, 62, 1 << 6).run(5, 200, DONE, NONE)
    }),
    ("high-line-is-taken", "the line is up, the guest unmasks, and runs on", || {
        let mut p = Program::new(1_000_000);
        p.on_irq(|p| p.note(0));
        let (ask, raised) = p.ask(Action::Line { vcpu: 0, line: Line::Irq, level: true });
        let (unmask, note) = (p.unmask(), p.note(0));
        Tape::new(p)
            .run(5, 30, asks(raised), NONE)
            .acted(raised, 35, 0)
            .op(ask, 10, 50, raised.0 as u64)
            .op(unmask, 60, 62, 3)
            .op(note, 80, 82, 0)
            .run(40, 200, DONE, NONE)
    }),
    ("overslept", "WFI ends long after its deadline", || {
        let mut p = Program::new(1_000_000);
        let (cval, ctl, wfi) = (p.write(sysreg::CNTV_CVAL, 500), p.write(sysreg::CNTV_CTL, 1), p.wfi());
        Tape::new(p)
            .op(cval, 10, 12, 500)
            .op(ctl, 14, 16, 1)
            .run(5, 1600, EINTR, VTIMER)
            .op(wfi, 20, 1620, 0)
            .run(1610, 1700, DONE, VTIMER)
    }),
    ("overslept", "WFI is still asleep when the vCPU is stopped", || {
        let mut p = Program::new(1_000_000);
        p.stop_after(5000);
        let (cval, ctl) = (p.write(sysreg::CNTV_CVAL, 500), p.write(sysreg::CNTV_CTL, 1));
        p.wfi();
        let stopped = Stopped { at: 5000, ..Stopped::overslept() };
        Tape::new(p).op(cval, 10, 12, 500).op(ctl, 14, 16, 1).ends(Ending::Stopped(stopped))
    }),
    ("overslept", "WFI sleeps on with its line raised", || {
        let mut p = Program::new(1_000_000);
        let (ask, raised) = p.ask(Action::LineAfter { ticks: 100, vcpu: 0, line: Line::Irq, level: true });
        let wfi = p.wfi();
        Tape::new(p)
            .run(5, 30, asks(raised), NONE)
            .op(ask, 10, 50, raised.0 as u64)
            .acted(raised, 140, 0)
            .op(wfi, 60, 2000, 0)
            .run(40, 2100, DONE, NONE)
    }),
    ("woke-without-reason", "WFI ends with nothing high", || {
        let mut p = Program::new(1_000_000);
        let wfi = p.wfi();
        Tape::new(p).op(wfi, 10, 500, 0).run(5, 600, DONE, NONE)
    }),
    ("register-reads-the-state", "CTL reads without ISTATUS behind the deadline", || {
        let mut p = Program::new(1_000_000);
        let (cval, ctl) = (p.write(sysreg::CNTV_CVAL, 100), p.write(sysreg::CNTV_CTL, 3));
        let (spin, read) = (p.spin_until(200), p.read(sysreg::CNTV_CTL));
        let tape = Tape::new(p).op(cval, 10, 12, 100).op(ctl, 14, 16, 3).op(spin, 20, 200, 200);
        tape.op(read, 210, 212, 3).run(5, 600, DONE, NONE)
    }),
    ("register-reads-the-state", "the counter reads less than the clock says", || {
        let mut p = Program::new(1_000_000);
        let read = p.read(sysreg::CNTVCT);
        Tape::new(p).op(read, 210, 212, 9).run(5, 600, DONE, NONE)
    }),
    ("one-reg-reads-the-state", "ONE_REG reads another CVAL than the guest wrote", || {
        let mut p = Program::new(1_000_000);
        let cval = p.write(sysreg::CNTV_CVAL, 9999);
        let (ask, got) = p.ask(Action::Get(TimerRegister::CntvCval));
        let tape = Tape::new(p).op(cval, 10, 12, 9999).run(5, 30, asks(got), NONE).acted(got, 35, 0);
        tape.op(ask, 20, 50, got.0 as u64).run(40, 100, DONE, NONE)
    }),
    ("program-goes-on", "an operation is left out", || {
        let mut p = Program::new(1_000_000);
        p.note(0);
        let second = p.note(1);
        Tape::new(p).op(second, 10, 12, 1).run(5, 100, DONE, NONE)
    }),
    ("gic-registers-are-undefined", "ICC_PMR_EL1 can be read", || {
        let mut p = Program::new(1_000_000);
        let read = p.read(sysreg::ICC_PMR);
        Tape::new(p).op(read, 10, 12, 0xf0).run(5, 100, DONE, NONE)
    }),
    ("capability", "the capability is not there", || {
        let mut p = Program::new(1_000_000);
        let asked = p.before(Action::CheckExtension { capability: 144 });
        Tape::new(p).acted(asked, 1, 0).run(5, 100, DONE, NONE)
    }),
    ("line-id", "a line is accepted that there is not", || {
        let mut p = Program::new(1_000_000);
        let asked = p.before(Action::RawLine { irq: 2, level: true });
        Tape::new(p).acted(asked, 1, 0).run(5, 100, DONE, NONE)
    }),
    ("line-id", "a CPU line is driven in a VM with a vGIC", || {
        let mut p = Program::new(1_000_000);
        p.in_kernel(Vgic::V2);
        let asked = p.before(Action::RawLine { irq: 0, level: true });
        Tape::new(p).acted(asked, 1, 0).run(5, 100, DONE, NONE)
    }),
    ("state-can-be-set", "KVM_SET_ONE_REG fails", || {
        let mut p = Program::new(1_000_000);
        let (ask, set) = p.ask(Action::Set(TimerRegister::CntvCtl, crate::Value::Is(0)));
        let tape = Tape::new(p).run(5, 30, asks(set), NONE).acted(set, 35, -i64::from(libc::EINVAL));
        tape.op(ask, 20, 50, set.0 as u64).run(40, 100, DONE, NONE)
    }),
    ("state-can-be-set", "KVM_ARM_SET_COUNTER_OFFSET returns neither 0 nor an error", || {
        let mut p = Program::new(1_000_000);
        let (ask, set) = p.ask(Action::CounterOffset(0));
        let tape = Tape::new(p).run(5, 30, asks(set), NONE).acted(set, 35, 1);
        tape.op(ask, 20, 50, set.0 as u64).run(40, 100, DONE, NONE)
    }),
    ("host-warns", "the host kernel warns", || {
        let mut tape = Tape::new(Program::new(1_000_000)).run(5, 100, DONE, NONE);
        tape.warnings = Some(vec!["WARNING: at arch/arm64/kvm".to_owned()]);
        tape
    }),
];

#[test]
fn each_broken_rule_is_objected_to() {
    for (rule, how, tape) in CASES {
        let objections = tape().objections();
        assert!(objections.contains(rule), "{how}: expected {rule}, the model objects by {objections:?}");
    }
}

#[test]
fn a_rule_is_broken_by_itself() {
    // What one rule sees of these, another may see, too.
    let together = ["truth", "notice-of-rise", "overslept", "immediate-exit", "access-is-an-exit"];
    for (rule, how, tape) in CASES.iter().filter(|(rule, ..)| !together.contains(rule)) {
        assert_eq!(tape().objections(), [*rule], "{how}");
    }
}

#[test]
fn every_rule_is_broken_by_a_case() {
    for (rule, what) in RULES {
        assert!(CASES.iter().any(|(broken, ..)| broken == rule), "no case breaks {rule}");
        assert!(what.ends_with('.'), "{rule}: sentences end");
    }
}

#[test]
fn a_vcpu_that_hangs_is_told_of_once() {
    let mut p = Program::new(1_000_000);
    let (cval, ctl) = (p.write(sysreg::CNTV_CVAL, 500), p.write(sysreg::CNTV_CTL, 1));
    p.wfi();
    let stopped = Stopped { at: 5000, ..Stopped::overslept() };
    let tape = Tape::new(p).op(cval, 10, 12, 500).op(ctl, 14, 16, 1).ends(Ending::Stopped(stopped));
    assert_eq!(tape.objections(), ["overslept"]);
}
