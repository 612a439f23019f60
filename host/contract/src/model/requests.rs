//! What the host was asked to do, by which vCPU, and between which times it did.

use std::collections::VecDeque;

use vtick_abi::layout::MAILBOX_BASE;
use vtick_abi::mailbox;

use crate::{Action, Event, Program, Transcript};
use vtick_core::exit::Exit;

/// An action that was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) action: Action,
    /// The vCPU that asked; the first, of what was done before any ran.
    pub(super) vcpu: usize,
    /// It was done between these two times, on the host's counter, both included.
    pub(super) from: u64,
    pub(super) at: u64,
    /// What the system call returned, or minus errno.
    pub(super) result: i64,
}

impl Request {
    /// Whether the system call failed. Registers are numbers of 64 bits: only errnos are errors.
    pub(super) fn failed(&self) -> bool {
        (-4095..0).contains(&self.result)
    }

    /// Whether another thread than the vCPU's did it.
    pub(super) fn by_helper(&self) -> bool {
        matches!(self.action, Action::LineAfter { .. } | Action::SignalAfter { .. } | Action::SpiAfter { .. })
    }
}

/// All actions that were done, in the order of their ends.
pub(super) fn collect(program: &Program, transcript: &Transcript) -> Vec<Request> {
    let mut requests = Vec::new();
    if program.actions().is_empty() {
        return requests;
    }
    // For each action, who asked and when, in order: a loop may ask again and again.
    let mut asked: Vec<VecDeque<(usize, u64)>> = vec![VecDeque::new(); program.actions().len()];
    for event in &transcript.events {
        match *event {
            Event::Return(exit) => {
                if let Exit::MmioWrite { address, value, .. } = exit.exit
                    && address == MAILBOX_BASE + mailbox::ACTION
                    && let Some(asked) = asked.get_mut(value as usize)
                {
                    asked.push_back((exit.vcpu, exit.returned));
                }
            }
            Event::Action { at, action: index, result, .. } => {
                let Some(&action) = program.actions().get(index) else { continue };
                let (vcpu, asked) = asked[index].pop_front().unwrap_or((0, 0));
                let from = match action {
                    Action::LineAfter { ticks, .. }
                    | Action::SignalAfter { ticks, .. }
                    | Action::SpiAfter { ticks, .. } => asked + ticks,
                    _ => asked,
                };
                requests.push(Request { action, vcpu, from: from.min(at), at, result });
            }
            _ => {}
        }
    }
    requests
}
