//! How late a sound kernel may be: the one place that says so.
//!
//! The model needs no tolerance where a transcript brackets an event: a level that was looked at between two readings of
//! the counter is judged by both. Tolerances are for what happens without a reading: an interrupt that is on its way.

use vtick_core::{Host, Unit};

/// How late a sound kernel may be, in counter ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// How long guest code may run on after a deadline, before the timer's interrupt has stopped it.
    pub notice: u64,
    /// How long guest code may run on after KVM_IRQ_LINE or a signal of another thread, before it has stopped the guest.
    pub kick: u64,
    /// How long guest code may run on with an interrupt neither masked nor taken.
    pub take: u64,
    /// How long a vCPU may sleep on after what wakes it, not counting what its thread waited for a CPU.
    pub wake: u64,
    /// By how much the guest's counter may be behind after a move to a fresh VM: what passes between userspace's reading of
    /// the counter and the kernel's setting of it.
    pub restore: u64,
    /// Whether a WFI that ends without a reason is the kernel's fault: on silicon it may end for an interrupt of the
    /// host's that comes at that moment.
    pub sleeps_are_exact: bool,
}

impl Tolerance {
    /// What is to be tolerated on this host. In a host that counts instructions an interrupt is on its way for a few of
    /// them only. A thread that wakes there may find its CPU busy with another, which keeps it to the end of a scheduler's
    /// tick (4 ms), or of a few: the host says how long that was.
    pub fn of(host: &Host) -> Tolerance {
        let us = |n: u64| n * host.cntfrq / 1_000_000;
        let exact = host.deterministic && host.unit == Unit::Instructions;
        if exact {
            return Tolerance {
                notice: 1_000,
                kick: if host.cpus > 1 { 20_000 } else { 5_000 },
                take: 200,
                wake: us(200),
                restore: 20_000,
                sleeps_are_exact: true,
            };
        }
        Tolerance {
            notice: us(1_000),
            kick: us(5_000),
            take: us(200),
            wake: us(80_000),
            restore: us(1_000),
            sleeps_are_exact: false,
        }
    }
}
