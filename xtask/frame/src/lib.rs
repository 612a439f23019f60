//! Checksummed messages over a serial line that the kernel's own output shares.
//!
//! The emulated host has one way out that every kernel offers: the UART on which that kernel also prints its messages.
//! The agent inside writes [`Message`]s through an [`Encoder`]; the machine outside feeds every byte of the line to a
//! [`Decoder`], which hands back messages, and as log text everything that is none.
//!
//! There is no way back for that, so nothing can be acknowledged. What a kernel message tore apart is recovered by sending the
//! same lines once more: sequence numbers make that harmless (see [`Decoder`]). Fragments are short so that little is
//! lost at a time, and long messages are compressed because every byte costs the emulated UART instructions.
//!
//! [`Job`] is the other direction: what the agent is to do. The job stands in the initramfs before the machine starts, or is
//! put into the agent's memory with the files that belong to it ([`encode_files`]).

#![forbid(unsafe_code)]

mod decoder;
mod encoder;
mod handover;
mod input;
mod job;
mod line;
mod message;

pub use decoder::{Decoder, Event};
pub use encoder::Encoder;
pub use handover::{HandedFiles, HandoverError, decode_files, encode_files};
pub use input::{InputDecoder, Typed, encode_end_of_input, encode_input};
pub use job::{Input, Job, JobError};
pub use message::{Exit, Message};
