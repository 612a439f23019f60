//! What the agent is to do.

use std::fmt;
use std::time::Duration;

/// One command to run in the emulated host, and what to bring back from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// The whole of its environment.
    pub env: Vec<(String, String)>,
    /// Files to send when the command has ended; one that does not exist is skipped.
    pub collect: Vec<String>,
    /// What the command has as its standard input.
    pub input: Input,
    /// How long to let the host come to rest before the command starts, in the host's own time.
    pub settle: Duration,
}

/// Where a command's standard input comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// It has none.
    #[default]
    None,
    /// From outside, through a pipe.
    Pipe,
    /// From outside, through a terminal in raw mode.
    Terminal,
}

impl Input {
    const NAMES: [(Input, &str); 3] = [(Self::None, "none"), (Self::Pipe, "pipe"), (Self::Terminal, "terminal")];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(input, _)| *input == self).map_or("none", |(_, name)| name)
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(input, _)| *input)
    }
}

/// A job file that is none.
#[derive(Debug, PartialEq, Eq)]
pub struct JobError(String);

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a job file: {}", self.0)
    }
}

impl std::error::Error for JobError {}

impl Job {
    /// Where the agent reads the job.
    pub const PATH: &str = "/job";

    /// The job as bytes: `key=value` records, each closed by a NUL, which no argument can contain.
    pub fn encode(&self) -> Vec<u8> {
        let argv = self.argv.iter().map(|value| ("arg", value.clone()));
        let env = self.env.iter().map(|(name, value)| ("env", format!("{name}={value}")));
        let collect = self.collect.iter().map(|path| ("collect", path.clone()));
        let rest = [("settle-ms", self.settle.as_millis().to_string()), ("input", self.input.name().to_owned())];
        argv.chain(env)
            .chain(collect)
            .chain(rest)
            .flat_map(|(key, value)| format!("{key}={value}\0").into_bytes())
            .collect()
    }

    /// The reverse of [`Job::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, JobError> {
        let text = str::from_utf8(bytes).map_err(|error| JobError(error.to_string()))?;
        let mut job = Self::default();
        for record in text.split_terminator('\0') {
            let bad = || JobError(format!("{record:?}"));
            let (key, value) = record.split_once('=').ok_or_else(bad)?;
            match key {
                "arg" => job.argv.push(value.to_owned()),
                "env" => {
                    let (name, value) = value.split_once('=').ok_or_else(bad)?;
                    job.env.push((name.to_owned(), value.to_owned()));
                }
                "collect" => job.collect.push(value.to_owned()),
                "input" => job.input = Input::of_name(value).ok_or_else(bad)?,
                "settle-ms" => job.settle = Duration::from_millis(value.parse().map_err(|_| bad())?),
                _ => return Err(bad()),
            }
        }
        Ok(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_back_as_it_was_written_whatever_its_arguments_hold() {
        let job = Job {
            argv: vec!["/vtick".into(), "a b".into(), String::new(), "x=y\nz".into()],
            env: vec![("TERM".into(), "dumb".into()), ("EMPTY".into(), String::new()), ("E".into(), "a=b".into())],
            collect: vec!["/run/record.json".into()],
            input: Input::Terminal,
            settle: Duration::from_millis(3000),
        };
        assert_eq!(Job::decode(&job.encode()), Ok(job));
    }

    #[test]
    fn a_damaged_job_is_refused_and_the_record_named() {
        assert_eq!(Job::decode(b"arg=x\0nonsense\0"), Err(JobError("\"nonsense\"".into())));
        assert_eq!(Job::decode(b"input=mouse\0"), Err(JobError("\"input=mouse\"".into())));
        assert_eq!(Job::decode(b"settle-ms=soon\0"), Err(JobError("\"settle-ms=soon\"".into())));
    }
}
