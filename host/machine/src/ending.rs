//! How a guest's run ended, in words.

use std::fmt::{Display, Formatter, Result};

use super::{Account, nowhere};
use vtick_core::cause::WFI_NEVER_WAKES;
use vtick_core::exit::Exit;
use vtick_core::stopped::Stopped;
use vtick_trace::Trace;

/// The exit code of a test that was skipped (kvm-unit-tests, and automake).
const SKIPPED: u32 = 77;

/// What a run came to.
pub struct Booted {
    /// How it ended.
    pub ended: Ended,
    /// What was done for it.
    pub account: Account,
    /// What happened, as far as it was to be kept.
    pub trace: Trace,
}

/// Where a vCPU was, and what it was doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Program counter, timer, levels.
    pub stopped: Stopped,
    /// The vCPU is off (PSCI).
    pub off: bool,
    /// x0 to x30.
    pub x: [u64; 31],
    /// SP_EL1, ELR_EL1, ESR_EL1, FAR_EL1, VBAR_EL1, SCTLR_EL1.
    pub el1: El1,
}

/// System registers of EL1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct El1 {
    /// SP_EL1.
    pub sp: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    /// VBAR_EL1.
    pub vbar: u64,
    /// SCTLR_EL1.
    pub sctlr: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The guest switched itself off.
    PowerOff,
    /// The guest asked to be started again.
    Reset,
    /// A test guest said its exit code, and switched itself off or exited through the testdev.
    Exited(u32),
    /// The guest printed a line that was to end the run.
    Said {
        /// Whether it was the line of a success.
        well: bool,
        /// The line.
        line: String,
    },
    /// The user left.
    Quit,
    /// This process was told to end, by a signal.
    Signal,
    /// It took too long: where each vCPU was.
    TimedOut(Vec<Snapshot>),
    /// A vCPU did what no machine can do.
    Broken {
        /// Which vCPU.
        vcpu: usize,
        /// How KVM_RUN returned.
        exit: Exit,
        /// Where it was.
        at: Box<Snapshot>,
    },
    /// A vCPU sleeps past its timer's deadline, and nobody was told.
    Overslept {
        /// Which vCPU.
        vcpu: usize,
        /// Where it was.
        at: Box<Snapshot>,
    },
    /// A vCPU takes the same exception for ever.
    Recursion {
        /// Which vCPU.
        vcpu: usize,
        /// Where it was.
        at: Box<Snapshot>,
    },
    /// Every vCPU turned itself off: nothing can turn one on again.
    AllOff,
}

impl Ended {
    /// Whether the guest ended its run itself, in the way that it should.
    pub fn is_clean(&self) -> bool {
        matches!(self, Ended::PowerOff | Ended::Exited(0) | Ended::Said { well: true, .. })
    }

    /// Whether a test guest said that it had nothing to test here.
    pub fn is_skipped(&self) -> bool {
        *self == Ended::Exited(SKIPPED)
    }
}

impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Ended::PowerOff => write!(f, "the guest powered off"),
            Ended::Reset => {
                write!(f, "the guest asked for a reset (PSCI SYSTEM_RESET), and is not started again (--no-reboot)")
            }
            Ended::Exited(SKIPPED) => write!(f, "the guest skipped its test (exit code {SKIPPED})"),
            Ended::Exited(code) => write!(f, "the guest ended with exit code {code}"),
            Ended::Said { well: true, line } => write!(f, "the guest said {line:?} (--exit-on)"),
            Ended::Said { well: false, line } => write!(f, "the guest said {line:?} (--fail-on)"),
            Ended::Quit => write!(f, "left by Ctrl-A x"),
            Ended::Signal => write!(f, "ended by a signal"),
            Ended::TimedOut(vcpus) => {
                write!(f, "the guest did not power off in time (--timeout)")?;
                vcpus.iter().enumerate().try_for_each(|(vcpu, at)| write!(f, "\nvCPU {vcpu}: {at}"))
            }
            Ended::Broken { vcpu, exit, at } => write!(f, "vCPU {vcpu}: {}\nvCPU {vcpu}: {at}", broken(*exit)),
            Ended::Overslept { vcpu, at } => {
                let cause = WFI_NEVER_WAKES;
                writeln!(f, "vCPU {vcpu}: {}", at.stopped.diagnosis())?;
                write!(f, "looks like: {cause}\nvCPU {vcpu}: {at}")
            }
            Ended::Recursion { vcpu, at } => write!(
                f,
                "vCPU {vcpu}: takes an exception at the start of its own handler, for ever: {} at {:#x}, FAR_EL1 {:#x}\n\
                 vCPU {vcpu}: {at}",
                class(at.el1.esr),
                at.el1.elr,
                at.el1.far
            ),
            Ended::AllOff => write!(f, "every vCPU has turned itself off (PSCI CPU_OFF), and nothing can turn one on"),
        }
    }
}

impl Display for Snapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.off {
            return write!(f, "off (PSCI)");
        }
        let Snapshot { stopped, el1, .. } = self;
        writeln!(f, "{}", stopped.diagnosis())?;
        writeln!(f, "  {stopped}")?;
        write!(
            f,
            "  SP_EL1 {:#x}, SCTLR_EL1 {:#x}, VBAR_EL1 {:#x}, ELR_EL1 {:#x}, FAR_EL1 {:#x}, ESR_EL1 {:#x} ({})",
            el1.sp,
            el1.sctlr,
            el1.vbar,
            el1.elr,
            el1.far,
            el1.esr,
            class(el1.esr),
        )?;
        for (index, value) in self.x.iter().enumerate() {
            let separator = if index % 4 == 0 { "\n " } else { "" };
            write!(f, "{separator} {:<3} {value:016x}", format!("x{index}"))?;
        }
        Ok(())
    }
}

