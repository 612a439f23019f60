//! A client of QEMU's gdbstub: what is needed to stop a kernel at a place of its code, and to change an instruction there
//! (GDB manual, appendix E, "GDB Remote Serial Protocol").

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process::check_interrupted;

/// The longest that the answer to a simple packet may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// gdb's number of the program counter of AArch64; those of the general registers are their own.
pub(crate) const PC: usize = 32;

/// A connection to a machine that is stopped.
pub(crate) struct Gdb(BufReader<UnixStream>);

impl Gdb {
    /// Connects to the socket of a QEMU that was started with `-gdb`.
    pub(crate) fn connect(socket: &Path) -> Result<Gdb> {
        let stream = UnixStream::connect(socket).context("QEMU has no gdbstub")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut gdb = Gdb(BufReader::new(stream));
        gdb.ask("qSupported")?;
        // Only who has asked for the description of the registers may read single ones.
        gdb.ask("qXfer:features:read:target.xml:0,ffb")?;
        Ok(gdb)
    }

    /// The bytes at a virtual address.
    pub(crate) fn read(&mut self, address: u64, length: usize) -> Result<Vec<u8>> {
        let answer = self.ask(&format!("m{address:x},{length:x}"))?;
        let bytes = bytes(&answer).with_context(|| format!("cannot read memory at {address:#x}: {answer}"))?;
        ensure!(bytes.len() == length, "cannot read all of the memory at {address:#x}");
        Ok(bytes)
    }

    /// Writes the bytes at a virtual address, whatever its protection.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        self.order(&format!("M{address:x},{:x}:{}", bytes.len(), hex(bytes)))
    }

    /// The instruction at an address.
    pub(crate) fn instruction(&mut self, address: u64) -> Result<u32> {
        let bytes = self.read(address, 4)?;
        Ok(u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    /// A register's value, by gdb's number.
    pub(crate) fn register(&mut self, number: usize) -> Result<u64> {
        let answer = self.ask(&format!("p{number:x}"))?;
        let bytes = bytes(&answer).and_then(|bytes| bytes.try_into().ok());
        Ok(u64::from_le_bytes(bytes.with_context(|| format!("cannot read register {number}: {answer}"))?))
    }

    /// Sets a register.
    pub(crate) fn set_register(&mut self, number: usize, value: u64) -> Result<()> {
        self.order(&format!("P{number:x}={}", hex(&value.to_le_bytes())))
    }

    /// A hardware breakpoint is set, or removed.
    pub(crate) fn breakpoint(&mut self, address: u64, set: bool) -> Result<()> {
        self.order(&format!("{}1,{address:x},4", if set { 'Z' } else { 'z' }))
    }

    /// Executes one instruction, with no interrupt in between.
    pub(crate) fn step(&mut self) -> Result<()> {
        let stopped = self.ask("s")?;
        ensure!(stopped.starts_with('T') || stopped.starts_with('S'), "QEMU does not step: {stopped}");
        Ok(())
    }

    /// Lets the machine run until it stops at a breakpoint, for at most so long.
    pub(crate) fn run_to_breakpoint(&mut self, limit: Duration) -> Result<()> {
        self.send("c")?;
        let slice = Duration::from_millis(200);
        self.0.get_ref().set_read_timeout(Some(slice))?;
        let mut waited = Duration::ZERO;
        while self.0.fill_buf().is_err() {
            check_interrupted()?;
            waited += slice;
            ensure!(waited < limit, "the kernel did not come to the breakpoint within {} s", limit.as_secs());
        }
        self.0.get_ref().set_read_timeout(Some(PATIENCE))?;
        let stopped = self.receive()?;
        ensure!(stopped.starts_with('T'), "the machine did not stop at a breakpoint: {stopped}");
        Ok(())
    }

    /// Lets the machine run, and leaves it.
    pub(crate) fn detach(mut self) -> Result<()> {
        self.order("D")
    }

    /// Something that is answered with OK.
    fn order(&mut self, packet: &str) -> Result<()> {
        match self.ask(packet)?.as_str() {
            "OK" => Ok(()),
            answer => bail!("QEMU's gdbstub answers {packet} with {answer:?}"),
        }
    }

    fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        self.receive()
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        let sent = self.0.get_mut().write_all(format!("${packet}#{sum:02x}").as_bytes());
        sent.context("QEMU's gdbstub does not listen")
    }

    /// The next packet. Acknowledgements come in between.
    fn receive(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        let hush = "QEMU's gdbstub does not answer";
        let read = self.0.read_until(b'$', &mut bytes).context(hush)?;
        ensure!(read > 0 && bytes.last() == Some(&b'$'), "QEMU has closed its gdbstub");
        bytes.clear();
        self.0.read_until(b'#', &mut bytes).context(hush)?;
        ensure!(bytes.pop() == Some(b'#'), "QEMU has closed its gdbstub");
        let mut sum = [0; 2];
        std::io::Read::read_exact(&mut self.0, &mut sum).context(hush)?;
        self.0.get_mut().write_all(b"+").context("QEMU's gdbstub does not listen")?;
        String::from_utf8(bytes).context("QEMU's gdbstub speaks ASCII")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` for anything but bytes: errors, such as `E14`, have an odd number of digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What a client asks of a stub that gives these answers, one for each packet.
    fn stub<T>(answers: &'static [&'static str], ask: impl FnOnce(&mut Gdb) -> T) -> (T, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gdb");
        let listener = UnixListener::bind(&socket).unwrap();
        let theirs = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut heard = Vec::new();
            for answer in ["PacketSize=1000", "l<target/>"].iter().chain(answers) {
                let mut packet = Vec::new();
                stream.read_until(b'#', &mut packet).unwrap();
                std::io::Read::read_exact(&mut stream, &mut [0; 2]).unwrap();
                heard.push(
                    String::from_utf8_lossy(&packet).trim_start_matches(['+', '$']).trim_end_matches('#').to_owned(),
                );
                let sum = answer.bytes().fold(0_u8, u8::wrapping_add);
                stream.get_mut().write_all(format!("+${answer}#{sum:02x}").as_bytes()).unwrap();
            }
            // The stream stays open for the last acknowledgement.
            (heard.split_off(2), stream)
        });
        let result = ask(&mut Gdb::connect(&socket).unwrap());
        (result, theirs.join().unwrap().0)
    }

    #[test]
    fn an_instruction_is_read_and_written_as_memory_has_it() {
        let (word, heard) = stub(&["1f2003d5", "OK"], |gdb| {
            let word = gdb.instruction(0xffff_8000_8005_35d0).unwrap();
            gdb.write(0xffff_8000_8005_35d0, &word.to_le_bytes()).unwrap();
            word
        });
        assert_eq!(word, 0xd503_201f);
        assert_eq!(heard, ["mffff8000800535d0,4", "Mffff8000800535d0,4:1f2003d5"]);
    }

    #[test]
    fn a_breakpoint_is_awaited_and_an_error_is_one() {
        let (results, heard) = stub(&["OK", "T05thread:01;", "E14"], |gdb| {
            gdb.breakpoint(0x1000, true).unwrap();
            (gdb.run_to_breakpoint(Duration::from_secs(5)).is_ok(), gdb.read(0x0, 4).unwrap_err().to_string())
        });
        assert_eq!(results, (true, "cannot read memory at 0x0: E14".to_owned()));
        assert_eq!(heard, ["Z1,1000,4", "c", "m0,4"]);
    }
}
