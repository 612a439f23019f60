//! Questions to a running QEMU, by its machine protocol (QEMU, docs/interop/qmp-spec).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection to one machine.
pub(crate) struct Qmp(BufReader<UnixStream>);

impl Qmp {
    /// Connects to the socket of a QEMU that was started with `-qmp`.
    ///
    /// To be done once for each QEMU: the first connection waits for nobody, but a queue of them that it does not take
    /// would block.
    pub(crate) fn connect(socket: &Path) -> Result<Qmp> {
        let stream = UnixStream::connect(socket).context("QEMU has no monitor")?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut qmp = Qmp(BufReader::new(stream));
        let _greeting = qmp.line(Instant::now() + PATIENCE)?;
        qmp.execute(&json!({ "execute": "qmp_capabilities" }))?;
        Ok(qmp)
    }

    /// What a command of the human monitor prints. After an error there is nothing more to be asked: an answer that
    /// comes late would be taken for the next.
    pub(crate) fn human(&mut self, command: &str) -> Result<String> {
        let arguments = json!({ "command-line": command });
        let answer = self.execute(&json!({ "execute": "human-monitor-command", "arguments": arguments }))?;
        answer.as_str().map(str::to_owned).context("QEMU's monitor answers in text")
    }

    fn execute(&mut self, command: &Value) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        self.0.get_mut().write_all(format!("{command}\n").as_bytes())?;
        loop {
            let mut said: Value = serde_json::from_str(&self.line(deadline)?).context("QEMU's monitor speaks JSON")?;
            if let Some(error) = said.get("error") {
                bail!("QEMU's monitor: {error}");
            }
            // Events come in between.
            if let Some(answer) = said.get_mut("return") {
                return Ok(answer.take());
            }
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<String> {
        let mut line = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("QEMU's monitor does not answer");
            }
            self.0.get_ref().set_read_timeout(Some(left))?;
            let come = self.0.fill_buf()?;
            if come.is_empty() {
                bail!("QEMU has closed its monitor");
            }
            let end = come.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(come.len(), |end| end + 1);
            line.extend_from_slice(&come[..length]);
            self.0.consume(length);
            if end.is_some() {
                return String::from_utf8(line).context("QEMU's monitor speaks UTF-8");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What is asked of a monitor that says these lines, and then nothing more.
    fn ask(said: &'static str) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        let theirs = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            stream
        });
        let answer = Qmp::connect(&socket).and_then(|mut qmp| qmp.human("info registers"));
        drop(theirs.join());
        answer
    }

    #[test]
    fn an_answer_is_told_from_the_events_before_it() {
        let said = "{\"QMP\": {}}\n{\"return\": {}}\n{\"event\": \"RESUME\"}\n{\"return\": \"PC=1\\r\\n\"}\n";
        assert_eq!(ask(said).unwrap(), "PC=1\r\n");
    }

    #[test]
    fn one_that_says_no_or_stops_in_the_middle_is_an_error() {
        let said = "{\"QMP\": {}}\n{\"return\": {}}\n{\"error\": {\"desc\": \"no\"}}\n";
        assert!(ask(said).unwrap_err().to_string().contains("no"));
        assert!(ask("{\"QMP\": {}}\n{\"ret").is_err());
    }
}
