//! What machine this is: kernel, KVM's mode, CPU, interrupt controller, clock. Read here, understood in
//! [`identity`](crate::identity).

use std::fs;
use std::path::Path;

use super::log::Log;
use super::{affinity, clock, vgic, vm};
use crate::identity;
use vtick_core::{Host, Unit, Vgic};
use vtick_latency::{power, settings};

/// Describes the host, as far as it can be found out without changing anything.
pub(super) fn describe() -> Host {
    let deterministic = clock::counts_instructions();
    let interrupts = fs::read_to_string("/proc/interrupts").unwrap_or_default();
    let mode = identity::mode(&interrupts, &read("/proc/cmdline"));
    let told = if mode.is_none() { identity::mode_by_log(&kernel_log()) } else { None };
    Host {
        kernel: read("/proc/sys/kernel/osrelease"),
        build: read("/proc/sys/kernel/version"),
        kvm_mode: mode.or(told).unwrap_or("unknown").to_owned(),
        mode_by_log: told.is_some(),
        gic: identity::gic(&interrupts, has_vgic()),
        cpu: identity::cpu(&read("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1"), &read("/proc/cpuinfo")),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        cntfrq: clock::cntfrq(),
        unit: if deterministic { Unit::Instructions } else { Unit::Nanoseconds },
        settings: settings(&read("/proc/cmdline"), random_pool_is_ready(), &read("/proc/uptime")),
        boot: boot(&read("/proc/cmdline")),
        pinned: affinity::pinned().to_vec(),
        power: power(Path::new("/sys/devices/system/cpu"), affinity::allowed()),
        deterministic,
    }
}

/// Of a kernel's command line what changes how it behaves: not where it finds its root and its console.
fn boot(command_line: &str) -> String {
    const OF_NO_INTEREST: [&str; 12] = [
        "console",
        "quiet",
        "nokaslr",
        "randomize_kstack_offset",
        "panic",
        "root",
        "ro",
        "rw",
        "initrd",
        "BOOT_IMAGE",
        "rootfstype",
        "splash",
    ];
    let told = command_line.split_whitespace().filter(|word| {
        let name = word.split_once('=').map_or(*word, |(name, _)| name);
        !OF_NO_INTEREST.contains(&name)
    });
    told.collect::<Vec<_>>().join(" ")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// Whether the kernel's random pool has been seeded (getrandom(2), GRND_NONBLOCK: EAGAIN if not).
fn random_pool_is_ready() -> bool {
    let mut byte = 0_u8;
    // SAFETY: the kernel writes at most one byte, to a byte of this function's own.
    unsafe { libc::getrandom((&raw mut byte).cast(), 1, libc::GRND_NONBLOCK) == 1 }
}

/// The kernel's log, as far as it may be read and is still there.
fn kernel_log() -> String {
    let mut log = Log::oldest();
    std::iter::from_fn(|| log.record()).map(|record| record + "\n").collect()
}

/// Whether KVM can give a VM an in-kernel GIC of any kind; `None`: it does not say.
fn has_vgic() -> Option<bool> {
    let vm = vm::bare().ok()?;
    let can = |vgic| vgic::is_possible(&vm, vgic);
    match (can(Vgic::V3), can(Vgic::V2)) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}
