//! What of a host's settings moves the figures of every system call, in one line.

/// Seconds after which a host is no longer busy with its own boot.
const SETTLED: f64 = 2.0;

/// `cmdline`: /proc/cmdline; `pool`: whether the kernel's random pool is ready; `uptime`: /proc/uptime, when the run began.
///
/// Where the offset of the kernel's stack is randomised (Linux, Documentation/admin-guide/kernel-parameters.rst,
/// `randomize_kstack_offset`) each system call draws from the pool, and from one that is not ready at many times the cost.
/// A host that has just booted is still busy with itself.
pub fn settings(cmdline: &str, pool: bool, uptime: &str) -> String {
    let told = cmdline.split_whitespace().filter_map(|word| word.strip_prefix("randomize_kstack_offset="));
    let offset = match told.filter_map(boolean).next_back() {
        Some(false) => "kernel stack offset fixed",
        Some(true) => "kernel stack offset randomised",
        None => "kernel stack offset as the kernel's configuration has it",
    };
    let pool = if pool { "random pool ready" } else { "random pool NOT ready" };
    let up = uptime.split_whitespace().next().and_then(|seconds| seconds.parse::<f64>().ok());
    let settled = match up {
        Some(seconds) if seconds >= SETTLED => "host settled",
        Some(_) => "host freshly booted",
        None => "host up for an unknown time",
    };
    format!("{offset}, {pool}, {settled}")
}

/// As the kernel reads it (lib/kstrtox.c, kstrtobool): a word that it does not know changes nothing.
fn boolean(word: &str) -> Option<bool> {
    let mut letters = word.chars().map(|letter| letter.to_ascii_lowercase());
    match (letters.next()?, letters.next()) {
        ('y' | 't' | '1', _) | ('o', Some('n')) => Some(true),
        ('n' | 'f' | '0', _) | ('o', Some('f')) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_told_and_the_last_word_of_a_command_line_counts() {
        let quiet = "quiet randomize_kstack_offset=on randomize_kstack_offset=off panic=-1\n";
        assert_eq!(settings(quiet, true, "3.95 3.80\n"), "kernel stack offset fixed, random pool ready, host settled");
        let noisy = "kernel stack offset randomised, random pool NOT ready, host freshly booted";
        assert_eq!(settings("randomize_kstack_offset=1", false, "0.91 0.20"), noisy);
        let unknown = settings("randomize_kstack_offset=maybe", true, "");
        assert!(unknown.starts_with("kernel stack offset as the kernel's configuration has it"), "{unknown}");
        assert!(unknown.ends_with("host up for an unknown time"), "{unknown}");
    }

    #[test]
    fn words_mean_what_they_mean_to_the_kernel() {
        for (word, due) in [("OFF", Some(false)), ("false", Some(false)), ("no", Some(false)), ("On", Some(true))] {
            assert_eq!(boolean(word), due, "{word}");
        }
        assert_eq!((boolean("o"), boolean("2"), boolean("")), (None, None, None));
    }
}
