//! What a vCPU was doing when it did not come to the end of its program.

use super::transcript::{Ending, Event, Storm, Transcript};
use super::verdict::{Unheld, disturbed, violated};

/// That nothing happened of which no program may be the cause: a system call refused, vtick's own failure, a storm of
/// returns, a vCPU that does not come back.
pub(super) fn nothing_broke(transcript: &Transcript) -> Result<(), Unheld> {
    for ending in &transcript.endings {
        if let Ending::HarnessError { message } = ending {
            return Err(Unheld::HarnessError(message.clone()));
        }
    }
    let mut refusals = transcript.refusals();
    if let Some(first) = refusals.next() {
        return first.judged(refusals.count());
    }
    let broke = |ending: &&Ending| matches!(ending, Ending::Storm(_) | Ending::Stuck { .. });
    first_that(transcript, broke)
}

/// That the guest did not panic. A program that somebody wrote may ask too much of the guest: its panic blames no kernel. The
/// programs of checks are known to end on sound kernels: there a guest with more interrupts than it can note has met a fault.
pub(super) fn no_panic(transcript: &Transcript) -> Result<(), Unheld> {
    match transcript.endings.iter().find(|ending| matches!(ending, Ending::Panic { .. })) {
        None => Ok(()),
        Some(panic) => Err(Unheld::HarnessError(diagnose(panic))),
    }
}

/// That every vCPU came to the end of its program; otherwise what the first that did not was doing.
pub(super) fn all_ended(transcript: &Transcript) -> Result<(), Unheld> {
    first_that(transcript, |ending| **ending != Ending::Done)
}

/// That no vCPU gave up waiting for another: from there on a program's parts are not in the order they were written in.
pub(super) fn all_met(transcript: &Transcript) -> Result<(), Unheld> {
    let late = |event: &&Event| matches!(event, Event::Action { result, .. } if *result == -i64::from(libc::ETIMEDOUT));
    match transcript.events.iter().find(late) {
        None => Ok(()),
        Some(_) => disturbed("a vCPU did not come to where all meet in time"),
    }
}

/// That no vCPU ended so; otherwise how the first that did ended.
fn first_that(transcript: &Transcript, so: impl Fn(&&Ending) -> bool) -> Result<(), Unheld> {
    match transcript.endings.iter().enumerate().find(|(_, ending)| so(ending)) {
        None => Ok(()),
        Some((vcpu, ending)) => violated(format!("vCPU {vcpu}: {}", diagnose(ending))),
    }
}

/// How a vCPU ended, as a sentence.
pub fn diagnose(ending: &Ending) -> String {
    match ending {
        Ending::Done => "came to its end".to_owned(),
        Ending::Stopped(stopped) => stopped.diagnosis(),
        Ending::Exception { vector, esr, elr, far } => format!(
            "unexpected exception in the guest at {elr}: vector {vector:#x}, ESR_EL1 {esr:#x}, FAR_EL1 {far:#x}"
        ),
        Ending::Panic { message } => format!("the guest panicked: {message}"),
        Ending::Failed { exit, pc } => format!("KVM_RUN ended with {exit}, guest at {pc}"),
        Ending::Refused => "a system call was refused".to_owned(),
        Ending::Storm(storm) => storm.to_string(),
        Ending::Stuck { place } => format!("no signal brought it back from KVM_RUN within a second: {place}"),
        Ending::HarnessError { message } => format!("vtick failed: {message}"),
    }
}

impl std::fmt::Display for Storm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Storm { returns, alike, period, exit, levels, stopped } = self;
        write!(f, "exit storm: {returns} returns")?;
        if alike * 2 >= *returns {
            write!(f, ", every {period} ticks, level {levels} unchanged ({exit})")?;
        } else {
            write!(f, " of several kinds, the last {exit}, levels {levels}")?;
        }
        write!(f, "; {}", stopped.diagnosis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Program, Refusal};

    fn broke(ending: Ending, refused_before: Option<bool>) -> Result<(), Unheld> {
        let refusal = |before_the_guest| Refusal {
            at: 0,
            vcpu: None,
            call: "KVM_CREATE_VCPU".to_owned(),
            register: None,
            value: None,
            errno: libc::EINVAL,
            before_the_guest,
        };
        let events = refused_before.into_iter().map(|before| Event::Refused(refusal(before))).collect();
        nothing_broke(&Transcript::new(&Program::new(1_000_000), events, vec![ending], 0))
    }

    #[test]
    fn a_refusal_violates_a_claim_about_a_guest_that_ran_and_leaves_open_one_about_a_guest_that_did_not() {
        let what = "the kernel refused KVM_CREATE_VCPU: Invalid argument (os error 22)".to_owned();
        assert_eq!(broke(Ending::Refused, Some(false)), Err(Unheld::Violated(what.clone())));
        assert_eq!(broke(Ending::Refused, Some(true)), Err(Unheld::NotExercised(what)));
        assert_eq!(broke(Ending::Done, None), Ok(()));
    }

    #[test]
    fn a_vcpu_that_does_not_come_back_is_violated_and_vticks_own_failure_is_not() {
        let stuck = broke(Ending::Stuck { place: "state R".to_owned() }, None);
        let due = "vCPU 0: no signal brought it back from KVM_RUN within a second: state R".to_owned();
        assert_eq!(stuck, Err(Unheld::Violated(due)));
        let own = broke(Ending::HarnessError { message: "no memory".to_owned() }, None);
        assert_eq!(own, Err(Unheld::HarnessError("no memory".to_owned())));
        assert_eq!(
            broke(Ending::Stopped(vtick_core::stopped::Stopped::overslept()), None),
            Ok(()),
            "some programs may not end"
        );
    }

    #[test]
    fn a_panic_of_the_guest_is_a_harness_error_where_the_program_may_be_its_cause() {
        let panic = vec![Ending::Panic { message: "more than 8 handlers".to_owned() }];
        let transcript = Transcript::new(&Program::new(1_000_000), Vec::new(), panic, 0);
        let what = "the guest panicked: more than 8 handlers";
        assert_eq!(no_panic(&transcript), Err(Unheld::HarnessError(what.to_owned())));
        assert_eq!(all_ended(&transcript), Err(Unheld::Violated(format!("vCPU 0: {what}"))));
        assert_eq!(nothing_broke(&transcript), Ok(()));
    }
}
