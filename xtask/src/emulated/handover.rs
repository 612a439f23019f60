//! The way of a job into a saved host: into the memory of the agent, which reads the job there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol};
use vtick_frame::{Job, encode_files};

use super::Files;
use crate::gdb::{Gdb, PC};

/// The longest time between two places of the agent.
const PATIENCE: Duration = Duration::from_secs(60);
/// More instructions than lie between the start of a function and its system call.
const MOST_STEPS: usize = 1000;
/// Bytes that one packet of QEMU's gdbstub takes: two digits each, in 4,096 characters with the command (QEMU, gdbstub.c,
/// MAX_PACKET_LENGTH).
const AT_ONCE: usize = 2000;

/// The agent's places, as its `handover` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    /// The function that enters the kernel once.
    at_rest: u64,
    /// The function that reads the room.
    take: u64,
    /// Where files are put.
    room: u64,
    /// The room's size in bytes.
    size: u64,
}

impl Agent {
    /// Reads the symbols of an agent. One that was stripped of them has no such places.
    pub(super) fn read(path: &Path) -> Result<Option<Agent>> {
        let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let Ok(elf) = object::File::parse(&*file) else { return Ok(None) };
        // A mangled path is its parts, each behind its length.
        let symbol = |name: &str| {
            let part = format!("8handover{}{name}", name.len());
            elf.symbols().find(|symbol| symbol.name().is_ok_and(|name| name.contains(&part)))
        };
        let address = |name| symbol(name).map(|symbol| symbol.address());
        let agent = || {
            let size = symbol("ROOM")?.size();
            Some(Agent { at_rest: address("at_rest")?, take: address("take")?, room: address("ROOM")?, size })
        };
        Ok(agent())
    }

    /// Whether the room is large enough for these files.
    pub(super) fn has_room_for(&self, handed: &[u8]) -> bool {
        (handed.len() as u64) <= self.size
    }

    /// Lets the host run until the agent enters the kernel at rest; the next instruction is the kernel's.
    pub(super) fn come_to_rest(&self, gdb: &mut Gdb, limit: Duration) -> Result<()> {
        run_to(gdb, self.at_rest, limit)?;
        for _ in 0..MOST_STEPS {
            gdb.step()?;
            // The kernel's addresses are the upper half.
            if gdb.register(PC)? >> 63 == 1 {
                return Ok(());
            }
        }
        anyhow::bail!("the agent makes no system call where it is at rest");
    }

    /// Puts the files into the room, and lets the host run.
    pub(super) fn hand_over(&self, mut gdb: Gdb, handed: &[u8]) -> Result<()> {
        ensure!(self.has_room_for(handed), "the agent has no room for the files");
        run_to(&mut gdb, self.take, PATIENCE)?;
        for (chunk, address) in handed.chunks(AT_ONCE).zip((self.room..).step_by(AT_ONCE)) {
            gdb.write(address, chunk)?;
        }
        gdb.detach()
    }
}

/// What is handed over: the job, and the files that belong to it.
pub(super) fn handed(job: &Job, files: &Files) -> Vec<u8> {
    let job = (Job::PATH.to_owned(), job.encode());
    let all: Files = std::iter::once(job).chain(files.iter().cloned()).collect();
    encode_files(&all)
}

fn run_to(gdb: &mut Gdb, address: u64, limit: Duration) -> Result<()> {
    gdb.breakpoint(address, true)?;
    gdb.run_to_breakpoint(limit)?;
    gdb.breakpoint(address, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_agent_with_symbols_has_no_places() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("agent");
        fs::write(&place, "a script").unwrap();
        assert_eq!(Agent::read(&place).unwrap(), None);
        // This test's own program has symbols, and none of an agent.
        assert_eq!(Agent::read(&std::env::current_exe().unwrap()).unwrap(), None);
        assert!(Agent::read(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn the_job_is_handed_over_with_its_files_and_only_into_room_that_is_there() {
        let files = vec![("/bin/a.litmus".to_owned(), b"program".to_vec())];
        let bytes = handed(&Job::default(), &files);
        let back = vtick_frame::decode_files(&bytes).unwrap();
        assert_eq!(back[0], (Job::PATH.to_owned(), Job::default().encode()));
        assert_eq!(back[1..], files);
        let agent = |size| Agent { at_rest: 0, take: 0, room: 0, size };
        assert!(agent(bytes.len() as u64).has_room_for(&bytes));
        assert!(!agent(bytes.len() as u64 - 1).has_room_for(&bytes));
    }
}
