//! A program before it is written as one: words over the alphabet.

use vtick_abi::litmus::sysreg;

use super::alphabet::{Operation, Scale, Timer, When};
use vtick_contract::{Action, Program, TimerRegister, Value};
use vtick_core::lines::{Line, Routing};

/// KVM_CAP_ARM_USER_IRQ.
const USER_IRQ: u32 = 144;
/// KVM_IRQ_LINE of type CPU, line 2 of vCPU 0: there are lines 0 and 1 ([KVM-API/4.25]).
const BAD_LINE: u32 = 2;
/// PSCI CPU_SUSPEND, 32-bit (Arm DEN 0022, 5.4). Its power state 0 is standby.
const CPU_SUSPEND: u64 = 0x8400_0001;

/// A program before it is written as one: a word of operations for each vCPU.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sketch {
    /// What userspace does with the levels.
    pub routing: Routing,
    /// The operations of each vCPU.
    pub words: Vec<Vec<Operation>>,
}

impl Sketch {
    /// Number of operations.
    pub fn len(&self) -> usize {
        self.words.iter().map(Vec::len).sum()
    }

    /// Whether it has no operation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether any operation is so.
    pub fn any(&self, is_so: impl Fn(Operation) -> bool) -> bool {
        self.words.iter().flatten().any(|&operation| is_so(operation))
    }

    /// The program.
    pub fn program(&self, scale: &Scale) -> Program {
        let mut p = Program::new(scale.cntfrq);
        p.route(self.routing);
        let needs = Needs {
            pmu: self.any(Operation::is_pmu),
            physical: self.any(Operation::is_physical),
            vcpus: self.words.len(),
        };
        // Several vCPUs may wait for one CPU, which the model grants them.
        p.setup.limit = if needs.vcpus > 1 { scale.limit * 4 } else { scale.limit };
        // Nothing may be left that wakes it: whether something was is the model's to say.
        p.setup.may_not_end = self.any(Operation::sleeps);
        if needs.pmu {
            p.with_pmu();
        }
        // The first use of a perf event in a while waits until all of the host's CPUs know of it. Initialising a vCPU again
        // takes milliseconds, too.
        if needs.pmu || self.any(|operation| operation.weight() > 1) {
            p.setup.limit *= 10;
        }
        for (vcpu, word) in self.words.iter().enumerate() {
            if vcpu == 0 {
                write_word(&mut p, 0, word, needs, scale);
            } else {
                p.on_vcpu(vcpu, |p| write_word(p, vcpu, word, needs, scale));
            }
        }
        p
    }
}

/// What the whole program needs.
#[derive(Clone, Copy)]
struct Needs {
    pmu: bool,
    physical: bool,
    vcpus: usize,
}

fn write_word(p: &mut Program, vcpu: usize, word: &[Operation], needs: Needs, scale: &Scale) {
    if word.contains(&Operation::Unmask) {
        p.on_irq(|p| {
            p.write(sysreg::CNTV_CTL, 0);
            if needs.physical {
                p.write(sysreg::CNTP_CTL, 0);
            }
            if needs.pmu {
                p.write(sysreg::PMOVSCLR, 1);
            }
            p.ask(Action::Line { vcpu, line: Line::Irq, level: false });
        });
        p.on_fiq(|p| {
            p.ask(Action::Line { vcpu, line: Line::Fiq, level: false });
        });
    }
    if word.iter().any(|operation| operation.is_pmu()) {
        // Their reset values are unknown, except that of PMCR.E, which is off. One counter is enabled, and counts nothing.
        p.write(sysreg::PMCNTENCLR, u64::from(u32::MAX));
        p.write(sysreg::PMINTENCLR, u64::from(u32::MAX));
        p.write(sysreg::PMOVSCLR, u64::from(u32::MAX));
        p.write(sysreg::PMCNTENSET, 1);
        p.write(sysreg::PMINTENSET, 1);
        p.write(sysreg::PMCR, 1);
    }
    for &operation in word {
        write_operation(p, vcpu, operation, needs.vcpus, scale);
    }
}

fn write_operation(p: &mut Program, vcpu: usize, operation: Operation, vcpus: usize, scale: &Scale) {
    match action(vcpu, operation, vcpus, scale) {
        Some(action) => {
            p.ask(action);
        }
        None => write_of_guest(p, operation, scale),
    }
}

