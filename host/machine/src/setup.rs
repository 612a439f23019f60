//! What is to be booted, and on how much of a machine: all that can be checked before there is one.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use vm_memory::GuestMemoryMmap;
use vtick_abi::layout::RAM_BASE;

use super::flash::{Flash, FlashError};
use super::fw_cfg::FwCfg;
use super::virtio::Block;
use super::{Listen, Rom, RomError, map};
use crate::payload::{Kernel, Kind, PayloadError, Piece, check_initrd};

/// Bytes of flash for the variables of firmware that is given none: it uses 768 KiB.
const VARIABLES: u64 = 1 << 20;
/// What every EFI application begins with: the header of a DOS program.
const EFI_APPLICATION: &[u8] = b"MZ";

/// A guest to be booted.
#[derive(Clone, Debug)]
pub struct Setup {
    /// vCPUs, 1 to 8.
    pub cpus: usize,
    /// Bytes of RAM, a multiple of 2 MiB.
    pub memory: u64,
    /// Whether its vCPUs have a PMU.
    pub pmu: Pmu,
    /// The file to boot: from its entry, or by the firmware.
    pub kernel: Option<Vec<u8>>,
    /// The file with its first file system.
    pub initrd: Option<Vec<u8>>,
    /// The kernel's command line, if it was said: otherwise Linux and firmware are told of the console, others nothing.
    pub bootargs: Option<String>,
    /// What runs first, at address 0.
    pub firmware: Option<Vec<u8>>,
    /// The flash with the firmware's variables, open for reading and writing.
    pub variables: Option<Arc<File>>,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Which console is typed on.
    pub console: Console,
    /// A guest that resets itself is started again.
    pub restarts: bool,
    /// An access to an address where there is nothing ends the run.
    pub strict: bool,
    /// The longest it may run.
    pub timeout: Option<Duration>,
    /// What its consoles are listened to for; for a test's status where the guest is no Linux, whatever this says.
    pub listen: Listen,
    /// kvm-unit-tests' testdev: a legacy virtio console through which a guest exits with a code.
    pub testdev: bool,
    /// How many events of each thread are kept for a trace.
    pub tape: usize,
}

/// A file that is a disk of the guest's.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Open for reading and, unless it is `read_only`, for writing.
    pub file: Arc<File>,
    /// The guest cannot write it.
    pub read_only: bool,
}

/// Whether the guest has performance counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Pmu {
    /// Where the host's KVM has them for guests.
    #[default]
    Auto,
    /// Or it is not run.
    On,
    /// None.
    Off,
}

/// Which console is typed on. What is printed on any shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Console {
    /// The PL011: ttyAMA0.
    #[default]
    Uart,
    /// A virtio console beside it: hvc0.
    Virtio,
}

impl Console {
    /// What a kernel's command line calls it.
    pub fn bootargs(self) -> &'static str {
        match self {
            Console::Uart => "console=ttyAMA0",
            Console::Virtio => "console=hvc0",
        }
    }
}

/// What there is before the first vCPU runs.
pub struct Plan<'a> {
    /// Where the first vCPU starts, with the address of the device tree in x0 and the MMU off.
    pub entry: u64,
    /// The RAM that the kernel takes, the zeroes around its pieces included.
    pub takes: Range<u64>,
    /// What is loaded into RAM.
    pub pieces: Vec<Piece<'a>>,
    /// Guest physical address of the device tree.
    pub fdt: u64,
    /// The guest is a Linux, or firmware which may boot one.
    pub linux: bool,
    /// It starts in AArch32 state.
    pub aarch32: bool,
    /// RAM in front of a guest that is no Linux: a copy of the device tree goes to its start, if it fits.
    pub fdt_copy: Option<Range<u64>>,
    /// What the guest is told on its command line.
    pub bootargs: String,
    /// Where the initrd goes, if that is not the firmware's business.
    pub initrd: Option<Range<u64>>,
    /// The firmware, and the flash for its variables.
    pub firmware: Option<(Rom, Flash)>,
    /// In the order given.
    pub disks: Vec<Block>,
}

