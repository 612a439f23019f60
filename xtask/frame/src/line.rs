//! One fragment of a message as one line of printable text:
//!
//! ```text
//! ~vt1:SSSSSSSS:KEM:BASE64:CCCCCCCC~
//! ```
//!
//! S is the sequence number, K the kind of message, E its encoding (`r` raw, `z` deflate), M whether more of the same
//! message follows (`+`) or not (`.`), C the CRC-32 of everything between the first and the last colon.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What every line starts with; the digit is the version of this format.
pub(crate) const MAGIC: &[u8] = b"~vt1:";
const END: u8 = b'~';
/// Bytes of a message in one line. Short enough that a torn line is cheap to lose, long enough that the 29 bytes
/// around them do not matter.
pub(crate) const FRAGMENT: usize = 720;

/// One line's worth of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) sequence: u32,
    pub(crate) kind: u8,
    pub(crate) compressed: bool,
    pub(crate) more: bool,
    pub(crate) payload: Vec<u8>,
}

impl Fragment {
    /// Writes the line. It starts with a newline of its own, so that a kernel message without one does not touch it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let encoding = if self.compressed { 'z' } else { 'r' };
        let more = if self.more { '+' } else { '.' };
        let body = format!(
            "{:08x}:{}{encoding}{more}:{}",
            self.sequence,
            char::from(self.kind),
            STANDARD.encode(&self.payload)
        );
        out.push(b'\n');
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(body.as_bytes());
        out.extend_from_slice(format!(":{:08x}", crc32fast::hash(body.as_bytes())).as_bytes());
        out.push(END);
        out.push(b'\n');
    }

    /// Reads a fragment from the start of `text`, and says how many bytes it took. `None` if there is no intact one.
    pub(crate) fn read(text: &[u8]) -> Option<(Self, usize)> {
        let rest = text.strip_prefix(MAGIC)?;
        let end = rest.iter().position(|&byte| byte == END)?;
        let (body, crc) = rest[..end].split_at_checked(end.checked_sub(9)?)?;
        if crc[0] != b':' || hex(&crc[1..])? != crc32fast::hash(body) {
            return None;
        }
        let mut fields = body.splitn(3, |&byte| byte == b':');
        let sequence = hex(fields.next()?)?;
        let &[kind, encoding, more] = fields.next()? else { return None };
        let payload = STANDARD.decode(fields.next()?).ok()?;
        let compressed = match encoding {
            b'r' => false,
            b'z' => true,
            _ => return None,
        };
        let more = match more {
            b'+' => true,
            b'.' => false,
            _ => return None,
        };
        Some((Self { sequence, kind, compressed, more, payload }, MAGIC.len() + end + 1))
    }
}

/// Exactly eight lower-case hexadecimal digits: what `write` produces and nothing else.
fn hex(text: &[u8]) -> Option<u32> {
    let digits = text.len() == 8 && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u32::from_str_radix(str::from_utf8(text).ok()?, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Fragment {
        Fragment { sequence: 0x12ab, kind: b'O', compressed: false, more: true, payload: b"some output".to_vec() }
    }

    fn written(fragment: &Fragment) -> Vec<u8> {
        let mut line = Vec::new();
        fragment.write(&mut line);
        line
    }

    #[test]
    fn a_line_has_the_documented_form() {
        assert_eq!(written(&sample()), b"\n~vt1:000012ab:Or+:c29tZSBvdXRwdXQ=:e1a8b7de~\n");
    }

    #[test]
    fn a_written_line_reads_back_and_says_its_length() {
        let line = written(&sample());
        let text = &line[1..];
        assert_eq!(Fragment::read(text), Some((sample(), text.len() - 1)));
    }

    #[test]
    fn no_single_changed_byte_goes_unnoticed() {
        let line = written(&sample());
        for position in 1..line.len() - 1 {
            for flip in [1_u8, 2, 0x20, 0x80] {
                let mut torn = line.clone();
                torn[position] ^= flip;
                assert_eq!(Fragment::read(&torn[1..]), None, "byte {position} ^ {flip:#x}");
            }
        }
    }

    #[test]
    fn a_truncated_line_is_none() {
        let line = written(&sample());
        for end in 1..line.len() - 1 {
            assert_eq!(Fragment::read(&line[1..end]), None, "cut at {end}");
        }
    }
}
