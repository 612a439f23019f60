//! What is kept of a transcript that is too long to be read: that of a storm.

use super::{Ending, Event, Transcript};

/// Events that are kept from the start of a storm's transcript: more than most programs leave.
const FIRST: usize = 100;
/// Events that are kept from its end.
const LAST: usize = 40;

impl Transcript {
    /// Leaves out the middle of a transcript in which a vCPU's returns did not end: it says nothing that its start and its
    /// end do not say. Any other transcript stays whole.
    pub(crate) fn cut_storm(&mut self) {
        if let Some(neighbour) = &mut self.neighbour {
            neighbour.cut_storm();
        }
        let stormy = self.endings.iter().any(|ending| matches!(ending, Ending::Storm(_)));
        if !stormy || self.events.len() <= FIRST + LAST + 1 {
            return;
        }
        let middle = FIRST..self.events.len() - LAST;
        let left_out = Event::LeftOut { at: self.events[FIRST].at(), count: middle.len() };
        // What was refused is looked for in the transcript.
        let refused = self.events[middle.clone()].iter().filter(|event| matches!(event, Event::Refused(_))).cloned();
        let kept: Vec<Event> = refused.take(LAST).chain([left_out]).collect();
        self.events.splice(middle, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Return, Storm};
    use super::*;
    use crate::{Program, Refusal};
    use vtick_core::exit::Exit;
    use vtick_core::lines::Levels;

    fn eintr(returned: u64) -> Return {
        Return {
            vcpu: 0,
            entered: returned - 3,
            returned,
            exit: Exit::Interrupted,
            levels: Levels::VTIMER,
            pc: None,
            reason: None,
        }
    }

    fn transcript(ending: impl Fn(Storm) -> Ending) -> Transcript {
        let returns: Vec<Return> = (1..=3000).map(|n| eintr(10 * n)).collect();
        let storm = Storm::of(3000, returns.iter().rev(), vtick_core::stopped::Stopped::overslept()).unwrap();
        let refusal = Refusal {
            at: 20_001,
            vcpu: None,
            call: "KVM_IRQ_LINE".to_owned(),
            register: None,
            value: None,
            errno: libc::EINVAL,
            before_the_guest: false,
        };
        let events = returns.into_iter().map(Event::Return).chain([Event::Refused(refusal)]).collect();
        Transcript::new(&Program::new(1_000_000), events, vec![ending(storm)], 0)
    }

    #[test]
    fn a_storm_keeps_its_start_its_end_and_what_was_refused_in_it() {
        let mut storm = transcript(Ending::Storm);
        storm.cut_storm();
        assert_eq!(storm.events.len(), FIRST + LAST + 2);
        assert_eq!(storm.refusals().count(), 1);
        let lines = storm.timeline(&Program::new(1_000_000));
        assert!(lines.len() < 10, "{lines:#?}");
        assert!(lines[0].contains("100 times, every 10 ticks"), "{lines:#?}");
        let mut calm = transcript(|_| Ending::Done);
        calm.cut_storm();
        assert_eq!(calm.events.len(), 3001);
    }

    #[test]
    fn a_storm_says_how_often_how_fast_and_at_which_level() {
        let Ending::Storm(storm) = &transcript(Ending::Storm).endings[0] else { unreachable!() };
        let told = storm.to_string();
        assert!(
            told.starts_with("exit storm: 3000 returns, every 10 ticks, level vtimer unchanged (EINTR); "),
            "{told}"
        );
    }
}
