//! Faults to inject: a layer between the runner and KVM that behaves like a faulty kernel, and one between the runner and
//! the GIC ([`routing`]) that behaves like a faulty GIC, so that every check can be seen to fail.
//!
//! Pure: what it is told comes from KVM, what it says the runner takes for KVM's. The measuring path has no such layer.

mod routing;
mod table;

use std::collections::HashMap;

use vtick_abi::layout::MAX_VCPUS;

use super::program::TimerRegister;
use vtick_core::Vgic;
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line};

pub use routing::Harm;
pub use table::{Described, FAULTS, Fault};

/// What becomes of a return of KVM_RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The runner sees this return.
    Deliver(Exit, Levels),
    /// The runner sees this return, but late.
    Late(Exit, Levels),
    /// The runner sees nothing: KVM_RUN goes on.
    Swallow,
    /// The vCPU never wakes.
    SleepOn,
    /// KVM_RUN goes on, even if it was to end.
    Deaf,
}

/// What a faulty kernel knows of a vCPU when KVM_RUN returns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inside {
    /// CNTV_CTL.
    pub cntv_ctl: u64,
    /// CNTP_CTL; zero where it cannot be read.
    pub cntp_ctl: u64,
    /// PMOVSSET; zero where the vCPU has no PMU.
    pub pmovsset: u64,
    /// Whether the last instruction was WFI.
    pub in_wfi: bool,
    /// Whether the last instruction was HVC.
    pub in_hvc: bool,
}

/// What becomes of a KVM_IRQ_LINE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCalls {
    /// The calls to make instead.
    pub calls: Vec<(usize, Line, bool)>,
    /// Whether the vCPU is interrupted without a reason.
    pub kick: bool,
}

/// State of one vCPU under a faulty kernel.
#[derive(Clone, Copy, Default)]
struct VcpuState {
    /// The true levels at the last return.
    real: Levels,
    /// All levels that were ever set.
    ever: Levels,
    /// Returns without a reason still to come before the guest is entered.
    fakes: u32,
    /// Such returns come for ever, with these levels.
    storm: Option<Levels>,
    irq: bool,
    fiq: bool,
    sync_flags: Option<u64>,
}

/// A faulty kernel, for one VM.
pub struct Injector {
    fault: Fault,
    vgic: Option<Vgic>,
    vcpus: [VcpuState; MAX_VCPUS],
    deferred: Vec<(usize, Line, bool)>,
    /// What was last written at each address of the GIC.
    written: HashMap<u64, u32>,
}

impl Injector {
    /// A kernel with this fault, for a VM with this interrupt controller.
    pub fn new(fault: Fault, vgic: Option<Vgic>) -> Injector {
        Injector { fault, vgic, vcpus: Default::default(), deferred: Vec::new(), written: HashMap::new() }
    }

    /// Its fault.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// A return of KVM_RUN that comes instead of entering the guest.
    pub fn before_run(&mut self, vcpu: usize) -> Option<(Exit, Levels)> {
        let state = &mut self.vcpus[vcpu];
        if let Some(levels) = state.storm {
            return Some((Exit::Interrupted, levels));
        }
        state.fakes = state.fakes.checked_sub(1)?;
        Some((Exit::Interrupted, state.real))
    }

