//! The one key that is not the guest's: Ctrl-A, as in QEMU.

/// Ctrl-A.
const PREFIX: u8 = 0x01;

/// What to do after some bytes were typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// They are for the guest.
    Text,
    /// The user has had enough: Ctrl-A x.
    Quit,
}

/// Tells what is typed for the guest from what is typed for the runner.
#[derive(Debug, Default)]
pub struct Escape {
    prefixed: bool,
}

impl Escape {
    /// Takes in what was typed, and keeps of it in `bytes` what is for the guest. Ctrl-A twice is one Ctrl-A for it,
    /// Ctrl-A and any other key is nothing.
    pub fn filter(&mut self, bytes: &mut Vec<u8>) -> Typed {
        let mut typed = Typed::Text;
        bytes.retain(|&byte| {
            if typed == Typed::Quit {
                return false;
            }
            match (std::mem::take(&mut self.prefixed), byte) {
                (false, PREFIX) => self.prefixed = true,
                (false, _) | (true, PREFIX) => return true,
                (true, b'x' | b'X') => typed = Typed::Quit,
                (true, _) => {}
            }
            false
        });
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[&[u8]]) -> (Vec<u8>, Typed) {
        let mut escape = Escape::default();
        let mut all = Vec::new();
        let mut last = Typed::Text;
        for keys in keys {
            let mut bytes = keys.to_vec();
            last = escape.filter(&mut bytes);
            all.extend(bytes);
        }
        (all, last)
    }

    #[test]
    fn ctrl_a_x_quits_whether_it_comes_at_once_or_not() {
        assert_eq!(typed(&[b"ls\x01xmore"]), (b"ls".to_vec(), Typed::Quit));
        assert_eq!(typed(&[b"ls\x01", b"X"]), (b"ls".to_vec(), Typed::Quit));
    }

    #[test]
    fn everything_else_is_the_guests_and_ctrl_a_twice_is_one() {
        assert_eq!(typed(&[b"a\x03\x04x\x01\x01b"]), (b"a\x03\x04x\x01b".to_vec(), Typed::Text));
        assert_eq!(typed(&[b"a\x01?x"]), (b"ax".to_vec(), Typed::Text));
    }
}
