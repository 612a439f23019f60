//! The emulated arm64 machine: its settings, and the command line they make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::run;
use crate::{fdt, install};

pub(crate) const QEMU: &str = "qemu-system-aarch64";
pub(crate) const PACKAGE: &str = "qemu-system-arm";

/// How a KVM host uses the CPU's virtualisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The kernel itself runs at EL2.
    Vhe,
    /// Only a part of it does.
    Nvhe,
    /// The same, and that part does not trust the rest.
    Protected,
}

/// What the emulated host's clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Instructions: the same run every time.
    Instructions,
    /// Real time, with a thread of QEMU's for each CPU: what everybody else calls an emulated arm64 machine.
    Real,
}

/// The interrupt controller of the emulated host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gic {
    /// `GICv2`.
    V2,
    /// `GICv3`.
    V3,
    /// A `GICv3` that KVM can't virtualise: the device tree does not name its maintenance interrupt.
    NotVirtual,
}

/// The machine. What is not here is fixed in [`Machine::arguments`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// QEMU's name of the CPU model.
    pub(crate) cpu: String,
    /// Number of CPUs.
    pub(crate) cpus: u32,
    /// Megabytes of memory.
    pub(crate) memory: u32,
    /// What the kernel is told to do with virtualisation; its own choice otherwise.
    pub(crate) mode: Option<Mode>,
    /// The interrupt controller.
    pub(crate) gic: Gic,
    /// What its clock counts.
    pub(crate) clock: Clock,
    /// What its kernel's command line has besides.
    pub(crate) append: Option<String>,
    /// Whether idle time passes as it does for a person, or is skipped.
    pub(crate) waits: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpu: "neoverse-n1".to_owned(),
            cpus: 1,
            memory: 1024,
            mode: None,
            gic: Gic::V3,
            clock: Clock::Instructions,
            append: None,
            waits: false,
        }
    }
}

impl Machine {
    /// The machine in a few words.
    pub(crate) fn describe(&self) -> String {
        let mode = match self.mode {
            None => "the kernel's own mode",
            Some(Mode::Vhe) => "VHE",
            Some(Mode::Nvhe) => "nVHE",
            Some(Mode::Protected) => "protected",
        };
        let gic = match self.gic {
            Gic::V2 => "GICv2",
            Gic::V3 => "GICv3",
            Gic::NotVirtual => "GICv3 without virtualisation support",
        };
        let cpus = if self.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", self.cpus) };
        format!("{}, {mode}, {gic}, {cpus}", self.cpu)
    }

    /// The command that boots `kernel` with `initramfs`. Files it needs besides go to `folder`.
    pub(crate) fn command(&self, kernel: &Path, initramfs: &Path, folder: &Path) -> Result<Command> {
        let mut qemu = self.arguments();
        if self.gic == Gic::NotVirtual {
            qemu.arg("-dtb").arg(self.tree_without_maintenance_interrupt(folder)?);
        }
        if let Some(monitor) = Machine::monitor(folder) {
            qemu.args(["-qmp", &format!("unix:{},server=on,wait=off", comma(&monitor))]);
        }
        qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs).args(["-append", &self.kernel_command_line()]);
        Ok(qemu)
    }

    /// The socket of its monitor, of a machine that keeps its files in `folder`; none where the path of a socket cannot
    /// be as long (unix(7), sun_path).
    pub(crate) fn monitor(folder: &Path) -> Option<PathBuf> {
        Some(folder.join("qmp")).filter(|path| path.to_str().is_some_and(|path| path.len() < 108))
    }

    /// All that makes this machine different from others.
    pub(crate) fn identity(&self) -> String {
        let words: Vec<_> = self.arguments().get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        format!("{} {:?} {}", words.join(" "), self.gic, self.kernel_command_line())
    }

    /// Everything that makes a run repeatable, unless its clock is to be real: one instruction is one nanosecond, idle time is skipped, clock and random
    /// seed are fixed, and the counter ticks once per instruction.
    fn arguments(&self) -> Command {
        let mut qemu = Command::new(QEMU);
        qemu.args(["-machine", &self.machine()]);
        qemu.args(["-cpu", &format!("{},cntfrq=1000000000", self.cpu)]);
        qemu.args(["-smp", &self.cpus.to_string(), "-m", &self.memory.to_string(), "-seed", "1"]);
        if self.clock == Clock::Instructions {
            let sleep = if self.waits { "on" } else { "off" };
            qemu.args(["-icount", &format!("shift=0,sleep={sleep}")]);
        }
        qemu.args(["-rtc", "base=2020-01-01,clock=vm"]);
        // No network card: its option ROM is in a package of its own.
        qemu.args([
            "-nodefaults",
            "-nic",
            "none",
            "-display",
            "none",
            "-monitor",
            "none",
            "-serial",
            "stdio",
            "-no-reboot",
        ]);
        qemu
    }

    fn machine(&self) -> String {
        let gic = if self.gic == Gic::V2 { 2 } else { 3 };
        // A seeded generator: without one, each system call of the host pays for drawing from an unready one.
        format!("virt,virtualization=on,gic-version={gic},dtb-randomness=on")
    }

    fn kernel_command_line(&self) -> String {
        let mut line = "console=ttyAMA0 quiet nokaslr randomize_kstack_offset=off panic=-1".to_owned();
        match self.mode {
            // A kernel on a CPU that can do it runs in VHE of its own accord.
            None | Some(Mode::Vhe) => {}
            Some(Mode::Nvhe) => line.push_str(" kvm-arm.mode=nvhe"),
            Some(Mode::Protected) => line.push_str(" kvm-arm.mode=protected"),
        }
        // Last: of two that contradict each other the kernel takes the last.
        self.append.iter().for_each(|more| line.push_str(&format!(" {more}")));
        line
    }

    fn tree_without_maintenance_interrupt(&self, folder: &Path) -> Result<PathBuf> {
        let place = folder.join("host.dtb");
        let mut dump = self.arguments();
        dump.args(["-machine", &format!("dumpdtb={}", place.display())]);
        run(dump.stdin(Stdio::null()), None)?;
        let mut tree = fs::read(&place).with_context(|| format!("QEMU wrote no device tree to {}", place.display()))?;
        fdt::remove_gic_maintenance_interrupt(&mut tree).map_err(anyhow::Error::msg)?;
        fdt::pack(&mut tree).map_err(anyhow::Error::msg)?;
        fs::write(&place, tree)?;
        Ok(place)
    }
}

