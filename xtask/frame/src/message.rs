//! What the agent has to say.

use std::fmt;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(u8),
    /// It was killed by this signal.
    Signal(u8),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// One message from the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The agent is up; the kernel's release.
    Hello(String),
    /// The command is about to start.
    Start,
    /// Bytes the command wrote to its standard output.
    Stdout(Vec<u8>),
    /// Bytes the command wrote to its standard error.
    Stderr(Vec<u8>),
    /// Text of the kernel log, whole lines.
    KernelLog(Vec<u8>),
    /// A file that the job asked for.
    File {
        /// Where it was.
        path: String,
        /// All of it.
        contents: Vec<u8>,
    },
    /// Something the agent could not do.
    Trouble(String),
    /// How the command ended.
    Exit(Exit),
    /// Nothing follows.
    End,
}

impl Message {
    /// The letter and the bytes that stand for this message on the line.
    pub(crate) fn to_parts(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Hello(release) => (b'H', release.as_bytes().to_vec()),
            Self::Start => (b'S', Vec::new()),
            Self::Stdout(bytes) => (b'O', bytes.clone()),
            Self::Stderr(bytes) => (b'E', bytes.clone()),
            Self::KernelLog(bytes) => (b'K', bytes.clone()),
            Self::File { path, contents } => (b'F', [path.as_bytes(), b"\0", contents].concat()),
            Self::Trouble(text) => (b'T', text.as_bytes().to_vec()),
            Self::Exit(Exit::Code(code)) => (b'X', vec![*code]),
            Self::Exit(Exit::Signal(signal)) => (b'Y', vec![*signal]),
            Self::End => (b'Z', Vec::new()),
        }
    }

    /// The reverse of [`Message::to_parts`]; `None` for what no agent of this version sends.
    pub(crate) fn from_parts(kind: u8, bytes: Vec<u8>) -> Option<Self> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Some(match kind {
            b'H' => Self::Hello(text(bytes)),
            b'S' => Self::Start,
            b'O' => Self::Stdout(bytes),
            b'E' => Self::Stderr(bytes),
            b'K' => Self::KernelLog(bytes),
            b'F' => {
                let nul = bytes.iter().position(|&byte| byte == 0)?;
                Self::File { path: text(bytes[..nul].to_vec()), contents: bytes[nul + 1..].to_vec() }
            }
            b'T' => Self::Trouble(text(bytes)),
            b'X' => Self::Exit(Exit::Code(*bytes.first()?)),
            b'Y' => Self::Exit(Exit::Signal(*bytes.first()?)),
            b'Z' => Self::End,
            _ => return None,
        })
    }
}
