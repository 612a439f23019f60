//! `vtick boot`.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use vtick_shell::{MOST, MOST_OF_KERNEL, check_writable, open_regular, open_writable, read_regular};

use super::Done;
use crate::kvm::Kvm;
use vtick_machine::{Console, Disk, Ended, Listen, Pmu, Setup, SetupError};
use vtick_report::chrome;
use vtick_shell::say::print;
use vtick_trace::Tape;

/// RAM comes in units of this: kernels are placed by it.
const UNIT: u64 = 2 << 20;

#[derive(clap::Args)]
pub(super) struct BootArgs {
    /// The file to boot: an arm64 Linux Image, an ELF file, or a flat binary (loaded 512 KiB into RAM). It starts with the
    /// address of the device tree in x0.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The kernel's initramfs.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// The kernel's command line [default: the console for Linux and firmware, nothing for others].
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    append: Option<String>,
    /// Firmware that runs first, such as QEMU_EFI.fd. It boots the kernel, if one is given; the kernel has to be an EFI
    /// application.
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,
    /// The file that keeps the firmware's variables (its flash). Without it, the variables are forgotten.
    #[arg(long, value_name = "FILE", requires = "firmware")]
    vars: Option<PathBuf>,
    /// A virtio disk: a file; with ",ro" after its name the guest cannot write to it. The first disk is /dev/vda.
    #[arg(long, value_name = "FILE[,ro]")]
    disk: Vec<String>,
    /// The console that the terminal is: the PL011 (ttyAMA0), or a virtio console (hvc0) in addition to it.
    #[arg(long, value_name = "CONSOLE", default_value = "uart")]
    console: Console,
    /// The number of vCPUs.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    cpus: u8,
    /// Give the vCPUs performance counters; their overflow interrupt is PPI 23.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pmu: Pmu,
    /// The size of RAM: a multiple of 2M.
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = size)]
    memory: u64,
    /// Stop the guest after this many seconds of its own counter, and say what it was doing. In the emulated host these
    /// are not seconds of wall time: --host-timeout bounds those.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// End the run with exit status 1 when the guest resets itself. Otherwise the guest starts again: kernel and firmware
    /// are loaded anew, all other RAM stays as it was.
    #[arg(long)]
    no_reboot: bool,
    /// End the run when the guest accesses an address at which there is nothing. Otherwise such a read gives zero, such a
    /// write is ignored, and the first access to each address is reported.
    #[arg(long)]
    strict: bool,
    /// End the run with exit status 0 when the guest prints a line that contains this.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    exit_on: Option<String>,
    /// End the run with exit status 1 when the guest prints a line that contains this.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    fail_on: Option<String>,
    /// Give the guest kvm-unit-tests' testdev, a legacy virtio console through which a test exits with a code. Without it,
    /// a line "EXIT: STATUS=n" of a guest other than Linux is its exit code.
    #[arg(long)]
    testdev: bool,
    /// Print at the end, for each vCPU: interrupts by INTID, returns of KVM_RUN by reason, KVM_IRQ_LINE calls.
    #[arg(long)]
    stats: bool,
    /// With --stats, print when the guest printed the first line that contains this.
    #[arg(long, value_name = "TEXT", requires = "stats")]
    mark: Option<String>,
    /// Write every event between guest and host to this file, for ui.perfetto.dev.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Check the arguments and run nothing. Exit status 0: the command would run something.
    #[arg(long, hide = true)]
    pub(super) plan: bool,
}

/// A number of bytes: 64M, 1G.
fn size(text: &str) -> Result<u64, String> {
    match vtick_shell::values::bytes(text, 1) {
        Some(bytes) if (8 * UNIT..=255 << 30).contains(&bytes) && bytes.is_multiple_of(UNIT) => Ok(bytes),
        _ => Err("RAM has to be a multiple of 2M from 16M to 255G, such as 512M or 3G".to_owned()),
    }
}