/// What a guest did that cannot go on, as a sentence.
fn broken(exit: Exit) -> String {
    match exit {
        Exit::MmioRead { .. } | Exit::MmioWrite { .. } => format!("{} (--strict)", nowhere::told(exit)),
        Exit::NoSyndrome => {
            "the guest accesses a device, or nothing, by an instruction that KVM cannot emulate: the CPU \
                             describes no load or store with writeback, of a pair, or of a SIMD register"
                .to_owned()
        }
        Exit::SystemEvent { event } => format!("the guest asked for system event {event}, which vtick does not know"),
        other => format!("KVM_RUN ended with {other}"),
    }
}

/// ESR_ELx.EC, as far as a guest that is broken shows it (Arm ARM DDI 0487, D24: ESR_EL1).
fn class(esr: u64) -> &'static str {
    // Its upper bits are RES0: KVM resets the register to something that no exception leaves there.
    if esr >> 56 != 0 {
        return "as after reset";
    }
    match esr >> 26 & 0x3f {
        0x00 => "unknown reason, or an undefined instruction",
        0x0e => "illegal execution state",
        0x15 => "SVC",
        0x18 => "trapped system register",
        0x20 | 0x21 => "instruction abort",
        0x22 => "PC alignment fault",
        0x24 | 0x25 => "data abort",
        0x26 => "SP alignment fault",
        0x2f => "SError",
        0x30..=0x3d => "debug exception",
        _ => "other exception",
    }
}

impl Snapshot {
    /// Whether the virtual timer's output is due for longer than `ticks`, and was never reported.
    pub fn oversleeps(&self, ticks: u64) -> bool {
        !self.off && self.stopped.overdue().is_some_and(|late| late >= ticks)
    }

    /// Whether the vCPU is in one of its vectors, and came there from that same vector: its handler cannot run.
    pub fn recurses(&self) -> bool {
        // A vector is 0x80 bytes, the table 0x800 (Arm ARM DDI 0487, D1.3.1).
        let slot = |address: u64| Some(address.wrapping_sub(self.el1.vbar)).filter(|&o| o < 0x800).map(|o| o / 0x80);
        !self.off && slot(self.stopped.pc).is_some() && slot(self.stopped.pc) == slot(self.el1.elr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vtick_core::lines::Levels;

    fn snapshot() -> Snapshot {
        let el1 = El1 { vbar: 0x4009_0000, ..El1::default() };
        Snapshot { stopped: Stopped::overslept(), off: false, x: [7; 31], el1 }
    }

    fn with(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        snapshot
    }

    #[test]
    fn a_vcpu_oversleeps_if_its_timer_expired_long_ago_and_nobody_was_told() {
        assert!(snapshot().oversleeps(4000) && !snapshot().oversleeps(4001));
        for (what, innocent) in [
            ("reported", with(|s| s.stopped.levels = Levels::VTIMER)),
            ("off", with(|s| s.off = true)),
            ("timer off", with(|s| s.stopped.cntv_ctl = 0)),
            ("masked", with(|s| s.stopped.cntv_ctl = 7)),
            ("not due", with(|s| s.stopped.cntv_cval = 6000)),
        ] {
            assert!(!innocent.oversleeps(0), "{what}");
        }
    }

    #[test]
    fn a_handler_that_faults_where_it_starts_recurses() {
        let at = |pc: u64, elr: u64| {
            with(|s| {
                s.stopped.pc = pc;
                s.el1.elr = elr;
            })
            .recurses()
        };
        assert!(at(0x4009_0200, 0x4009_0200));
        assert!(at(0x4009_0204, 0x4009_0200));
        assert!(!at(0x4009_0200, 0x4008_0000), "its first exception");
        assert!(!at(0x4009_0200, 0x4009_0280), "another vector's");
        assert!(!at(0x4008_0000, 0x4008_0000), "not in a vector");
    }

    #[test]
    fn every_ending_is_said_in_words_that_name_what_and_where() {
        let at = Box::new(snapshot());
        let nowhere = Exit::MmioRead { address: 0xdead_0000, len: 4 };
        for (ended, due) in [
            (Ended::PowerOff, "powered off"),
            (Ended::Exited(1), "ended with exit code 1"),
            (Ended::Exited(77), "skipped its test"),
            (Ended::Said { well: false, line: "Kernel panic".to_owned() }, "said \"Kernel panic\" (--fail-on)"),
            (Ended::Broken { vcpu: 1, exit: nowhere, at: at.clone() }, "vCPU 1: the guest reads 4 bytes at 0xdead0000"),
            (
                Ended::Overslept { vcpu: 0, at: at.clone() },
                "virtual timer expired 4000 ticks ago, level never reported",
            ),
            (Ended::Overslept { vcpu: 0, at: at.clone() }, "fixed by commit 4ce98bf0865c"),
            (Ended::Recursion { vcpu: 0, at }, "takes an exception at the start of its own handler"),
            (
                Ended::TimedOut(vec![with(|s| s.off = true), snapshot()]),
                "vCPU 0: off (PSCI)\nvCPU 1: guest asleep in WFI",
            ),
        ] {
            let text = ended.to_string();
            assert!(text.contains(due), "{due:?} is not in\n{text}");
            assert_eq!(ended.is_clean(), due == "powered off");
        }
    }
}
