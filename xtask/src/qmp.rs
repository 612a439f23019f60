//! Questions to a running QEMU, by its machine protocol (QEMU, docs/interop/qmp-spec).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to one machine.
pub(crate) struct Qmp(BufReader<UnixStream>);

impl Qmp {
    /// Connects to the socket of a QEMU that was started with `-qmp`.
    pub(crate) fn connect(socket: &Path) -> Result<Qmp> {
        let stream = UnixStream::connect(socket).context("QEMU has no monitor")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut qmp = Qmp(BufReader::new(stream));
        let _greeting = qmp.line()?;
        qmp.execute(&json!({ "execute": "qmp_capabilities" }))?;
        Ok(qmp)
    }

    /// What a command of the human monitor prints.
    pub(crate) fn human(&mut self, command: &str) -> Result<String> {
        let arguments = json!({ "command-line": command });
        let answer = self.execute(&json!({ "execute": "human-monitor-command", "arguments": arguments }))?;
        answer.as_str().map(str::to_owned).context("QEMU's monitor answers in text")
    }

    fn execute(&mut self, command: &Value) -> Result<Value> {
        self.0.get_mut().write_all(format!("{command}\n").as_bytes())?;
        loop {
            let mut said: Value = serde_json::from_str(&self.line()?).context("QEMU's monitor speaks JSON")?;
            if let Some(error) = said.get("error") {
                bail!("QEMU's monitor: {error}");
            }
            // Events come in between.
            if let Some(answer) = said.get_mut("return") {
                return Ok(answer.take());
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("QEMU has closed its monitor");
        }
        Ok(line)
    }
}
