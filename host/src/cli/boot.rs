//! `vtick boot`.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::Done;
use crate::kvm::Kvm;
use crate::machine::{Setup, SetupError};
use crate::trace::{Tape, chrome};

/// RAM comes in units of this: kernels are placed by it.
const UNIT: u64 = 2 << 20;

#[derive(clap::Args)]
pub(super) struct BootArgs {
    /// What to boot: an arm64 Linux Image, an ELF file or a flat binary, which goes 512 KiB into RAM. It starts with the
    /// address of the device tree in x0.
    #[arg(long, value_name = "FILE")]
    kernel: PathBuf,
    /// The kernel's first file system.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// The kernel's command line.
    #[arg(long, value_name = "TEXT", default_value = "console=ttyAMA0", allow_hyphen_values = true)]
    append: String,
    /// vCPUs.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    cpus: u8,
    /// RAM: a multiple of 2M.
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = size)]
    memory: u64,
    /// Stop the guest after so many seconds, and say what it was doing.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Say at the end what was done for the guest: interrupts, returns of KVM_RUN, KVM_IRQ_LINE calls.
    #[arg(long)]
    stats: bool,
    /// With --stats, say when the guest had printed the first line that holds this.
    #[arg(long, value_name = "TEXT", requires = "stats")]
    mark: Option<String>,
    /// Write what happened at the boundary to this file, for ui.perfetto.dev.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Check the arguments and run nothing. Exit status 0: there is something to run.
    #[arg(long, hide = true)]
    pub(super) plan: bool,
}

/// A number of bytes: 64M, 1G.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.trim_end_matches(['B', 'b']).trim_end_matches('i') {
        text if text.ends_with(['K', 'k']) => (&text[..text.len() - 1], 1 << 10),
        text if text.ends_with(['M', 'm']) => (&text[..text.len() - 1], 1 << 20),
        text if text.ends_with(['G', 'g']) => (&text[..text.len() - 1], 1 << 30),
        text => (text, 1),
    };
    let bytes = digits.parse().ok().and_then(|number: u64| number.checked_mul(unit));
    match bytes {
        Some(bytes) if (8 * UNIT..=255 << 30).contains(&bytes) && bytes.is_multiple_of(UNIT) => Ok(bytes),
        _ => Err("a multiple of 2M from 16M to 255G is needed".to_owned()),
    }
}

pub(super) fn run(args: &BootArgs) -> anyhow::Result<Done> {
    let setup = setup(args)?;
    setup.plan().map_err(|error| match error {
        SetupError::Kernel(why) => anyhow::anyhow!("--kernel {}: {why}", args.kernel.display()),
        SetupError::Initrd(why) => {
            anyhow::anyhow!("--initrd {}: {why}", args.initrd.as_deref().unwrap_or(Path::new("")).display())
        }
    })?;
    // Before the work, so that a bad path costs nothing.
    let trace = args.trace.as_ref().map(|path| (path, std::fs::File::create(path)));
    let trace = match trace {
        Some((path, Err(error))) => bail!("--trace {}: {error}", path.display()),
        Some((path, Ok(file))) => Some((path, file)),
        None => None,
    };
    if args.plan {
        return Ok(Done::Planned);
    }
    let booted = Kvm::open()?.boot(&setup)?;
    if let Some((path, file)) = trace {
        chrome::write(&booted.trace, BufWriter::new(file)).with_context(|| format!("--trace {}", path.display()))?;
    }
    if args.stats {
        print!("{}", booted.account);
    }
    if !booted.ended.is_clean() {
        eprintln!("{}", booted.ended);
    }
    Ok(Done::Ran(booted.ended.is_clean()))
}

fn setup(args: &BootArgs) -> anyhow::Result<Setup> {
    let read = |option: &str, path: &Path| {
        std::fs::read(path).map_err(|error| anyhow::anyhow!("{option} {}: {error}", path.display()))
    };
    Ok(Setup {
        cpus: args.cpus.into(),
        memory: args.memory,
        kernel: read("--kernel", &args.kernel)?,
        initrd: args.initrd.as_ref().map(|path| read("--initrd", path)).transpose()?,
        bootargs: args.append.clone(),
        timeout: args.timeout.map(Duration::from_secs),
        mark: args.mark.clone(),
        tape: if args.trace.is_some() { Tape::USUAL } else { 0 },
    })
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
