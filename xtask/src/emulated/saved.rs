//! A host that was stopped on its way and saved, from which many runs can go on: each from the very same instruction.
//!
//! It is stopped by QEMU's gdbstub at a breakpoint and saved as for a migration (QEMU, docs/devel/migration). Before it
//! goes on, instructions of its kernel can be changed in memory.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::Run;
use crate::gdb::{Gdb, PC};
use crate::process::{ATTENTION, check_interrupted, spawn};
use crate::progress::Step;
use crate::qemu::Machine;
use crate::qmp::Qmp;

/// The longest that saving, or taking up again what was saved, may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was saved.
#[derive(Debug)]
pub(crate) struct Saved {
    folder: TempDir,
    /// What had come over its serial line.
    pub(super) serial: Vec<u8>,
    /// How long it had taken to come there.
    pub(super) boot: Duration,
}

/// An instruction to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) address: u64,
    /// The instruction as it is expected there.
    pub(crate) old: u32,
    pub(crate) new: u32,
}

/// A run that goes on from what was saved, with some instructions changed.
#[derive(Debug)]
pub(crate) struct Resumed<'a> {
    pub(crate) saved: &'a Saved,
    pub(crate) patches: Vec<Patch>,
}

/// Options of a machine that starts stopped and can be changed before it goes on.
fn staged(folder: &Path) -> [String; 3] {
    ["-S".into(), "-gdb".into(), format!("unix:{},server=on,wait=off", comma(&folder.join("gdb")))]
}