/// An operation that the guest does by itself.
fn write_of_guest(p: &mut Program, operation: Operation, scale: &Scale) {
    let (cval, ctl) = match timer_of(operation) {
        Timer::Virtual => (sysreg::CNTV_CVAL, sysreg::CNTV_CTL),
        Timer::Physical => (sysreg::CNTP_CVAL, sysreg::CNTP_CTL),
    };
    let deadline = |when| {
        let ticks = match when {
            When::Past => scale.soon.wrapping_neg(),
            When::Soon => scale.soon,
            When::Later => scale.later,
        };
        match timer_of(operation) {
            Timer::Virtual => Value::Now(ticks),
            Timer::Physical => Value::NowPhysical(ticks),
        }
    };
    match operation {
        Operation::Arm(_, when) => {
            p.write(cval, deadline(when));
            p.write(ctl, 1)
        }
        Operation::Move(_, when) => p.write(cval, deadline(when)),
        Operation::Off(_) => p.write(ctl, 0),
        Operation::Imask(_) => p.write(ctl, 3),
        Operation::Enable(_) => p.write(ctl, 1),
        Operation::PmuOverflow => p.write(sysreg::PMOVSSET, 1),
        Operation::PmuClear => p.write(sysreg::PMOVSCLR, 1),
        Operation::Wfi => p.wfi(),
        Operation::Suspend => p.hvc(CPU_SUSPEND, 0),
        Operation::Unmask => p.unmask(),
        Operation::Mask => p.mask(),
        Operation::Read => p.mmio_read(),
        Operation::Write => p.mmio_write(),
        Operation::Hvc => p.hvc_psci_version(),
        Operation::Spin => p.spin(across(scale)),
        of_the_host => unreachable!("{of_the_host:?} is an action"),
    };
}

/// Behind everything that is due soon.
fn across(scale: &Scale) -> u64 {
    2 * scale.soon
}

/// What the host does for an operation; `None`: the guest does it by itself.
fn action(vcpu: usize, operation: Operation, vcpus: usize, scale: &Scale) -> Option<Action> {
    let (ctl, cval) = match timer_of(operation) {
        Timer::Virtual => (TimerRegister::CntvCtl, TimerRegister::CntvCval),
        Timer::Physical => (TimerRegister::CntpCtl, TimerRegister::CntpCval),
    };
    Some(match operation {
        Operation::Line(line, level) => Action::Line { vcpu, line, level },
        Operation::LineSoon(line, level) => Action::LineAfter { ticks: scale.soon, vcpu, line, level },
        Operation::NextLine(level) => Action::Line { vcpu: (vcpu + 1) % vcpus, line: Line::Irq, level },
        Operation::Signal => Action::SignalAfter { ticks: scale.soon, vcpu },
        Operation::ImmediateExit => Action::ImmediateExit { after: 0 },
        Operation::Stay => Action::Stay { ticks: across(scale) },
        Operation::Reinit(restore_timers) => Action::Reinit { restore_timers },
        Operation::GetCtl(_) => Action::Get(ctl),
        Operation::GetCval(_) => Action::Get(cval),
        Operation::SetCtl(_) => Action::Set(ctl, Value::Is(1)),
        Operation::SetCval(_) => Action::Set(cval, Value::Now(0)),
        Operation::Migrate => Action::Migrate,
        Operation::SaveRestore => Action::MoveToFreshVm,
        Operation::SyncFlags(all) => Action::SyncFlags(if all { u64::MAX } else { 0 }),
        Operation::CheckExtension => Action::CheckExtension { capability: USER_IRQ },
        Operation::BadLine => Action::RawLine { irq: BAD_LINE, level: true },
        _ => return None,
    })
}

/// The timer that an operation is about; of one that is about none, the virtual one.
fn timer_of(operation: Operation) -> Timer {
    if operation.is_physical() { Timer::Physical } else { Timer::Virtual }
}

#[cfg(test)]
mod tests {
    use super::super::alphabet::ALPHABET;
    use super::*;

    #[test]
    fn every_operation_becomes_a_program_and_the_host_has_a_part_in_those_that_say_so() {
        let scale = Scale::new(1_000_000_000, true);
        for &operation in ALPHABET {
            let sketch = Sketch { routing: Routing::Wire, words: vec![vec![operation]] };
            let program = sketch.program(&scale);
            let asked = program.encode().1.iter().any(|op| op.code == vtick_abi::litmus::code::ACTION);
            // The handlers of a program that unmasks interrupts ask, too.
            assert_eq!(asked, operation.is_of_the_host() || operation == Operation::Unmask, "{operation:?}");
            assert_eq!(program.setup.pmu, operation.is_pmu());
        }
    }
}
