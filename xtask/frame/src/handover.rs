//! Files that are put into the memory of a host that runs already: a host that was saved takes its job in this way.
//!
//! Layout: the number of bytes that follow, and for each file its path and its contents, each behind its length. Numbers
//! are of 8 bytes, little-endian.

use std::fmt;

/// Bytes that are no files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandoverError;

impl fmt::Display for HandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the files that were handed over are damaged")
    }
}

impl std::error::Error for HandoverError {}

/// Files, each with its path in the host.
pub type HandedFiles = Vec<(String, Vec<u8>)>;

/// The files as bytes.
pub fn encode_files(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let field = |bytes: &[u8]| [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat();
    let fields: Vec<u8> =
        files.iter().flat_map(|(path, contents)| [field(path.as_bytes()), field(contents)].concat()).collect();
    field(&fields)
}

/// The reverse of [`encode_files`]; bytes behind the files are of no meaning. Zeros are no files.
///
/// # Errors
/// A length leads beyond the end, or a path is not UTF-8.
pub fn decode_files(bytes: &[u8]) -> Result<HandedFiles, HandoverError> {
    let (mut fields, _) = field(bytes)?;
    let mut files = Vec::new();
    while !fields.is_empty() {
        let (path, rest) = field(fields)?;
        let (contents, rest) = field(rest)?;
        files.push((str::from_utf8(path).map_err(|_| HandoverError)?.to_owned(), contents.to_vec()));
        fields = rest;
    }
    Ok(files)
}

/// The first field, and the bytes behind it.
fn field(bytes: &[u8]) -> Result<(&[u8], &[u8]), HandoverError> {
    let (length, rest) = bytes.split_first_chunk().ok_or(HandoverError)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| HandoverError)?;
    rest.split_at_checked(length).ok_or(HandoverError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_as_they_were_whatever_follows_them() {
        let files = vec![("/job".to_owned(), b"a\0b".to_vec()), ("/empty".to_owned(), Vec::new())];
        let bytes = encode_files(&files);
        assert_eq!(decode_files(&[&bytes[..], &[0xff; 20]].concat()), Ok(files));
        assert_eq!(decode_files(&[0; 64]), Ok(Vec::new()));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let bytes = encode_files(&[("/job".to_owned(), vec![1, 2, 3])]);
        for at in 0..bytes.len() {
            assert_eq!(decode_files(&bytes[..at]), Err(HandoverError), "cut at {at}");
        }
        let mut damaged = bytes.clone();
        damaged[8] = 0xff;
        assert_eq!(decode_files(&damaged), Err(HandoverError));
    }
}
