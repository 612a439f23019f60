//! The place where the host can be stopped and saved, and the room for files that are put into the agent's memory from
//! outside, by QEMU's gdbstub.
//!
//! xtask finds the two functions and the room by their names in the agent's symbol table.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use vtick_frame::{HandedFiles, HandoverError, decode_files};

/// 8 MiB, in words: the journal of a run has five.
const WORDS: usize = 1 << 20;
/// A page has at least so many words.
const PAGE: usize = 512;

/// Files in the layout of [`vtick_frame::encode_files`]; zeros if nothing was put here. Atomic, because somebody else writes.
static ROOM: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

/// Gives the room its memory: the gdbstub reaches only pages that are there.
pub(crate) fn prepare() {
    black_box(&ROOM).iter().step_by(PAGE).for_each(|word| word.store(0, Ordering::Relaxed));
}

/// Enters the kernel once: a host is saved where this system call begins.
#[inline(never)]
pub(crate) fn at_rest() {
    rustix::thread::sched_yield();
}

/// The files that were put into the room before this function was called.
#[inline(never)]
pub(crate) fn take() -> Result<HandedFiles, HandoverError> {
    let room = black_box(&ROOM);
    // The first word is the number of bytes behind it.
    let bytes = usize::try_from(room[0].load(Ordering::Relaxed)).map_err(|_| HandoverError)?;
    let words = room.get(..1 + bytes.div_ceil(8)).ok_or(HandoverError)?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
    decode_files(&bytes)
}
