//! What machine a host is, from what its kernel says of itself: pure readings of text; `kvm` fetches it.
//!
//! The kernel's log is a last resort: it may be rotated, cut or closed to us, and then what it does not say is no answer.

/// How KVM uses the CPU's virtualisation: "VHE", "nVHE" or "protected", of /proc/interrupts and /proc/cmdline; `None`:
/// they do not tell.
///
/// The kernel's own timer interrupt says at which exception level it runs (drivers/clocksource/arm_arch_timer.c,
/// arch_timer_select_ppi): PPI 26, the hypervisor's timer, at EL2, which is VHE; PPI 30, the physical timer, at EL1 below
/// a hypervisor part of its own. Which of the two kinds of that, the command line chooses.
pub fn mode(interrupts: &str, command_line: &str) -> Option<&'static str> {
    match own_timer(interrupts)? {
        26 => Some("VHE"),
        30 if wants_protected(command_line) => Some("protected"),
        30 => Some("nVHE"),
        _ => None,
    }
}

/// The INTID of the kernel's own timer: `11:  9264  GICv3  26 Level  arch_timer`.
fn own_timer(interrupts: &str) -> Option<u32> {
    let line = interrupts.lines().find(|line| line.split_whitespace().last() == Some("arch_timer"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let level = words.iter().position(|word| matches!(*word, "Level" | "Edge"))?;
    words.get(level.checked_sub(1)?)?.parse().ok()
}

/// The last of several counts, as for the kernel (early_param).
fn wants_protected(command_line: &str) -> bool {
    let mut modes = command_line.split_whitespace().filter_map(|word| word.strip_prefix("kvm-arm.mode="));
    modes.next_back() == Some("protected")
}

/// The same of the kernel's log: what KVM says when it starts (arch/arm64/kvm/arm.c, kvm_arm_init).
pub fn mode_by_log(log: &str) -> Option<&'static str> {
    let said = |text: &str| log.lines().any(|line| line.contains("kvm [") && line.contains(text));
    if said("Protected") || said("protected nVHE mode") {
        Some("protected")
    } else if said("VHE mode initialized") && !said("nVHE mode initialized") {
        Some("VHE")
    } else if said("nVHE mode initialized") || said("Hyp mode initialized") || said("Hyp nVHE mode initialized") {
        Some("nVHE")
    } else {
        None
    }
}

/// The host's interrupt controller, and whether KVM can give a guest one (`None`: it does not say).
pub fn gic(interrupts: &str, vgic: Option<bool>) -> String {
    let chip = if interrupts.contains("GICv3") {
        "GICv3"
    } else if interrupts.contains("GIC-0") || interrupts.contains("GICv2") {
        "GICv2"
    } else {
        "unknown"
    };
    if vgic == Some(false) { format!("{chip}, no vGIC") } else { chip.to_owned() }
}

/// The CPU by its MIDR_EL1 (Arm's main ID register: implementer in bits 31:24, part number in 15:4), as sysfs has it; of
/// a kernel that has it not there, by /proc/cpuinfo.
pub fn cpu(midr: &str, cpuinfo: &str) -> String {
    let of_midr = number(midr).map(|value| (value >> 24 & 0xff, value >> 4 & 0xfff));
    let field = |name: &str| {
        let line = cpuinfo.lines().find_map(|line| line.split_once(':').filter(|(field, _)| field.trim() == name));
        line.and_then(|(_, value)| number(value))
    };
    match of_midr.or_else(|| Some((field("CPU implementer")?, field("CPU part")?))) {
        None => "unknown".to_owned(),
        Some((implementer, part)) => match name(implementer, part) {
            Some(name) => name.to_owned(),
            None if of_midr.is_some() => format!("MIDR_EL1 {}", midr.trim()),
            None => format!("CPU implementer {implementer:#x}, part {part:#x}"),
        },
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

fn name(implementer: u64, part: u64) -> Option<&'static str> {
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
    ARM.into_iter().find(|&(number, _)| implementer == 0x41 && number == part).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VHE: &str = "           CPU0       CPU1\n\
                       \x20 9:          0          0     GICv3  25 Level     vgic\n\
                       \x2011:          0          0     GICv3  30 Level     kvm guest ptimer\n\
                       \x2012:          0          0     GICv3  27 Level     kvm guest vtimer\n\
                       \x2014:       9264       8001     GICv3  26 Level     arch_timer\n\
                       \x2015:         31          0     GICv3  33 Level     uart-pl011\n";

    #[test]
    fn the_mode_is_read_from_the_kernels_own_timer_and_not_from_a_guests() {
        let at_el1 = VHE.replace("26 Level     arch_timer", "30 Level     arch_timer");
        assert_eq!(mode(VHE, "quiet kvm-arm.mode=protected"), Some("VHE"), "what the CPU cannot do, is not done");
        assert_eq!(mode(&at_el1, "console=ttyAMA0"), Some("nVHE"));
        assert_eq!(mode(&at_el1, "kvm-arm.mode=protected quiet"), Some("protected"));
        assert_eq!(mode(&at_el1, "kvm-arm.mode=protected kvm-arm.mode=nvhe"), Some("nVHE"), "the last counts");
    }

    #[test]
    fn what_does_not_tell_is_no_answer() {
        for interrupts in
            ["", "garbage", "11: 5 AIC 0 arch_timer", &VHE.replace("26 Level     arch", "27 Level     arch")]
        {
            assert_eq!(mode(interrupts, ""), None, "{interrupts}");
        }
    }

    #[test]
    fn the_log_tells_the_modes_of_old_and_new_kernels_apart() {
        for (line, due) in [
            ("6,300,1,-;kvm [1]: VHE mode initialized successfully", Some("VHE")),
            ("6,300,1,-;kvm [1]: nVHE mode initialized successfully", Some("nVHE")),
            ("6,300,1,-;kvm [1]: Hyp mode initialized successfully", Some("nVHE")),
            ("6,300,1,-;kvm [1]: Hyp nVHE mode initialized successfully", Some("nVHE")),
            ("6,300,1,-;kvm [1]: Protected nVHE mode initialized successfully", Some("protected")),
            ("6,300,1,-;kvm [1]: Protected hVHE mode initialized successfully", Some("protected")),
            ("6,300,1,-;something else said of VHE mode initialized", None),
            ("", None),
        ] {
            assert_eq!(mode_by_log(line), due, "{line}");
        }
    }

    #[test]
    fn the_gic_is_the_hosts_and_what_kvm_makes_of_it_is_said_by_kvm() {
        assert_eq!(gic(VHE, Some(true)), "GICv3");
        assert_eq!(gic(VHE, Some(false)), "GICv3, no vGIC");
        assert_eq!(gic(" 11: 5 GIC-0 27 Level arch_timer", None), "GICv2");
        assert_eq!(gic("", None), "unknown");
    }

    #[test]
    fn a_cpu_has_its_name_or_its_numbers() {
        assert_eq!(cpu("0x00000000413fd0c1\n", ""), "Neoverse N1");
        assert_eq!(cpu("0x00000000610f0250", ""), "MIDR_EL1 0x00000000610f0250");
        let cpuinfo =
            "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd07\n";
        assert_eq!(cpu("unknown", cpuinfo), "Cortex-A57");
        assert_eq!(cpu("", &cpuinfo.replace("0xd07", "0xfff")), "CPU implementer 0x41, part 0xfff");
        assert_eq!(cpu("", ""), "unknown");
    }
}