pub(super) fn run(args: &BootArgs) -> anyhow::Result<Done> {
    let setup = setup(args)?;
    setup.plan().map_err(|error| of_option(args, error))?;
    // Before the work, so that a bad path costs nothing.
    if let Some(path) = &args.trace {
        check_writable("--trace", path).map_err(anyhow::Error::msg)?;
    }
    let trace = args.trace.as_ref().map(|path| (path, File::create(path)));
    let trace = match trace {
        Some((path, Err(error))) => bail!("--trace {}: {error}", path.display()),
        Some((path, Ok(file))) => Some((path, file)),
        None => None,
    };
    if args.plan {
        return Ok(Done::Planned);
    }
    let kvm = Kvm::open()?;
    kvm.require_the_mode()?;
    let booted = kvm.boot(&setup)?;
    if let Some((path, file)) = trace {
        chrome::write(&booted.trace, BufWriter::new(file)).with_context(|| format!("--trace {}", path.display()))?;
    }
    if args.stats {
        print!("{}", booted.account);
    }
    if booted.ended != Ended::PowerOff && booted.ended != Ended::Exited(0) {
        eprintln!("{}", booted.ended);
    }
    if booted.ended.is_skipped() {
        return Ok(Done::NothingExercised);
    }
    Ok(Done::Ran(booted.ended.is_clean()))
}

/// What is wrong, said of the option that it is wrong with.
fn of_option(args: &BootArgs, error: SetupError) -> anyhow::Error {
    let name = |option: &str, path: Option<&Path>, why: &dyn std::fmt::Display| {
        anyhow::anyhow!("{option} {}: {why}", path.unwrap_or(Path::new("")).display())
    };
    match error {
        SetupError::Kernel(why) => name("--kernel", args.kernel.as_deref(), &why),
        SetupError::Initrd(why) => name("--initrd", args.initrd.as_deref(), &why),
        SetupError::Firmware(why) => name("--firmware", args.firmware.as_deref(), &why),
        SetupError::Variables(why) => name("--vars", args.vars.as_deref(), &why),
        SetupError::Disk(index, why) => name("--disk", args.disk.get(index).map(Path::new), &why),
        SetupError::Nothing => error.into(),
    }
}

fn setup(args: &BootArgs) -> anyhow::Result<Setup> {
    let read = |option: &str, path: &Option<PathBuf>| match path {
        Some(path) => {
            let most = if option == "--kernel" { MOST_OF_KERNEL } else { MOST };
            read_regular(option, path, most).map(Some).map_err(anyhow::Error::msg)
        }
        None => Ok(None),
    };
    Ok(Setup {
        cpus: args.cpus.into(),
        memory: args.memory,
        pmu: args.pmu,
        kernel: read("--kernel", &args.kernel)?,
        initrd: read("--initrd", &args.initrd)?,
        bootargs: args.append.clone(),
        firmware: read("--firmware", &args.firmware)?,
        variables: args.vars.as_ref().map(|path| open("--vars", path, false)).transpose()?,
        disks: args.disk.iter().map(|disk| self::disk(disk)).collect::<Result<_, _>>()?,
        console: args.console,
        restarts: !args.no_reboot,
        strict: args.strict,
        timeout: args.timeout.map(Duration::from_secs),
        listen: Listen {
            mark: args.mark.clone(),
            exit_on: args.exit_on.clone(),
            fail_on: args.fail_on.clone(),
            status: false,
        },
        testdev: args.testdev,
        tape: if args.trace.is_some() { Tape::USUAL } else { 0 },
    })
}

fn open(option: &str, path: &Path, read_only: bool) -> anyhow::Result<Arc<File>> {
    let file = if read_only { open_regular(option, path, MOST) } else { open_writable(option, path, MOST) };
    file.map(Arc::new).map_err(|error| {
        let hint = match open_regular(option, path, MOST) {
            Ok(_) if !read_only && option == "--disk" => {
                "; for a disk that the guest only reads, put `,ro` after the name"
            }
            _ => "",
        };
        anyhow::anyhow!("{error}{hint}")
    })
}

fn disk(argument: &str) -> anyhow::Result<Disk> {
    let (path, read_only) = argument.strip_suffix(",ro").map_or((argument, false), |path| (path, true));
    Ok(Disk { file: open("--disk", Path::new(path), read_only)?, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        assert_eq!(size("64M"), Ok(64 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("33554432"), Ok(32 << 20));
        for wrong in ["", "M", "1M", "17M", "2T", "99999999999G", "-64M", "64 M"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