/// Which file cannot be booted, and why.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is nothing to boot.
    #[error("there is nothing to boot: give a kernel (--kernel FILE), firmware (--firmware FILE) or both")]
    Nothing,
    /// The kernel.
    #[error("kernel: {0}")]
    Kernel(PayloadError),
    /// The initrd.
    #[error("initrd: {0}")]
    Initrd(PayloadError),
    /// The firmware.
    #[error("firmware: {0}")]
    Firmware(RomError),
    /// The file with its variables.
    #[error("variables: {0}")]
    Variables(FlashError),
    /// A disk, counted from 0.
    #[error("disk {0}: {1}")]
    Disk(usize, std::io::Error),
}

impl Setup {
    /// Guest physical addresses of RAM.
    pub fn ram(&self) -> Range<u64> {
        RAM_BASE..RAM_BASE + self.memory
    }

    /// What is loaded, and where everything goes.
    pub fn plan(&self) -> Result<Plan<'_>, SetupError> {
        let plan = match (&self.firmware, &self.kernel) {
            (Some(firmware), _) => self.plan_firmware(firmware)?,
            (None, Some(kernel)) => self.plan_kernel(kernel)?,
            (None, None) => return Err(SetupError::Nothing),
        };
        let disk = |(index, disk): (usize, &Disk)| {
            Block::new(Arc::clone(&disk.file), disk.read_only).map_err(|error| SetupError::Disk(index, error))
        };
        Ok(Plan { disks: self.disks.iter().enumerate().map(disk).collect::<Result<_, _>>()?, ..plan })
    }

    fn plan_kernel<'a>(&self, kernel: &'a [u8]) -> Result<Plan<'a>, SetupError> {
        let kernel = Kernel::parse(kernel, self.ram()).map_err(SetupError::Kernel)?;
        if let Some(initrd) = &self.initrd {
            check_initrd(initrd, kernel.kind.is_linux()).map_err(SetupError::Initrd)?;
        }
        let initrd = self.initrd.as_ref().map(|initrd| initrd.len() as u64);
        let placed = kernel.place(self.ram(), initrd).map_err(|error| match error {
            PayloadError::Initrd { .. } => SetupError::Initrd(error),
            other => SetupError::Kernel(other),
        })?;
        let linux = kernel.kind.is_linux();
        Ok(Plan {
            linux,
            aarch32: kernel.kind == Kind::ZImage,
            entry: kernel.entry,
            fdt_copy: (!linux && self.ram().start < kernel.takes.start).then(|| self.ram().start..kernel.takes.start),
            bootargs: self.bootargs.clone().unwrap_or_else(|| self.default_bootargs(linux)),
            takes: kernel.takes,
            pieces: kernel.pieces,
            fdt: placed.fdt,
            initrd: placed.initrd,
            firmware: None,
            disks: Vec::new(),
        })
    }

    /// Firmware looks for the device tree at the start of RAM, and for a kernel in fw_cfg.
    fn plan_firmware(&self, firmware: &[u8]) -> Result<Plan<'static>, SetupError> {
        if self.kernel.as_ref().is_some_and(|kernel| !kernel.starts_with(EFI_APPLICATION)) {
            let why = "is no EFI application, and firmware boots nothing else; without --firmware it may do";
            return Err(SetupError::Kernel(PayloadError::File(why.to_owned())));
        }
        let [code, variables] = map::FLASH;
        let rom = Rom::new(code, firmware).map_err(SetupError::Firmware)?;
        let flash = match &self.variables {
            Some(file) => Flash::file(variables, Arc::clone(file)),
            None => Flash::erased(variables, VARIABLES),
        };
        Ok(Plan {
            entry: code.base,
            takes: 0..0,
            pieces: Vec::new(),
            fdt: self.ram().start,
            linux: true,
            aarch32: false,
            fdt_copy: None,
            bootargs: self.firmware_bootargs(),
            initrd: None,
            firmware: Some((rom, flash.map_err(SetupError::Variables)?)),
            disks: Vec::new(),
        })
    }

    /// A Linux without a console is silent. What something else takes its command line for, nobody knows.
    fn default_bootargs(&self, linux: bool) -> String {
        if linux { self.console.bootargs().to_owned() } else { String::new() }
    }

    fn firmware_bootargs(&self) -> String {
        self.bootargs.clone().unwrap_or_else(|| self.default_bootargs(true))
    }

    /// What firmware is told of kernel and initrd.
    pub fn fw_cfg(&self, memory: GuestMemoryMmap) -> FwCfg {
        let mut fw_cfg = FwCfg::new(memory, self.cpus as u16);
        if let Some(kernel) = &self.kernel {
            fw_cfg.kernel(kernel.clone());
            fw_cfg.command_line(&self.firmware_bootargs());
        }
        if let Some(initrd) = &self.initrd {
            fw_cfg.initrd(initrd.clone());
        }
        fw_cfg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(kernel: Option<&[u8]>, firmware: Option<&[u8]>) -> Setup {
        Setup {
            cpus: 1,
            memory: 64 << 20,
            pmu: Pmu::Auto,
            kernel: kernel.map(<[u8]>::to_vec),
            initrd: Some([&b"070701"[..], &[7; 94]].concat()),
            bootargs: Some("quiet".to_owned()),
            firmware: firmware.map(<[u8]>::to_vec),
            variables: None,
            disks: Vec::new(),
            console: Console::default(),
            restarts: true,
            strict: false,
            timeout: None,
            listen: Listen::default(),
            testdev: false,
            tape: 0,
        }
    }

    #[test]
    fn firmware_starts_at_zero_with_the_device_tree_where_it_looks_for_it_and_loads_all_else_itself() {
        let setup = setup(Some(b"MZ.."), Some(&[0x14; 64]));
        let plan = setup.plan().unwrap();
        assert_eq!((plan.entry, plan.fdt, plan.initrd.clone()), (0, RAM_BASE, None));
        assert!(plan.pieces.is_empty() && plan.firmware.is_some());
    }

    #[test]
    fn without_firmware_the_kernel_starts_at_its_entry() {
        let setup = setup(Some(&[0; 4]), None);
        let plan = setup.plan().unwrap();
        assert_eq!((plan.entry, plan.pieces.len()), (RAM_BASE + 0x8_0000, 1));
        assert!(plan.initrd.is_some() && plan.firmware.is_none());
    }

    #[test]
    fn only_a_linux_is_told_of_the_console_and_only_others_get_a_second_device_tree() {
        let mut image = vec![0; 0x2000];
        image[16..24].copy_from_slice(&0x10_0000_u64.to_le_bytes());
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        let unsaid = |kernel: &[u8], firmware| Setup { bootargs: None, ..setup(Some(kernel), firmware) };
        for (setup, bootargs, fdt_copy) in [
            (unsaid(&image, None), "console=ttyAMA0", None),
            (unsaid(&[0; 4], None), "", Some(RAM_BASE..RAM_BASE + 0x8_0000)),
            (setup(Some(&[0; 4]), None), "quiet", Some(RAM_BASE..RAM_BASE + 0x8_0000)),
            (unsaid(b"MZ..", Some(&[1; 4])), "console=ttyAMA0", None),
        ] {
            let plan = setup.plan().unwrap();
            assert_eq!((plan.bootargs.as_str(), plan.fdt_copy), (bootargs, fdt_copy));
        }
    }

    #[test]
    fn what_cannot_be_booted_is_named() {
        let disk = Disk { file: Arc::new(File::open("/").unwrap()), read_only: true };
        let bad = |setup: Setup| setup.plan().map(|_| ()).unwrap_err().to_string();
        assert!(bad(setup(None, None)).starts_with("there is nothing to boot"));
        assert!(bad(setup(Some(b"\x7fELF"), Some(&[1]))).starts_with("kernel: is no EFI application"));
        assert!(bad(setup(None, Some(&[]))).starts_with("firmware: is 0 bytes"));
        let variables = Arc::new(tempfile::tempfile().unwrap());
        variables.set_len(12345).unwrap();
        assert!(
            bad(Setup { variables: Some(variables), ..setup(None, Some(&[1])) }).starts_with("variables: 12345 bytes")
        );
        let disks = vec![disk];
        assert!(bad(Setup { disks, ..setup(Some(&[0; 4]), None) }).starts_with("disk 0: "));
    }
}
