//! What a guest says of itself on its console: the line that ends its run, the exit status of a test, and a mark.
//!
//! Tag `[k-u-t]`: kvm-unit-tests, lib/arm/io.c and lib/chr-testdev.c.

/// What a test guest's line of status starts with `[k-u-t]`.
const STATUS: &str = "EXIT: STATUS=";

/// What to listen for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// A line that holds this is to be marked in the account, the first of them.
    pub mark: Option<String>,
    /// A line that holds this ends the run well.
    pub exit_on: Option<String>,
    /// A line that holds this ends the run as failed.
    pub fail_on: Option<String>,
    /// A test's line of status counts: not of a Linux, in which any program may print one.
    pub status: bool,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The line with the mark.
    Mark,
    /// A test's exit code.
    Code(u32),
    /// A line that ends the run, and whether it ends well.
    End {
        /// Whether the run ends well.
        well: bool,
        /// The line.
        line: String,
    },
}

impl Listen {
    /// Whether there is anything to listen for.
    pub fn is_needed(&self) -> bool {
        *self != Listen::default()
    }

    /// Takes in a line without its end, and says what it means.
    pub fn hear(&mut self, line: &[u8]) -> impl Iterator<Item = Heard> + use<> {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        let holds = |text: &Option<String>| text.as_ref().is_some_and(|text| line.contains(text));
        let mark = holds(&self.mark).then_some(Heard::Mark);
        if mark.is_some() {
            self.mark = None;
        }
        let code = if self.status { code(line).map(Heard::Code) } else { None };
        let end = |well| Heard::End { well, line: line.to_owned() };
        let ends = [holds(&self.fail_on).then(|| end(false)), holds(&self.exit_on).then(|| end(true))];
        [mark, code].into_iter().chain(ends).flatten()
    }
}

/// The exit code in a line of status, which has it shifted left by one, with bit 0 set `[k-u-t]`.
fn code(line: &str) -> Option<u32> {
    let status: u32 = line.strip_prefix(STATUS)?.trim_end().parse().ok()?;
    (status & 1 == 1).then_some(status >> 1)
}

/// What a guest sends to a testdev, byte by byte: a decimal argument and a command. `q` exits with the argument for its
/// code; there is no other command `[k-u-t]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestdevCommands {
    argument: u32,
}

impl TestdevCommands {
    /// Takes in a byte. The exit code, if that is it.
    pub fn take(&mut self, byte: u8) -> Option<u32> {
        if byte.is_ascii_digit() {
            self.argument = self.argument.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
            return None;
        }
        let argument = std::mem::take(&mut self.argument);
        (byte == b'q').then_some(argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listen: &mut Listen, line: &str) -> Vec<Heard> {
        listen.hear(line.as_bytes()).collect()
    }

    #[test]
    fn a_tests_status_is_its_code_shifted_as_it_prints_it() {
        let mut listen = Listen { status: true, ..Listen::default() };
        for (line, due) in [
            ("EXIT: STATUS=1\r", vec![Heard::Code(0)]),
            ("EXIT: STATUS=3", vec![Heard::Code(1)]),
            ("EXIT: STATUS=155", vec![Heard::Code(77)]),
            ("EXIT: STATUS=2", vec![]),
            ("EXIT: STATUS=", vec![]),
            ("the guest printed EXIT: STATUS=3", vec![]),
        ] {
            assert_eq!(heard(&mut listen, line), due, "{line}");
        }
        assert_eq!(heard(&mut Listen::default(), "EXIT: STATUS=3"), []);
    }

    #[test]
    fn the_mark_is_heard_once_and_what_ends_the_run_says_how() {
        let text = |text: &str| Some(text.to_owned());
        let mut listen = Listen { mark: text("init"), exit_on: text("login:"), fail_on: text("panic"), status: false };
        assert!(listen.is_needed() && !Listen::default().is_needed());
        assert_eq!(heard(&mut listen, "Run /init as init"), [Heard::Mark]);
        assert_eq!(heard(&mut listen, "Run /init as init"), []);
        let line = "Kernel panic - not syncing";
        assert_eq!(heard(&mut listen, line), [Heard::End { well: false, line: line.to_owned() }]);
        assert_eq!(
            heard(&mut listen, "debian login: \r"),
            [Heard::End { well: true, line: "debian login: ".to_owned() }]
        );
    }

    #[test]
    fn a_testdev_takes_a_code_and_a_q_and_nothing_else() {
        let sent = |text: &[u8]| {
            let mut commands = TestdevCommands::default();
            text.iter().find_map(|&byte| commands.take(byte))
        };
        assert_eq!(
            [&b"0q"[..], b"1q", b"77q", b"q", b"12x3q"].map(sent),
            [Some(0), Some(1), Some(77), Some(0), Some(3)]
        );
        assert_eq!([&b""[..], b"12", b"x"].map(sent), [None; 3]);
        assert_eq!(sent(b"99999999999999q"), Some(u32::MAX));
    }
}
