//! How expectations read: `expect ...` what must be seen, `assume ...` and `skip ...` what must be so for that.

use super::form::Form;
use super::operations::number;
use super::slot::Piece::{self, Number};
use crate::program::{ActionRef, Deadline, Expectation, Point, Program, Span, Step};
use vtick_core::lines::Levels;

pub(super) const EXPECTATIONS: &[Form<Expectation>] = &[
    Form {
        pattern: "expect levels <levels> at <step>",
        write: |it, _| match *it {
            Expectation::LevelsAt(step, due) => Some(vec![of_levels(due), Piece::Step(step)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::LevelsAt(step(&p[1]), levels(&p[0]))),
    },
    Form {
        pattern: "expect a return with levels <levels> from <point> to <point>",
        write: |it, _| match *it {
            Expectation::SomeReturn(due, span) => Some(spanned(of_levels(due), span)),
            _ => None,
        },
        read: |p, program| Ok(Expectation::SomeReturn(levels(&p[0]), span(&p[1..], program)?)),
    },
    Form {
        pattern: "expect the first return with levels <levels> from <point> to <point>",
        write: |it, _| match *it {
            Expectation::FirstReturn(due, span) => Some(spanned(of_levels(due), span)),
            _ => None,
        },
        read: |p, program| Ok(Expectation::FirstReturn(levels(&p[0]), span(&p[1..], program)?)),
    },
    Form {
        pattern: "expect every return with levels <levels>",
        write: |it, _| match *it {
            Expectation::EveryReturn(due, None) => Some(vec![of_levels(due)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::EveryReturn(levels(&p[0]), None)),
    },
    Form {
        pattern: "expect every return with levels <levels> from <point> to <point>",
        write: |it, _| match *it {
            Expectation::EveryReturn(due, Some(span)) => Some(spanned(of_levels(due), span)),
            _ => None,
        },
        read: |p, program| Ok(Expectation::EveryReturn(levels(&p[0]), Some(span(&p[1..], program)?))),
    },
    Form {
        pattern: "expect no return from <point> to <point>",
        write: |it, _| match *it {
            Expectation::Returns(0, span) => Some(vec![Piece::Point(span.from), Piece::Point(span.to)]),
            _ => None,
        },
        read: |p, program| Ok(Expectation::Returns(0, span(p, program)?)),
    },
    Form {
        pattern: "expect one return from <point> to <point>",
        write: |it, _| match *it {
            Expectation::Returns(1, span) => Some(vec![Piece::Point(span.from), Piece::Point(span.to)]),
            _ => None,
        },
        read: |p, program| Ok(Expectation::Returns(1, span(p, program)?)),
    },
    Form {
        pattern: "expect <number> returns from <point> to <point>",
        write: |it, _| match *it {
            Expectation::Returns(due, span) => Some(spanned(Number(due), span)),
            _ => None,
        },
        read: |p, program| Ok(Expectation::Returns(number(&p[0]), span(&p[1..], program)?)),
    },
    Form {
        pattern: "expect the last return with levels <levels>",
        write: |it, _| match *it {
            Expectation::LastReturn(due) => Some(vec![of_levels(due)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::LastReturn(levels(&p[0]))),
    },
    Form {
        pattern: "expect <step> gives at least <number>",
        write: |it, _| match *it {
            Expectation::GivesAtLeast(step, due) => Some(vec![Piece::Step(step), Number(due)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::GivesAtLeast(step(&p[0]), number(&p[1]))),
    },
    Form {
        pattern: "expect <step> gives <step> + <ticks> to <step> + <ticks>",
        write: |it, _| match *it {
            Expectation::GivesBetween { step, least, most } => Some(vec![
                Piece::Step(step),
                Piece::Step(least.0),
                Number(least.1),
                Piece::Step(most.0),
                Number(most.1),
            ]),
            _ => None,
        },
        read: |p, _| {
            let (least, most) = ((step(&p[1]), number(&p[2])), (step(&p[3]), number(&p[4])));
            Ok(Expectation::GivesBetween { step: step(&p[0]), least, most })
        },
    },
    Form {
        pattern: "expect the result of <action> to be at least <number>",
        write: |it, _| match *it {
            Expectation::ResultAtLeast(action, due) => Some(vec![Piece::Action(action), Number(due as u64)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::ResultAtLeast(action(&p[0]), number(&p[1]) as i64)),
    },
    Form {
        pattern: "expect the result of <action> to be what <step> gives",
        write: |it, _| match *it {
            Expectation::ResultIsOf(action, step) => Some(vec![Piece::Action(action), Piece::Step(step)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::ResultIsOf(action(&p[0]), step(&p[1]))),
    },
    Form {
        pattern: "expect <step> gives <number>",
        write: |it, _| match *it {
            Expectation::Gives { step, due, mask: u64::MAX } => Some(vec![Piece::Step(step), Number(due)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::Gives { step: step(&p[0]), due: number(&p[1]), mask: u64::MAX }),
    },
    Form {
        pattern: "expect <step> gives <hex> in bits <hex>",
        write: |it, _| match *it {
            Expectation::Gives { step, due, mask } => Some(vec![Piece::Step(step), Number(due), Number(mask)]),
            _ => None,
        },
        read: |p, _| match (number(&p[1]), number(&p[2])) {
            (due, mask) if due & !mask != 0 => Err(format!("{due:#x} has bits that are not in {mask:#x}")),
            (due, mask) => Ok(Expectation::Gives { step: step(&p[0]), due, mask }),
        },
    },
    Form {
        pattern: "expect <step> is UNDEFINED",
        write: |it, _| match *it {
            Expectation::Undefined(step) => Some(vec![Piece::Step(step)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::Undefined(step(&p[0]))),
    },
    Form {
        pattern: "expect the result of <action> to be <result>",
        write: |it, _| match *it {
            Expectation::Result(action, due) => Some(vec![Piece::Action(action), Number(due as u64)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::Result(action(&p[0]), number(&p[1]) as i64)),
    },
    Form {
        pattern: "expect <step> to end at the deadline of <step>",
        write: |it, _| match *it {
            Expectation::EndsAt(step, deadline) => Some(vec![Piece::Step(step), Piece::Step(deadline.step)]),
            _ => None,
        },
        read: |p, program| Ok(Expectation::EndsAt(step(&p[0]), deadline(&p[1], program)?)),
    },
    Form {
        pattern: "expect <step> to end within <ticks>",
        write: |it, _| match *it {
            Expectation::EndsWithin(step, ticks) => Some(vec![Piece::Step(step), Number(ticks)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::EndsWithin(step(&p[0]), number(&p[1]))),
    },
    Form {
        pattern: "expect <step> never to end",
        write: |it, _| match *it {
            Expectation::NeverEnds(step) => Some(vec![Piece::Step(step)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::NeverEnds(step(&p[0]))),
    },
    Form {
        pattern: "assume <step> comes before the deadline of <step>",
        write: |it, _| match *it {
            Expectation::InTime(step, deadline) => Some(vec![Piece::Step(step), Piece::Step(deadline.step)]),
            _ => None,
        },
        read: |p, program| Ok(Expectation::InTime(step(&p[0]), deadline(&p[1], program)?)),
    },
    Form {
        pattern: "assume <action> is done after the end of <step>",
        write: |it, _| match *it {
            Expectation::DoneAfter(action, step) => Some(vec![Piece::Action(action), Piece::Step(step)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::DoneAfter(action(&p[0]), step(&p[1]))),
    },
    Form {
        pattern: "skip if the result of <action> is <result>",
        write: |it, _| match *it {
            Expectation::Unless(action, result) => Some(vec![Piece::Action(action), Number(result as u64)]),
            _ => None,
        },
        read: |p, _| Ok(Expectation::Unless(action(&p[0]), number(&p[1]) as i64)),
    },
];

fn of_levels(levels: Levels) -> Piece {
    Number(levels.0)
}

fn levels(piece: &Piece) -> Levels {
    Levels(number(piece))
}

fn spanned(first: Piece, span: Span) -> Vec<Piece> {
    vec![first, Piece::Point(span.from), Piece::Point(span.to)]
}

fn span(pieces: &[Piece], program: &Program) -> Result<Span, String> {
    let [Piece::Point(from), Piece::Point(to)] = pieces else { unreachable!("{pieces:?} in slots for points") };
    let vcpu = |point: &Point| program.vcpu_of(point.step);
    if vcpu(from) != vcpu(to) {
        return Err("both steps have to be of one vCPU: the returns are those of its thread".to_owned());
    }
    Ok(Span { from: *from, to: *to })
}

fn step(piece: &Piece) -> Step {
    match piece {
        Piece::Step(step) => *step,
        other => unreachable!("{other:?} in a slot for a step"),
    }
}

fn action(piece: &Piece) -> ActionRef {
    match piece {
        Piece::Action(action) => *action,
        other => unreachable!("{other:?} in a slot for an action"),
    }
}

fn deadline(piece: &Piece, program: &Program) -> Result<Deadline, String> {
    program
        .deadline_of(step(piece))
        .ok_or_else(|| "a deadline is set or read by a step with CNTV_CVAL or CNTP_CVAL".to_owned())
}