    /// A true return of KVM_RUN.
    pub fn on_return(&mut self, vcpu: usize, exit: Exit, levels: Levels, inside: Inside) -> Passed {
        let state = &mut self.vcpus[vcpu];
        let before = std::mem::replace(&mut state.real, levels);
        state.ever = Levels(state.ever.0 | levels.0);
        let rose = Levels(levels.0 & !before.0);
        let fell = Levels(before.0 & !levels.0);
        let interrupted = exit == Exit::Interrupted;
        let asserted = |ctl: u64, bits: u64, level: Levels| if ctl & bits == bits { level.0 } else { 0 };
        let but = |mask: Levels| Levels(levels.0 & !mask.0);
        let when = |condition: bool, otherwise: Levels| if condition { Levels::NONE } else { otherwise };
        let told = match self.fault {
            Fault::LevelNeverSet => Levels::NONE,
            Fault::PtimerNeverSet => but(Levels::PTIMER),
            Fault::PmuNeverSet => but(Levels::PMU),
            Fault::LevelStuckHigh => state.ever,
            Fault::LevelHighFromTheStart => Levels(levels.0 | 1),
            Fault::LevelLate => before,
            Fault::LevelIsAPulse => rose,
            Fault::LevelLostOnMmioRead => when(matches!(exit, Exit::MmioRead { .. }), levels),
            Fault::LevelLostOnMmioWrite => when(matches!(exit, Exit::MmioWrite { .. }), levels),
            Fault::LevelLostOnSignal => when(interrupted && levels == before, levels),
            Fault::LevelLostOnSystemEvent => when(matches!(exit, Exit::SystemEvent { .. }), levels),
            Fault::BitsSwapped => Levels((levels.0 & 1) << 1 | (levels.0 & 2) << 1 | (levels.0 & 4) >> 2),
            Fault::UnknownBit => Levels(levels.0 | 1 << 3),
            Fault::UnknownHighBit => Levels(levels.0 | 1 << 40),
            Fault::FallOfOneHidden if levels != Levels::NONE => {
                state.real = Levels(before.0 | levels.0);
                state.real
            }
            Fault::RiseOfSecondMissed if before != Levels::NONE => Levels(levels.0 & before.0),
            Fault::FieldNeedsValidRegs => when(state.sync_flags == Some(0), levels),
            Fault::FieldClearedByDirtyRegs => when(state.sync_flags.is_some_and(|flags| flags != 0), levels),
            Fault::ImaskIgnored => Levels(
                levels.0 | asserted(inside.cntv_ctl, 5, Levels::VTIMER) | asserted(inside.cntp_ctl, 5, Levels::PTIMER),
            ),
            Fault::EnableIgnored if inside.cntv_ctl & 3 == 0 => {
                Levels(levels.0 | asserted(inside.cntv_ctl, 4, Levels::VTIMER))
            }
            Fault::PmuFlagIsEnough if inside.pmovsset != 0 => Levels(levels.0 | Levels::PMU.0),
            Fault::LevelInVgicVm if self.vgic.is_some() => {
                Levels(levels.0 | asserted(inside.cntv_ctl, 1, Levels::VTIMER))
            }
            Fault::NoReturnOnRise if interrupted && rose != Levels::NONE => return Passed::Swallow,
            Fault::NoReturnOnFall if interrupted && fell != Levels::NONE => return Passed::Swallow,
            Fault::WfiNeverWakes if interrupted && rose != Levels::NONE && inside.in_wfi => return Passed::SleepOn,
            Fault::SuspendNeverWakes if interrupted && rose != Levels::NONE && inside.in_hvc => {
                return Passed::SleepOn;
            }
            Fault::WakesLate if interrupted && rose != Levels::NONE && inside.in_wfi => {
                return Passed::Late(exit, levels);
            }
            Fault::StormWhileHigh if levels != Levels::NONE => {
                state.fakes = 16;
                levels
            }
            Fault::StormWithoutLevel if inside.cntv_ctl & 7 == 5 || inside.cntp_ctl & 7 == 5 => {
                state.storm = Some(Levels::NONE);
                Levels::NONE
            }
            Fault::StormWithoutEnd if levels != Levels::NONE => {
                state.storm = Some(levels);
                levels
            }
            Fault::StormFromTheStart => {
                state.storm = Some(levels);
                levels
            }
            Fault::SignalsIgnored if interrupted && levels == before => return Passed::Deaf,
            Fault::ReturnsWithoutReason => {
                state.fakes = 1;
                levels
            }
            Fault::LevelOnEveryVcpu => Levels(self.vcpus.iter().fold(0, |all, state| all | state.real.0)),
            _ => levels,
        };
        Passed::Deliver(exit, told)
    }

    /// The lines that this faulty kernel drives when a vCPU returns.
    pub fn lines_on_return(&mut self, vcpu: usize) -> Vec<(usize, Line, bool)> {
        match self.fault {
            Fault::LineLostOnReturn => vec![(vcpu, Line::Irq, false), (vcpu, Line::Fiq, false)],
            Fault::LineWaitsForExit => {
                let (due, later) = self.deferred.drain(..).partition(|&(target, ..)| target == vcpu);
                self.deferred = later;
                due
            }
            _ => Vec::new(),
        }
    }

    /// A KVM_IRQ_LINE, by the vCPU's own thread or by another.
    pub fn line(&mut self, vcpu: usize, line: Line, level: bool, by_another_thread: bool) -> LineCalls {
        let state = &mut self.vcpus[vcpu];
        let driven = match line {
            Line::Irq => &mut state.irq,
            Line::Fiq => &mut state.fiq,
        };
        let changed = std::mem::replace(driven, level) != level;
        if self.fault == Fault::RaisedLineReturns && level && changed {
            state.fakes = 1;
        }
        let calls = match self.fault {
            Fault::LineUpIgnored if level => vec![],
            Fault::LineDownIgnored if !level => vec![],
            Fault::FiqIgnored if line == Line::Fiq => vec![],
            Fault::LinesSwapped if line == Line::Irq => vec![(vcpu, Line::Fiq, level)],
            Fault::LinesSwapped => vec![(vcpu, Line::Irq, level)],
            Fault::LineIsAPulse if level => vec![(vcpu, line, true), (vcpu, line, false)],
            Fault::LoweringOneLowersBoth if !level => vec![(vcpu, Line::Irq, false), (vcpu, Line::Fiq, false)],
            Fault::OnlyTheLineOfVcpu0 => vec![(0, line, level)],
            Fault::LineWaitsForExit if by_another_thread => {
                self.deferred.push((vcpu, line, level));
                vec![]
            }
            _ => vec![(vcpu, line, level)],
        };
        LineCalls { calls, kick: self.fault == Fault::UnchangedLineKicks && !changed }
    }

