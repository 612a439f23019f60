//! A transcript judged by what its program expects ([`Expectation`]).

use vtick_abi::litmus::kind;

use super::program::{Deadline, Expectation, Point, Program, Span, Step};
use super::transcript::{GuestRecord, Return, Transcript};
use super::verdict::{Judged, Unheld, disturbed, not_exercised, violated};

/// By how much a vCPU may oversleep, in microseconds: any scheduler has run it by then.
pub(super) const LATE_US: u64 = 80_000;

/// What a program expects, apart from the program.
pub(super) struct Expected {
    expectations: Vec<Expectation>,
    /// Each of the program's actions as a line of text.
    actions: Vec<String>,
    /// By how many ticks a vCPU may oversleep.
    late: u64,
}

impl Expected {
    pub(super) fn of(program: &Program) -> Expected {
        Expected {
            expectations: program.expectations().to_vec(),
            actions: program.actions().iter().map(|action| program.describe_action(*action)).collect(),
            late: program.us(LATE_US),
        }
    }

    /// Judges by all expectations, in their order; held with this evidence.
    pub(super) fn judge(&self, t: &Transcript, evidence: &str) -> Judged {
        let mut seen = Vec::new();
        for expectation in &self.expectations {
            seen.extend(self.one(expectation, t)?);
        }
        Ok(match &seen[..] {
            [] => evidence.to_owned(),
            seen => format!("{evidence}: {}", seen.join("; ")),
        })
    }