/// A comma would end the path.
fn comma(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A path as a word of the shell.
fn shell(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

impl Run<'_> {
    /// Boots, stops when the kernel first comes to `address`, and saves what there is then.
    pub(crate) fn save_at(&self, address: u64) -> Result<Saved> {
        let step = Step::new(format!("Booting {}, to be saved", self.kernel.name));
        let folder = tempfile::tempdir()?;
        let initramfs = folder.path().join("initramfs");
        fs::write(&initramfs, self.initramfs()?)?;
        let mut command = self.machine.command(&self.kernel.image, &initramfs, folder.path())?;
        command.args(staged(folder.path()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let started = Instant::now();
        let mut qemu = spawn(&mut command)?;
        let mut serial = qemu.0.stdout.take().context("QEMU has no output")?;
        let serial = std::thread::spawn(move || {
            let mut said = Vec::new();
            serial.read_to_end(&mut said).map(|_| said)
        });
        let mut gdb = connect(folder.path())?;
        gdb.breakpoint(address, true)?;
        gdb.run_to_breakpoint(self.timeout)?;
        gdb.breakpoint(address, false)?;
        let boot = started.elapsed();
        step.detail("saving");
        let mut qmp = Qmp::connect(&Machine::monitor(folder.path()).context("the folder's path is too long")?)?;
        let state = folder.path().join("state");
        qmp.human("migrate_set_parameter max-bandwidth 64G")?;
        let said = qmp.human(&format!("migrate -d \"exec:cat > {}\"", shell(&state)))?;
        ensure!(!said.contains("Error"), "QEMU does not save the host: {said}");
        await_monitor(&mut qmp, "info migrate", |said| {
            ensure!(!said.contains("failed"), "QEMU could not save the host: {said}");
            Ok(said.contains("completed"))
        })?;
        drop((gdb, qmp, qemu));
        let serial = serial.join().map_err(|_| anyhow::anyhow!("the thread that reads the serial line failed"))??;
        let mut bytes = fs::read(&state)?;
        call_it_paused(&mut bytes)?;
        fs::write(&state, bytes)?;
        Ok(Saved { folder, serial, boot })
    }
}

impl Resumed<'_> {
    /// What QEMU is told, of a machine that keeps its files in `folder`.
    pub(super) fn arguments(&self, folder: &Path) -> Vec<String> {
        let state = format!("exec:cat {}", shell(&self.saved.folder.path().join("state")));
        [&staged(folder)[..], &["-incoming".into(), state]].concat()
    }

    /// Changes the instructions, and lets it go on.
    pub(super) fn go(&self, folder: &Path) -> Result<()> {
        let monitor = Machine::monitor(folder).context("the folder's path is too long")?;
        let mut qmp = once_there(|| Qmp::connect(&monitor))?;
        await_monitor(&mut qmp, "info status", |said| Ok(!said.contains("inmigrate")))?;
        let mut gdb = connect(folder)?;
        restore_timer(&mut gdb)?;
        for Patch { address, old, new } in &self.patches {
            let found = gdb.instruction(*address)?;
            ensure!(found == *old, "at {address:#x} is the instruction {found:08x}, and not {old:08x}");
            gdb.write(*address, &new.to_le_bytes())?;
        }
        gdb.detach()
    }
}

/// QEMU 7.2 does not save whether the timer of EL2, which a VHE kernel runs by, is due. It is found out again when its
/// deadline is written: two instructions are executed for that, and everything is put back as it was.
fn restore_timer(gdb: &mut Gdb) -> Result<()> {
    /// `mrs x0, cntp_cval_el0` and `msr cntp_cval_el0, x0`: at EL2 with VHE, the deadline of EL2's timer (Arm ARM,
    /// D13.11.17, HCR_EL2.E2H).
    const REWRITE: [u32; 2] = [0xd53b_e240, 0xd51b_e240];
    let (pc, x0) = (gdb.register(PC)?, gdb.register(0)?);
    let code = gdb.read(pc, 8)?;
    gdb.write(pc, &REWRITE.map(u32::to_le_bytes).concat())?;
    gdb.step()?;
    gdb.step()?;
    gdb.write(pc, &code)?;
    gdb.set_register(0, x0)?;
    gdb.set_register(PC, pc)
}

/// A machine that stopped at a breakpoint is saved as being debugged, a state that QEMU refuses to take up again.
fn call_it_paused(state: &mut [u8]) -> Result<()> {
    /// The section's name, instance and version; its fields: the length of the word, and the word, in a field of 100
    /// bytes (QEMU, migration/global_state.c).
    const DEBUG: &[u8] = b"globalstate\0\0\0\0\0\0\0\x01\0\0\0\x06debug\0\0";
    const PAUSED: &[u8] = b"globalstate\0\0\0\0\0\0\0\x01\0\0\0\x07paused\0";
    let places: Vec<usize> =
        (0..state.len()).filter(|&at| state[at] == b'g' && state[at..].starts_with(DEBUG)).collect();
    let [place] = places[..] else { bail!("what QEMU saved does not say once in what state the host was") };
    state[place..place + PAUSED.len()].copy_from_slice(PAUSED);
    Ok(())
}

fn connect(folder: &Path) -> Result<Gdb> {
    once_there(|| Gdb::connect(&folder.join("gdb")))
}

/// Connects as soon as that is possible: QEMU makes the file of a socket a little before it listens there.
fn once_there<T>(connect: impl Fn() -> Result<T>) -> Result<T> {
    let mut connected = None;
    wait("QEMU does not start", || {
        connected = connect().ok();
        Ok(connected.is_some())
    })?;
    connected.context("QEMU does not start")
}

fn await_monitor(qmp: &mut Qmp, question: &str, done: impl Fn(&str) -> Result<bool>) -> Result<()> {
    wait("QEMU does not come to an end with the host's state", || done(&qmp.human(question)?))
}

fn wait(or: &'static str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !done()? {
        check_interrupted()?;
        ensure!(started.elapsed() < PATIENCE, or);
        std::thread::sleep(ATTENTION / 5);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_called_paused_where_it_says_once_that_it_is_debugged() {
        let mut section = b"\x04\0\0\0\x13\x0bglobalstate\0\0\0\0\0\0\0\x01\0\0\0\x06debug".to_vec();
        section.resize(160, 0);
        let mut state = [&[7; 100][..], b"globalstate of no section", &section].concat();
        call_it_paused(&mut state).unwrap();
        let text = String::from_utf8_lossy(&state);
        assert!(text.contains("\0\0\0\x07paused\0\0\0") && !text.contains("debug"), "{text:?}");
        assert!(call_it_paused(&mut state).is_err());
    }
}