    /// The argument of a raw KVM_IRQ_LINE; `None`: it is accepted, and nothing done.
    pub fn raw_line(&self, irq: u32) -> Option<u32> {
        match self.fault {
            Fault::BadLineAccepted => None,
            Fault::OnlyTheLineOfVcpu0 => Some(irq & 0x0f00_ffff),
            Fault::Vcpu2IndexIgnored => Some(irq & 0x0fff_ffff),
            _ => Some(irq),
        }
    }

    /// The value that KVM_SET_ONE_REG sets; `None`: none.
    pub fn set(&self, register: TimerRegister, value: u64) -> Option<u64> {
        let control = matches!(register, TimerRegister::CntvCtl | TimerRegister::CntpCtl);
        match self.fault {
            Fault::SetDropped if !control => None,
            Fault::CtlSetDropped if control => None,
            _ => Some(value),
        }
    }

    /// The value that KVM_GET_ONE_REG reads.
    pub fn get(&self, value: u64) -> u64 {
        if self.fault == Fault::GetReadsZero { 0 } else { value }
    }

    /// kvm_valid_regs and kvm_dirty_regs were set.
    pub fn sync_flags(&mut self, vcpu: usize, flags: u64) {
        self.vcpus[vcpu].sync_flags = Some(flags);
    }

    /// What KVM_CHECK_EXTENSION says.
    pub fn extension(&self, value: i64) -> i64 {
        if self.fault == Fault::CapabilityAbsent { 0 } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FailsOn, checks};

    #[test]
    fn every_fault_is_caught_by_a_check() {
        let mut seen = std::collections::HashSet::new();
        for Described { fault, name, what } in FAULTS {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(checks::all().any(|check| check.must_catch(*fault)), "nothing catches {name}");
            assert!(what.ends_with('.'), "{name}: sentences end");
        }
    }

    #[test]
    fn every_check_catches_a_fault_or_says_why_none_can_be_injected() {
        for check in checks::all() {
            match check.fails_on {
                FailsOn::Faults(faults) => {
                    assert!(!faults.is_empty(), "{} catches nothing", check.name);
                    for fault in faults {
                        let described = FAULTS.iter().any(|described| described.fault == *fault);
                        assert!(described, "{}: {fault:?} is not among the faults to inject", check.name);
                    }
                }
                FailsOn::OnlyKernels(reason) => assert!(reason.ends_with('.'), "{}: sentences end", check.name),
            }
        }
    }

    const READ: Exit = Exit::MmioRead { address: 0, len: 8 };

    fn told(fault: Fault, returns: &[(Exit, Levels)]) -> Vec<Passed> {
        let mut kernel = Injector::new(fault, None);
        returns.iter().map(|&(exit, levels)| kernel.on_return(0, exit, levels, Inside::default())).collect()
    }

    #[test]
    fn a_late_level_is_that_of_the_return_before() {
        let seen = told(Fault::LevelLate, &[(READ, Levels::VTIMER), (READ, Levels::NONE)]);
        assert_eq!(seen, [Passed::Deliver(READ, Levels::NONE), Passed::Deliver(READ, Levels::VTIMER)]);
    }

    #[test]
    fn a_missing_return_is_missing_for_a_rise_alone() {
        let eintr = Exit::Interrupted;
        let seen = told(Fault::NoReturnOnRise, &[(eintr, Levels::VTIMER), (eintr, Levels::VTIMER)]);
        assert_eq!(seen, [Passed::Swallow, Passed::Deliver(eintr, Levels::VTIMER)], "the second is a signal");
    }

    #[test]
    fn a_deferred_line_is_driven_when_its_vcpu_returns() {
        let mut kernel = Injector::new(Fault::LineWaitsForExit, None);
        assert_eq!(kernel.line(1, Line::Irq, true, true), LineCalls::default());
        assert_eq!(kernel.lines_on_return(0), []);
        assert_eq!(kernel.lines_on_return(1), [(1, Line::Irq, true)]);
        assert_eq!(kernel.lines_on_return(1), []);
    }
}