    /// Judges by one expectation. What was seen, where that says more than that it was seen.
    fn one(&self, expectation: &Expectation, t: &Transcript) -> Result<Option<String>, Unheld> {
        match *expectation {
            Expectation::LevelsAt(step, due) => {
                t.at(step)?;
                for record in t.all(step) {
                    let exit = exit_of(t, record)?;
                    if exit.levels != due {
                        let what = "the MMIO exit of operation";
                        return violated(format!("{what} {} showed levels {}, expected {due}", record.op, exit.levels));
                    }
                }
                Ok(None)
            }
            Expectation::SomeReturn(due, span) => match returns(t, span)?.find(|r| r.levels == due) {
                Some(r) => Ok(Some(format!("returned with {}, levels {}", r.exit, r.levels))),
                None => violated(format!("KVM_RUN never returned with levels {due} {}", place(t, span))),
            },
            Expectation::FirstReturn(due, span) => match returns(t, span)?.next() {
                Some(r) if r.levels == due => Ok(Some(format!("returned with {}, levels {}", r.exit, r.levels))),
                Some(r) => violated(format!("KVM_RUN returned with {}, levels {}; expected {due}", r.exit, r.levels)),
                None => {
                    violated(format!("KVM_RUN never returned {}; expected a return with levels {due}", place(t, span)))
                }
            },
            Expectation::EveryReturn(due, span) => {
                let wrong = match span {
                    Some(span) => returns(t, span)?.find(|r| r.levels != due),
                    None => t.returns().find(|r| r.levels != due),
                };
                match wrong {
                    None => Ok(None),
                    Some(r) => {
                        let vcpu = r.vcpu;
                        violated(format!(
                            "a return of vCPU {vcpu} with {} showed levels {}, expected {due}",
                            r.exit, r.levels
                        ))
                    }
                }
            }
            Expectation::Returns(due, span) => {
                let (count, first) = (returns(t, span)?.count() as u64, returns(t, span)?.next());
                match first {
                    _ if count == due => Ok(None),
                    Some(r) if due == 0 => {
                        violated(format!("KVM_RUN returned with {}, levels {}; expected no return", r.exit, r.levels))
                    }
                    _ => violated(format!("KVM_RUN returned {count} times {}; expected {due}", place(t, span))),
                }
            }
            Expectation::Gives { step, due, mask } => {
                t.at(step)?;
                for record in t.all(step) {
                    let value = record.value & mask;
                    if record.kind == kind::FAULT {
                        return violated(format!("operation {} was UNDEFINED; expected {due:#x}", record.op));
                    }
                    if value != due {
                        return violated(format!("operation {} gave {value:#x}, expected {due:#x}", record.op));
                    }
                }
                Ok(None)
            }
            Expectation::LastReturn(due) => match t.returns().rfind(|r| r.vcpu == 0) {
                Some(r) if r.levels == due => Ok(None),
                Some(r) => violated(format!("the last return was {}, levels {}; due were {due}", r.exit, r.levels)),
                None => violated(format!("KVM_RUN never returned; expected a return with levels {due}")),
            },
            Expectation::GivesAtLeast(step, due) => {
                t.at(step)?;
                match t.all(step).find(|record| record.value < due) {
                    None => Ok(None),
                    Some(r) => violated(format!("operation {} gave {:#x}, expected {due:#x} at least", r.op, r.value)),
                }
            }
            Expectation::GivesBetween { step, least, most } => {
                let bound = |(step, more): (Step, u64)| Ok::<_, Unheld>(t.at(step)?.value.wrapping_add(more));
                let (record, least, most) = (t.at(step)?, bound(least)?, bound(most)?);
                let (op, value) = (record.op, record.value);
                if !(least..=most).contains(&value) {
                    return violated(format!("operation {op} gave {value:#x}, expected {least:#x} to {most:#x}"));
                }
                Ok(None)
            }
            Expectation::Undefined(step) => match t.at(step)? {
                record if record.kind == kind::FAULT => Ok(None),
                record => {
                    let (op, value) = (record.op, record.value);
                    violated(format!("operation {op} gave {value:#x}, expected an UNDEFINED exception"))
                }
            },
            Expectation::Result(action, due) => match t.result(action)? {
                result if result == due => Ok(None),
                result => {
                    violated(format!("{} returned {}, expected {}", self.actions[action.0], named(result), named(due)))
                }
            },
            Expectation::ResultAtLeast(action, due) => match t.result(action)? {
                result if result >= due => Ok(None),
                result => {
                    let action = &self.actions[action.0];
                    violated(format!("{action} returned {}, expected {due} at least", named(result)))
                }
            },
            Expectation::ResultIsOf(action, step) => match (t.result(action)?, t.at(step)?.value) {
                (result, due) if result as u64 == due => Ok(None),
                (result, due) => {
                    violated(format!("{} returned {}, expected {due}", self.actions[action.0], named(result)))
                }
            },
            Expectation::EndsAt(step, deadline) => {
                let (record, deadline) = (t.at(step)?, time_of(t, deadline)?);
                match record.after.checked_sub(deadline) {
                    None => {
                        let early = deadline - record.after;
                        violated(format!("operation {} ended {early} ticks before the deadline", record.op))
                    }
                    Some(after) if after > self.late => {
                        violated(format!("operation {} ended {after} ticks after the deadline", record.op))
                    }
                    Some(after) => Ok(Some(format!("ended {after} ticks after the deadline"))),
                }
            }
            Expectation::EndsWithin(step, ticks) => {
                let record = t.at(step)?;
                match record.after - record.before {
                    took if took <= ticks => Ok(Some(format!("took {took} ticks"))),
                    took => violated(format!("operation {} took {took} ticks, expected {ticks} at most", record.op)),
                }
            }
            Expectation::NeverEnds(step) => match t.all(step).next() {
                None => Ok(Some("still there after all that time".to_owned())),
                Some(record) => {
                    let took = record.after - record.before;
                    violated(format!("operation {} ended after {took} ticks with no reason to", record.op))
                }
            },
            Expectation::InTime(step, deadline) => {
                let (exit, deadline) = (t.exit_of(step)?, time_of(t, deadline)?);
                match exit.returned.checked_sub(deadline) {
                    None => Ok(None),
                    Some(late) => disturbed(format!("the exit before the deadline came {late} ticks after it")),
                }
            }
            Expectation::DoneAfter(action, step) => {
                if t.time_of(action)? < t.at(step)?.after {
                    return disturbed(format!("{} was done before the guest ran on", self.actions[action.0]));
                }
                Ok(None)
            }
            Expectation::Unless(action, result) => {
                if t.result(action)? == result {
                    return not_exercised(format!("{} returned {}", self.actions[action.0], named(result)));
                }
                Ok(None)
            }
        }
    }
}

