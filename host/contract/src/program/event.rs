//! The event of a program that can be moved in time, for it to come at every moment of something else once.

use vtick_abi::litmus::{Op, base, code, sysreg};

use super::{Action, Program};

/// The event of a program that can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moving {
    /// A deadline that the guest sets relative to now: this operation of the encoded program.
    Deadline(u32),
    /// What another thread does after a while: this action.
    Actor(usize),
}

impl Program {
    /// The first thing that another thread does after a while, or else the first deadline that the guest sets relative to
    /// now. `None`: there is neither.
    pub fn event(&self) -> Option<Moving> {
        let actor = self.actions.iter().position(|action| ticks(&mut action.clone()).is_some());
        actor.map(Moving::Actor).or_else(|| {
            let (_, ops) = self.encode();
            ops.iter().position(sets_a_deadline).map(|op| Moving::Deadline(op as u32))
        })
    }

    /// The same program with its [event](Program::event) so many ticks after the operation that asks for it.
    pub fn with_event_after(&self, after: u64) -> Option<Program> {
        let mut program = self.clone();
        match self.event()? {
            Moving::Actor(action) => *ticks(&mut program.actions[action])? = after,
            Moving::Deadline(_) => {
                program.blocks.iter_mut().flat_map(|block| &mut block.ops).find(|op| sets_a_deadline(op))?.value =
                    after;
            }
        }
        Some(program)
    }

    /// Whether an operation of the encoded program belongs to what a vCPU runs by itself, and not to a handler.
    pub fn is_main(&self, vcpu: usize, op: u32) -> bool {
        self.main[vcpu] == Some(self.step(op).block as usize)
    }
}

/// After how many ticks another thread does it; `None`: another thread does nothing.
fn ticks(action: &mut Action) -> Option<&mut u64> {
    match action {
        Action::LineAfter { ticks, .. } | Action::SignalAfter { ticks, .. } | Action::SpiAfter { ticks, .. } => {
            Some(ticks)
        }
        _ => None,
    }
}

/// Whether an operation sets a deadline relative to now.
fn sets_a_deadline(op: &Op) -> bool {
    op.code == code::WRITE
        && match op.what {
            sysreg::CNTV_CVAL | sysreg::CNTP_CVAL => matches!(op.base, base::NOW | base::NOW_PHYSICAL),
            sysreg::CNTV_TVAL | sysreg::CNTP_TVAL => op.base == base::ZERO,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vtick_core::lines::Line;

    #[test]
    fn a_deadline_moves_unless_another_thread_does_something() {
        let mut p = Program::new(1_000_000);
        p.mmio_read();
        p.arm_vtimer(50);
        assert_eq!(p.event(), Some(Moving::Deadline(1)));
        assert_eq!(p.with_event_after(7).unwrap().encode().1[1].value, 7);
        assert_eq!(p.encode().1[1].value, 50, "the program itself stays");
        p.ask(Action::LineAfter { ticks: 3, vcpu: 0, line: Line::Irq, level: true });
        assert_eq!(p.event(), Some(Moving::Actor(0)));
        let moved = p.with_event_after(9).unwrap();
        assert_eq!(moved.actions(), [Action::LineAfter { ticks: 9, vcpu: 0, line: Line::Irq, level: true }]);
    }

    #[test]
    fn a_program_without_time_has_no_event() {
        let mut p = Program::new(1_000_000);
        p.mmio_read();
        p.write(sysreg::CNTV_CVAL, 5);
        assert!(p.event().is_none() && p.with_event_after(1).is_none());
    }

    #[test]
    fn a_handler_is_nobodys_main_program() {
        let mut p = Program::new(1_000_000);
        p.on_irq(|p| p.note(1));
        p.note(2);
        let (header, _) = p.encode();
        assert!(p.is_main(0, header.entry[0]) && !p.is_main(0, header.irq[0]));
    }
}
