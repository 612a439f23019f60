//! What the emulated host needs of its kernel's configuration.

use anyhow::{Result, ensure};

/// Options that have to be built in, with the reason. These are prompts or depend on prompts: `make olddefconfig` keeps them.
const NEEDED: [(&str, &str); 15] = [
    ("CONFIG_VIRTUALIZATION", "it cannot run virtual machines"),
    ("CONFIG_KVM", "it cannot run virtual machines"),
    ("CONFIG_TTY", "nobody can see its console"),
    ("CONFIG_SERIAL_AMBA_PL011", "nobody can see its console"),
    ("CONFIG_SERIAL_AMBA_PL011_CONSOLE", "nobody can see its console"),
    ("CONFIG_UNIX98_PTYS", "programs have no terminal"),
    ("CONFIG_PRINTK", "nobody can read its log"),
    ("CONFIG_BLK_DEV_INITRD", "it cannot be given a program to run"),
    ("CONFIG_BINFMT_ELF", "it runs no programs"),
    // A program learns from its child by a socket whether that could become another program.
    ("CONFIG_NET", "a program cannot start another"),
    ("CONFIG_UNIX", "a program cannot start another"),
    ("CONFIG_DEVTMPFS", "programs find no devices"),
    ("CONFIG_PROC_FS", "programs learn nothing of the machine"),
    ("CONFIG_SYSFS", "programs learn nothing of the machine"),
    ("CONFIG_TMPFS", "programs have nowhere to write"),
];

/// Options without which some checks or figures are left out, with what these are.
const WANTED: [(&str, &str); 5] = [
    ("CONFIG_PERF_EVENTS", "a PMU for guests (clause C14)"),
    ("CONFIG_ARM_PMU", "the same"),
    ("CONFIG_ARM_PMUV3", "the same, from 6.4 on"),
    ("CONFIG_HIGH_RES_TIMERS", "sleeps that end when they shall, and not at the next tick"),
    ("CONFIG_DEBUG_FS", "what KVM counts by itself"),
];

/// Looks for all that is needed in a configuration.
pub(super) fn check(config: &str) -> Result<()> {
    for (option, reason) in NEEDED {
        let built_in = format!("{option}=y");
        ensure!(config.lines().any(|line| line == built_in), "without {built_in} {reason}");
    }
    Ok(())
}

/// The fragment that makes any configuration of an arm64 kernel do, as scripts/kconfig/merge_config.sh takes it.
pub(crate) fn fragment() -> String {
    let mut text = "# What vtick's emulated host needs of an arm64 kernel, all of it built in:\n\
                    # scripts/kconfig/merge_config.sh .config THIS, or on top of allnoconfig.\n"
        .to_owned();
    text.extend(NEEDED.iter().map(|(option, _)| format!("{option}=y\n")));
    text.push_str("# Not needed, but good for more:\n");
    text.extend(WANTED.iter().map(|(option, what_for)| format!("# {what_for}\n{option}=y\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_kvm_is_refused_with_the_reason() {
        let all = fragment();
        assert!(check(&all).is_ok());
        let error = check(&all.replace("CONFIG_KVM=y", "# CONFIG_KVM is not set")).unwrap_err().to_string();
        assert_eq!(error, "without CONFIG_KVM=y it cannot run virtual machines");
        assert!(check(&all.replace("CONFIG_TMPFS=y", "CONFIG_TMPFS=m")).is_err(), "a module is too late");
    }
}
