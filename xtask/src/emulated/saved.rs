//! Hosts that have booted and come to rest, saved: a run resumes such a host instead of booting one, and many runs begin
//! at the very same instruction.
//!
//! The host is stopped by QEMU's gdbstub where its agent waits for its job, and saved as for a migration (QEMU,
//! docs/devel/migration). Before it resumes, instructions of its kernel can be changed in memory.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::handover::Agent;
use super::standstill::work;
use super::{Boot, Run};
use crate::cache::Cache;
use crate::digest::{sha256, sha256_of_file};
use crate::gdb::{Gdb, PC};
use crate::process::{ATTENTION, Running, check_interrupted, spawn};
use crate::progress::Step;
use crate::qemu::{self, Machine};
use crate::qmp::Qmp;

/// The longest that saving a host, or loading its state, may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where saved hosts are kept in the cache.
const HOSTS: &str = "hosts";
/// Changes with the content of an entry.
const FORMAT: u32 = 2;
/// So many hosts are kept; the state of one takes about 100 MB.
const MOST_HOSTS: usize = 16;

/// A saved host.
#[derive(Debug)]
pub(super) struct Saved {
    folder: PathBuf,
    /// The folder is of this run only.
    _temporary: Option<TempDir>,
    /// All that its serial line had said.
    pub(super) serial: Vec<u8>,
    /// What its boot had taken.
    pub(super) boot: Boot,
}

/// An instruction to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) address: u64,
    /// The instruction as it is expected at the address.
    pub(crate) old: u32,
    pub(crate) new: u32,
}

/// Options of a machine that starts stopped and can be changed before it runs.
fn staged(folder: &Path) -> [String; 3] {
    ["-S".into(), "-gdb".into(), format!("unix:{},server=on,wait=off", qemu::comma(&socket(folder)))]
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("gdb")
}

