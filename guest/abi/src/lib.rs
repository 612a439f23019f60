//! What the guest and its host agree on, and nothing else: addresses, mailbox registers, litmus operations and the
//! layout of the records both sides keep in guest RAM.
//!
//! Both sides compile this crate, so a layout cannot drift. It holds no behaviour and allocates nothing. Everything
//! shared in RAM is `repr(C)`, a multiple of 8 bytes, little-endian, and read and written while the guest's MMU and
//! caches are on. The compiler has checked that it has no padding and that any bytes are a value of it (`zerocopy`).
#![no_std]
#![forbid(unsafe_code)]

pub mod intid;
pub mod layout;
pub mod litmus;
pub mod mailbox;
pub mod measure;
