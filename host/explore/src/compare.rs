//! Whether a program did the same in a VM that is reused and in a fresh one: what a reset failed to reset shows.

use vtick_abi::litmus::kind;

use vtick_contract::{Action, Ending, Event, Program, Transcript};
use vtick_core::exit::Exit;
use vtick_core::lines::Levels;

/// What of a transcript does not depend on how long anything took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How each vCPU ended.
    endings: Vec<&'static str>,
    /// The operations that each vCPU came past, handlers left out, with each result that is no time.
    operations: Vec<Vec<u32>>,
    /// What each action returned, in the order of the actions; a value that is a time is left out.
    results: Vec<Option<i64>>,
    /// The levels with which each vCPU said that it was done.
    levels: Vec<Option<Levels>>,
}

impl Shape {
    /// The shape of a transcript of `program`.
    pub fn of(program: &Program, transcript: &Transcript) -> Shape {
        let vcpus = program.setup.vcpus;
        let mut shape = Shape {
            endings: transcript.endings.iter().map(ending).collect(),
            operations: vec![Vec::new(); vcpus],
            results: vec![None; program.actions().len()],
            levels: vec![None; vcpus],
        };
        for event in &transcript.events {
            match event {
                Event::Guest(record)
                    if matches!(record.kind, kind::OP | kind::FAULT) && program.is_main(record.vcpu, record.op) =>
                {
                    shape.operations[record.vcpu].push(record.op);
                }
                Event::Return(r) if is_done(&r.exit) => shape.levels[r.vcpu] = Some(r.levels),
                Event::Action { action, result, .. } => {
                    let time = matches!(program.actions()[*action], Action::Get(_)) && *result >= 0;
                    shape.results[*action] = if time { None } else { Some(*result) };
                }
                _ => {}
            }
        }
        shape
    }
}

fn is_done(exit: &Exit) -> bool {
    let done = vtick_abi::layout::MAILBOX_BASE + vtick_abi::mailbox::DONE;
    matches!(exit, Exit::MmioWrite { address, .. } if *address == done)
}

fn ending(ending: &Ending) -> &'static str {
    match ending {
        Ending::Done => "done",
        Ending::Stopped(_) => "stopped",
        Ending::Exception { .. } => "exception",
        Ending::Panic { .. } => "panic",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vtick_contract::{GuestRecord, Return};

    fn ran(level: Levels, at: u64, irq_first: bool) -> (Program, Transcript) {
        let mut program = Program::new(1_000_000);
        program.on_irq(|p| p.note(1));
        program.mmio_read();
        program.ask(Action::Migrate);
        let (header, _) = program.encode();
        let record =
            |op, kind, at| Event::Guest(GuestRecord { vcpu: 0, op, kind, before: at, after: at + 1, value: at });
        let exit = Exit::mmio_write(vtick_abi::layout::MAILBOX_BASE + vtick_abi::mailbox::DONE, &[0; 8]);
        let mut events = vec![
            record(header.entry[0], kind::OP, at),
            Event::Action { at: at + 5, action: 0, due: None, result: -19 },
            record(header.entry[0] + 1, kind::OP, at + 8),
            Event::Return(Return {
                vcpu: 0,
                entered: at,
                returned: at + 20,
                exit,
                levels: level,
                pc: None,
                reason: None,
            }),
        ];
        if irq_first {
            events.push(record(header.irq[0], kind::IRQ, at - 5));
            events.push(record(header.irq[0], kind::OP, at - 4));
        }
        let transcript = Transcript::new(&program, events, vec![Ending::Done], 0);
        (program, transcript)
    }

    fn shape((program, transcript): (Program, Transcript)) -> Shape {
        Shape::of(&program, &transcript)
    }

    #[test]
    fn when_things_happened_and_when_an_interrupt_came_is_no_part_of_a_shape() {
        assert_eq!(shape(ran(Levels::NONE, 100, false)), shape(ran(Levels::NONE, 900, true)));
    }

    #[test]
    fn the_levels_at_the_end_are_part_of_a_shape() {
        assert_ne!(shape(ran(Levels::NONE, 100, false)), shape(ran(Levels::VTIMER, 100, false)));
    }
}