/// Judges by all that a program expects, and by what the program beside it expects.
pub(super) fn judge(program: &Program, transcript: &Transcript) -> Judged {
    let reason = Expected::of(program).judge(transcript, "as expected")?;
    if let Some(neighbour) = program.neighbour() {
        judge(neighbour, transcript.neighbour()?)?;
    }
    Ok(reason)
}

/// The MMIO exit that a step made in one of its runs.
fn exit_of<'t>(t: &'t Transcript, record: &GuestRecord) -> Result<&'t Return, Unheld> {
    let mut returns = t.returns_between(record.vcpu, record.before, record.after);
    match returns.find(|r| r.exit.address().is_some()) {
        Some(exit) => Ok(exit),
        None => violated(format!("operation {} caused no MMIO exit", record.op)),
    }
}

fn at(t: &Transcript, point: Point) -> Result<u64, Unheld> {
    let record = t.at(point.step)?;
    Ok(if point.end { record.after } else { record.before })
}

fn returns(t: &Transcript, span: Span) -> Result<impl Iterator<Item = &Return>, Unheld> {
    let (from, to) = (at(t, span.from)?, at(t, span.to)?);
    Ok(t.returns_between(t.at(span.from.step)?.vcpu, from, to))
}

fn place(t: &Transcript, span: Span) -> String {
    let end = |point: Point| if point.end { "end" } else { "start" };
    let op = |point: Point| t.at(point.step).map_or(0, |record| record.op);
    let Span { from, to } = span;
    match from.step == to.step {
        true => format!("during operation {}", op(from)),
        false => format!("from the {} of operation {} to the {} of operation {}", end(from), op(from), end(to), op(to)),
    }
}

/// A deadline on the host's counter. The guest's physical counter is the host's.
fn time_of(t: &Transcript, deadline: Deadline) -> Result<u64, Unheld> {
    if deadline.physical { Ok(t.at(deadline.step)?.value) } else { t.deadline(deadline.step) }
}