/// Whether QEMU knows the machine's CPU: what it says itself of one that it does not know comes late, and is no help.
pub(crate) fn check_cpu(machine: &Machine) -> Result<()> {
    let model = machine.cpu.split(',').next().unwrap_or_default();
    if model == Machine::default().cpu {
        return Ok(());
    }
    let told = run(Command::new(QEMU).args(["-machine", "virt", "-cpu", "help"]), None)?;
    let known = models(&told);
    if known.is_empty() || known.contains(&model) {
        return Ok(());
    }
    let of_64_bits = known.into_iter().filter(|name| {
        ["cortex-a5", "cortex-a7", "neoverse", "max", "a64fx"].iter().any(|start| name.starts_with(start))
            && *name != "cortex-a7"
    });
    let some: Vec<&str> = of_64_bits.collect();
    bail!("--cpu {model}: QEMU has no such CPU; it has {}, and others", some.join(", "))
}

/// The models that `-cpu help` lists.
fn models(told: &str) -> Vec<&str> {
    told.lines().filter(|line| line.starts_with(' ')).filter_map(|line| line.split_whitespace().next()).collect()
}

/// Tells one QEMU from another: by its file, which is quicker to look at than to run.
pub(crate) fn version() -> Result<String> {
    let place = install::found(&[QEMU]).with_context(|| format!("there is no {QEMU}"))?;
    let file = fs::metadata(&place)?;
    Ok(format!("{} {} {:?}", place.display(), file.len(), file.modified()?))
}

/// A path as a part of an option: a comma would end it.
pub(crate) fn comma(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Makes sure that QEMU is there, and installs it where that is allowed.
pub(crate) fn ensure_installed() -> Result<()> {
    install::ensure(&[QEMU], PACKAGE).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_machine_is_the_one_whose_figures_are_published() {
        let command = Machine::default().command(Path::new("K"), Path::new("I"), Path::new("/")).unwrap();
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(
            words.join(" "),
            "-machine virt,virtualization=on,gic-version=3,dtb-randomness=on -cpu neoverse-n1,cntfrq=1000000000 -smp 1 \
             -m 1024 -seed 1 -icount shift=0,sleep=off -rtc base=2020-01-01,clock=vm -nodefaults -nic none \
             -display none -monitor none -serial stdio -no-reboot -qmp unix:/qmp,server=on,wait=off -kernel K -initrd I \
             -append console=ttyAMA0 quiet nokaslr randomize_kstack_offset=off panic=-1"
        );
    }

    #[test]
    fn cpu_models_are_read_from_qemus_list() {
        let told = "Available CPUs:\n  a64fx\n  cortex-a57\n  neoverse-n1\n\nAdditional words\n";
        assert_eq!(models(told), ["a64fx", "cortex-a57", "neoverse-n1"]);
    }

    #[test]
    fn a_folder_whose_name_is_too_long_for_a_socket_has_no_monitor_and_a_comma_does_not_end_it() {
        let words = |folder: &str| {
            let command = Machine::default().command(Path::new("K"), Path::new("I"), Path::new(folder)).unwrap();
            let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap().to_owned()).collect();
            words.join(" ")
        };
        assert!(!words(&format!("/{}", "x".repeat(110))).contains("-qmp"));
        assert!(words("/a,b").contains("-qmp unix:/a,,b/qmp,server=on"));
    }

    #[test]
    fn each_setting_reaches_the_command_line() {
        let machine = Machine {
            cpu: "cortex-a57".into(),
            cpus: 4,
            memory: 512,
            mode: Some(Mode::Protected),
            gic: Gic::V2,
            clock: Clock::Instructions,
            append: Some("isolcpus=1 nohz_full=1".to_owned()),
            waits: true,
        };
        let command = machine.command(Path::new("K"), Path::new("I"), Path::new("/")).unwrap();
        let line: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let line = line.join(" ");
        for part in [
            "gic-version=2,",
            "-cpu cortex-a57,",
            "-smp 4 ",
            "-m 512 ",
            "sleep=on ",
            "panic=-1 kvm-arm.mode=protected isolcpus=1 nohz_full=1",
        ] {
            assert!(line.contains(part), "{part:?} is missing in {line}");
        }
        let real = Machine { clock: Clock::Real, ..Machine::default() };
        let command = real.command(Path::new("K"), Path::new("I"), Path::new("/")).unwrap();
        assert!(command.get_args().all(|word| word != "-icount"), "{command:?}");
    }
}