/// A path as a word of the shell.
fn shell(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

impl Saved {
    /// The saved host for a run whose initramfs is this. A host that is not there is booted and saved.
    ///
    /// A run with a fresh host takes this way, too: QEMU does not keep quite all of its own state, so a host that goes on
    /// after its boot can be some instructions away from one that was saved.
    pub(super) fn obtain(run: &Run, agent: &Agent, initramfs: &[u8]) -> Result<Saved> {
        let save = |folder: &Path| save(run, agent, initramfs, folder);
        let (folder, temporary) = if run.saving.kept {
            (in_cache(&Cache::open()?, &identity(run, initramfs)?, save)?, None)
        } else {
            let temporary = tempfile::tempdir()?;
            save(temporary.path())?;
            (temporary.path().to_owned(), Some(temporary))
        };
        let serial = fs::read(folder.join("serial"))?;
        let boot = fs::read_to_string(folder.join("boot"))?;
        let boot = read_boot(&boot).context("the saved host does not say how long its boot took")?;
        Ok(Saved { folder, _temporary: temporary, serial, boot })
    }

    /// The arguments of a QEMU that loads the state, of a machine that keeps its files in `folder`.
    pub(super) fn arguments(&self, folder: &Path) -> Vec<String> {
        let state = format!("exec:cat {}", shell(&self.folder.join("state")));
        [&staged(folder)[..], &["-incoming".into(), state]].concat()
    }

    /// Waits until this QEMU has loaded the state, and changes the instructions. The host does not run yet.
    pub(super) fn load(qemu: &mut Running, folder: &Path, patches: &[Patch]) -> Result<Gdb> {
        let mut gdb = loaded(qemu, folder).context("the saved host cannot be resumed; --fresh boots a host")?;
        restore_timer(&mut gdb)?;
        for Patch { address, old, new } in patches {
            let found = gdb.instruction(*address)?;
            ensure!(found == *old, "at {address:#x} is the instruction {found:08x}, and not {old:08x}");
            gdb.write(*address, &new.to_le_bytes())?;
        }
        Ok(gdb)
    }
}

/// Waits until this QEMU has loaded the state.
fn loaded(qemu: &mut Running, folder: &Path) -> Result<Gdb> {
    let monitor = Machine::monitor(folder).context("the folder's path is too long")?;
    let mut qmp = once_there(qemu, || Qmp::connect(&monitor))?;
    await_monitor(&mut qmp, "info status", |said| Ok(!said.contains("inmigrate")))?;
    connect(qemu, folder)
}

/// The cache's entry, which `save` makes if it is not there. The hosts that were used last stay.
fn in_cache(cache: &Cache, identity: &str, save: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache.entry(&format!("{HOSTS}/{}", &identity[..16]), save)?;
    fs::File::open(&folder)?.set_modified(SystemTime::now())?;
    cache.keep_latest(HOSTS, MOST_HOSTS)?;
    Ok(folder)
}

/// Duration and work in milliseconds.
fn write_boot(boot: Boot) -> String {
    format!("{} {}", boot.lasted.as_millis(), boot.work.as_millis())
}

fn read_boot(text: &str) -> Option<Boot> {
    let mut numbers = text.split(' ').map(|number| number.parse().ok().map(Duration::from_millis));
    Some(Boot { lasted: numbers.next()??, work: numbers.next()?? })
}

/// A digest of all that a saved host depends on.
fn identity(run: &Run, initramfs: &[u8]) -> Result<String> {
    let parts = [
        FORMAT.to_string(),
        sha256_of_file(&run.kernel.image)?,
        sha256(initramfs),
        run.machine.identity(),
        qemu::version()?,
    ];
    Ok(sha256(parts.join("\n").as_bytes()))
}

/// Boots a host, stops it at rest, and saves it in `place`.
fn save(run: &Run, agent: &Agent, initramfs: &[u8], place: &Path) -> Result<()> {
    let step = Step::new(format!("Booting {}, to be saved", run.kernel.name));
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("initramfs");
    fs::write(&archive, initramfs)?;
    let mut command = run.machine.command(&run.kernel.image, &archive, folder.path())?;
    command.args(staged(folder.path()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = Instant::now();
    let mut qemu = spawn(&mut command)?;
    let mut serial = qemu.0.stdout.take().context("QEMU has no output")?;
    let serial = std::thread::spawn(move || {
        let mut said = Vec::new();
        serial.read_to_end(&mut said).map(|_| said)
    });
    let mut gdb = connect(&mut qemu, folder.path())?;
    agent.come_to_rest(&mut gdb, run.silence)?;
    let boot = Boot { lasted: started.elapsed(), work: work(qemu.0.id()).unwrap_or_default() };
    step.detail("saving");
    let mut qmp = Qmp::connect(&Machine::monitor(folder.path()).context("the folder's path is too long")?)?;
    let state = place.join("state");
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
    fs::write(place.join("serial"), serial)?;
    fs::write(place.join("boot"), write_boot(boot))?;
    Ok(())
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

fn connect(qemu: &mut Running, folder: &Path) -> Result<Gdb> {
    once_there(qemu, || Gdb::connect(&socket(folder)))
}

/// Connects as soon as that is possible: QEMU makes the file of a socket a little before it listens there.
fn once_there<T>(qemu: &mut Running, connect: impl Fn() -> Result<T>) -> Result<T> {
    let mut connected = None;
    wait("QEMU does not start", || {
        connected = connect().ok();
        if let Some(status) = qemu.0.try_wait()? {
            bail!("QEMU has ended ({status})");
        }
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
    fn a_host_is_saved_once_and_the_ones_used_last_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let saves = std::cell::Cell::new(0);
        let obtain = |number: usize| {
            let identity = format!("{number:064x}").chars().rev().collect::<String>();
            let save = |place: &Path| {
                saves.set(saves.get() + 1);
                Ok(fs::write(place.join("state"), identity.as_bytes())?)
            };
            in_cache(&cache, &identity, save).unwrap()
        };
        for number in 0..MOST_HOSTS {
            obtain(number);
        }
        assert!(obtain(0).exists());
        assert_eq!(saves.get(), MOST_HOSTS);
        obtain(MOST_HOSTS);
        obtain(0);
        assert_eq!(saves.get(), MOST_HOSTS + 1, "the host that was used again is still there");
        obtain(1);
        assert_eq!(saves.get(), MOST_HOSTS + 2, "the host that was not used for longest is gone");
    }

    #[test]
    fn a_boot_is_read_as_it_was_written() {
        let boot = Boot { lasted: Duration::from_millis(3210), work: Duration::from_millis(2500) };
        assert_eq!(read_boot(&write_boot(boot)), Some(boot));
        assert_eq!([read_boot(""), read_boot("1"), read_boot("1 x")], [None; 3]);
    }

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
