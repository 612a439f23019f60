//! What of a host's settings moves the figures of every system call, in one line.

/// `cmdline`: /proc/cmdline; `pool`: whether the kernel's random pool is ready; `uptime`: /proc/uptime, when the run began.
///
/// Where the offset of the kernel's stack is randomised (Linux, Documentation/admin-guide/kernel-parameters.rst,
/// `randomize_kstack_offset`) each system call draws from the pool, and from one that is not ready at many times the cost. A
/// host that has just booted is still busy with itself.
pub fn settings(cmdline: &str, pool: bool, uptime: &str) -> String {
    let parameter =
        |name: &str| cmdline.split_whitespace().rev().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let offset = match parameter("randomize_kstack_offset") {
        Some("off" | "0" | "n" | "N") => "kernel stack offset fixed",
        Some(_) => "kernel stack offset randomised",
        None => "kernel stack offset as the kernel's configuration has it",
    };
    let pool = if pool { "random pool ready" } else { "random pool NOT ready" };
    let up = uptime.split_whitespace().next().and_then(|seconds| seconds.parse::<f64>().ok());
    let up = up.map_or_else(|| "up for an unknown time".to_owned(), |seconds| format!("up for {} s", seconds as u64));
    format!("{offset}, {pool}, {up}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_told_and_the_last_word_of_a_command_line_counts() {
        let quiet =
            settings("quiet randomize_kstack_offset=on randomize_kstack_offset=off panic=-1\n", true, "3.95 3.80\n");
        assert_eq!(quiet, "kernel stack offset fixed, random pool ready, up for 3 s");
        let noisy = settings("randomize_kstack_offset=1", false, "86400.10 1.0");
        assert_eq!(noisy, "kernel stack offset randomised, random pool NOT ready, up for 86400 s");
        assert!(settings("quiet", true, "").starts_with("kernel stack offset as the kernel's configuration has it"));
    }
}