/// A result with the name of the error that it is.
fn named(result: i64) -> String {
    match result {
        error @ -4095..0 => format!("{error} ({})", std::io::Error::from_raw_os_error(-error as i32)),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::parse;
    use crate::{Ending, Event};
    use vtick_core::exit::Exit;
    use vtick_core::lines::Levels;

    /// Arms its timer for 150 ticks, and reads twice: at 120, before the deadline, and at 220, behind it.
    const PROGRAM: &str = "before: asked: KVM_CHECK_EXTENSION(144)\nvCPU 0:\n    armed: CNTV_CVAL := 150\n    early: MMIO read\n    \
                           slept: WFI\n    late: MMIO read\n    undefined: read ICC_IAR1_EL1\n    stuck: WFI\n";

    fn transcript(program: &Program) -> Transcript {
        let guest =
            |op, kind, before, after, value| Event::Guest(GuestRecord { vcpu: 0, op, kind, before, after, value });
        let exit = |returned, exit, levels| {
            Event::Return(Return { vcpu: 0, entered: returned - 5, returned, exit, levels, pc: None, reason: None })
        };
        let read = Exit::MmioRead { address: 0x0b00_0038, len: 8 };
        let events = vec![
            Event::Action { at: 1, action: 0, result: 1, due: None },
            guest(0, kind::OP, 100, 101, 150),
            exit(120, read, Levels::NONE),
            guest(1, kind::OP, 110, 130, 7),
            exit(160, Exit::Interrupted, Levels::VTIMER),
            guest(2, kind::OP, 140, 170, 0),
            exit(220, read, Levels::VTIMER),
            guest(3, kind::OP, 210, 230, 7),
            guest(4, kind::FAULT, 240, 250, 0x0200_0000),
        ];
        Transcript::new(program, events, vec![Ending::Done], 0)
    }

    fn judged(line: &str) -> Judged {
        let program = parse(&format!("{PROGRAM}{line}\n"), 1_000_000_000, 1).unwrap().program;
        assert_eq!(program.expectations().len(), 1);
        judge(&program, &transcript(&program))
    }

    #[test]
    fn each_expectation_holds_of_what_it_describes_and_of_nothing_else() {
        for (held, not) in [
            ("expect levels none at early", "expect levels vtimer at early"),
            ("expect levels vtimer at late", "expect levels ptimer at late"),
            (
                "expect a return with levels vtimer from start of armed to end of slept",
                "expect a return with levels vtimer from start of armed to end of early",
            ),
            (
                "expect the first return with levels vtimer from end of early to end of late",
                "expect the first return with levels vtimer from end of armed to end of late",
            ),
            (
                "expect every return with levels vtimer from end of early to end of late",
                "expect every return with levels vtimer from start of early to end of late",
            ),
            ("expect no return from end of early to start of slept", "expect every return with levels none"),
            (
                "expect one return from start of slept to end of slept",
                "expect one return from start of early to end of slept",
            ),
            (
                "expect 3 returns from start of armed to end of late",
                "expect no return from start of armed to end of late",
            ),
            ("expect early gives 7", "expect early gives 5"),
            ("expect early gives 0x3 in bits 0xb", "expect early gives 0x1 in bits 0xb"),
            ("expect the last return with levels vtimer", "expect the last return with levels none"),
            ("expect early gives at least 7", "expect early gives at least 8"),
            ("expect armed gives early + 143 to early + 143", "expect armed gives early + 144 to early + 150"),
            ("expect armed gives early + 100 to early + 200", "expect armed gives early + 100 to early + 142"),
            ("expect the result of asked to be at least 1", "expect the result of asked to be at least 2"),
            ("expect undefined is UNDEFINED", "expect early is UNDEFINED"),
            ("expect the result of asked to be 1", "expect the result of asked to be -ENOENT"),
            ("expect slept to end at the deadline of armed", "expect early to end at the deadline of armed"),
            ("expect slept to end within 30", "expect slept to end within 29"),
            ("expect stuck never to end", "expect slept never to end"),
            ("expect early gives 7", "expect stuck gives 7"),
        ] {
            assert!(judged(held).is_ok(), "{held}: {:?}", judged(held));
            assert!(matches!(judged(not), Err(Unheld::Violated(_))), "{not}: {:?}", judged(not));
        }
    }

    #[test]
    fn a_sleep_that_ends_later_than_any_scheduler_wakes_is_no_wakeup() {
        let program = format!("{PROGRAM}expect slept to end at the deadline of armed\n");
        // 80 ms are 8 ticks of this counter; the sleep ended 20 ticks after its deadline.
        let program = parse(&program, 100, 1).unwrap().program;
        assert!(matches!(judge(&program, &transcript(&program)), Err(Unheld::Violated(_))));
    }

    #[test]
    fn premises_that_do_not_hold_are_no_violation() {
        assert!(judged("assume early comes before the deadline of armed").is_ok());
        assert!(matches!(judged("assume late comes before the deadline of armed"), Err(Unheld::Disturbed(_))));
        assert!(matches!(judged("assume asked is done after the end of armed"), Err(Unheld::Disturbed(_))));
        assert!(matches!(judged("skip if the result of asked is 1"), Err(Unheld::NotExercised(_))));
        assert!(judged("skip if the result of asked is -ENODEV").is_ok());
    }
}
