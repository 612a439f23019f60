//! What the kernel's command line says to this program.

/// How it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Timers to wait for on each CPU, and wake-ups between each CPU and the next.
    pub(crate) rounds: u32,
    /// A prompt, and no work but what is asked for there.
    pub(crate) interactive: bool,
}

impl Options {
    /// Words that are not for this program are passed over, and so are those that make no sense: there is nobody yet to
    /// complain to.
    pub(crate) fn parse(line: &str) -> Self {
        let mut options = Self { rounds: 50, interactive: false };
        for word in line.split_whitespace() {
            if let Some(rounds) = word.strip_prefix("demo.rounds=") {
                options.rounds = rounds.parse().unwrap_or(options.rounds);
            }
            options.interactive |= word == "demo.interactive";
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_words_are_found_among_the_kernels() {
        let line = "console=ttyAMA0 demo.rounds=7 quiet demo.interactive\n";
        assert_eq!(Options::parse(line), Options { rounds: 7, interactive: true });
        assert_eq!(Options::parse("quiet demo.rounds=many"), Options { rounds: 50, interactive: false });
    }
}
