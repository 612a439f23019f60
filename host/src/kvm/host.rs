//! What machine this is: kernel, KVM's mode, CPU, interrupt controller, clock.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{affinity, clock};
use crate::latency::{power, settings};
use crate::report::{Host, Unit};

/// Describes the host, as far as it can be found out without changing anything.
pub(super) fn describe() -> Host {
    let deterministic = clock::counts_instructions();
    let log = kernel_log();
    Host {
        kernel: read("/proc/sys/kernel/osrelease"),
        build: read("/proc/sys/kernel/version"),
        kvm_mode: kvm_mode(&log).to_owned(),
        gic: gic(&fs::read_to_string("/proc/interrupts").unwrap_or_default(), &log),
        cpu: cpu_name(&read("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1")),
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
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
    let Ok(mut file) = file else { return String::new() };
    let mut log = String::new();
    let mut record = [0; 8192];
    // Each read is one record; EPIPE says that some were overwritten, anything else that there are no more.
    loop {
        match file.read(&mut record) {
            Ok(0) => return log,
            Ok(len) => {
                log.push_str(&String::from_utf8_lossy(&record[..len]));
                log.push('\n');
            }
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => return log,
        }
    }
}

/// What KVM says of its mode when it starts (arch/arm64/kvm/arm.c, kvm_arm_init).
fn kvm_mode(log: &str) -> &'static str {
    let said = |text: &str| log.lines().any(|line| line.contains("kvm [") && line.contains(text));
    if said("Protected") || said("protected nVHE mode") {
        "protected"
    } else if said("VHE mode initialized") && !said("nVHE mode initialized") {
        "VHE"
    } else if said("nVHE mode initialized") || said("Hyp mode initialized") || said("Hyp nVHE mode initialized") {
        "nVHE"
    } else {
        "unknown"
    }
}

/// The host's interrupt controller, and whether KVM can give a guest one.
fn gic(interrupts: &str, log: &str) -> String {
    let chip = if interrupts.contains("GICv3") {
        "GICv3"
    } else if interrupts.contains("GIC-0") || interrupts.contains("GICv2") {
        "GICv2"
    } else {
        "unknown"
    };
    let vgic = log.lines().any(|line| line.contains("kvm [") && (line.contains("vgic") || line.contains("GICv3:")));
    if vgic || log.is_empty() { chip.to_owned() } else { format!("{chip}, no vGIC") }
}

/// The CPU by its MIDR_EL1 (Arm's main ID register: implementer in bits 31:24, part number in 15:4).
fn cpu_name(midr: &str) -> String {
    const ARM: [(u64, &str); 16] = [
        (0xd03, "Cortex-A53"),
        (0xd04, "Cortex-A35"),
        (0xd05, "Cortex-A55"),
        (0xd07, "Cortex-A57"),
        (0xd08, "Cortex-A72"),
        (0xd09, "Cortex-A73"),
        (0xd0a, "Cortex-A75"),
        (0xd0b, "Cortex-A76"),
        (0xd0c, "Neoverse N1"),
        (0xd40, "Neoverse V1"),
        (0xd41, "Cortex-A78"),
        (0xd44, "Cortex-X1"),
        (0xd49, "Neoverse N2"),
        (0xd4f, "Neoverse V2"),
        (0xd84, "Neoverse V3"),
        (0xd8e, "Neoverse N3"),
    ];
    let Some(value) = midr.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()) else {
        return "unknown".to_owned();
    };
    let (implementer, part) = (value >> 24 & 0xff, value >> 4 & 0xfff);
    let name = ARM.into_iter().find(|&(number, _)| implementer == 0x41 && number == part);
    match name {
        Some((_, name)) => name.to_owned(),
        None => format!("MIDR_EL1 {midr}"),
    }
}
