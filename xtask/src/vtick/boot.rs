//! `boot`: a guest, natively or in the emulated host, with the terminal for a console.

use std::fs;
use std::io::{IsTerminal, stdin};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{FileType, fstat};
use vtick_frame::Input;
use vtick_shell::values::bytes;

use super::guest::{self, Guest};
use super::{emulate, plain, plan, prepare, runs_natively};
use crate::cache::Cache;
use crate::cli::Options;
use crate::initramfs::Initramfs;
use crate::toolchain::Toolchain;
use crate::{armhf, artifacts, firmware, kernel, native};

/// Megabytes of memory of a guest of which nothing else is said.
const GUEST_MEMORY: u32 = 512;

/// `cargo xtask boot`.
pub(crate) fn boot(cache: &Cache, options: &Options) -> Result<i32> {
    if options.kernels.len() > 1 {
        bail!("boot takes one --host-kernel");
    }
    let host_kernel = options.kernels.first().map_or(kernel::DEFAULT, String::as_str);
    let arguments = guest::with_defaults(&options.forwarded, host_kernel);
    let toolchain = Toolchain::obtain(cache, options.refresh)?;
    let guest = Guest::new(&arguments, |option, value| fetch(cache, options, &toolchain, option, value))?;
    if let Some(status) = plan("boot", &guest.here())? {
        return Ok(status);
    }
    let command = ["boot".to_owned()];
    if runs_natively(options)? {
        let programs = artifacts::programs(&toolchain)?;
        return native::run(&programs.vtick, &[&command, &guest.here()[..]].concat());
    }
    let (kernels, programs) = prepare(cache, options)?;
    let host = kernels.first().context("there is no kernel for the host")?;
    let shipped = guest.ship()?;
    let argv = [&["/bin/vtick".to_owned()], &command[..], &shipped.arguments].concat();
    let mut run = plain(options, &programs, host, argv);
    run.timeout_option = "--host-timeout";
    // The demonstration comes to its end by itself, and is the same every time.
    run.job.input = if options.forwarded.is_empty() { Input::None } else { input() };
    run.job.collect = shipped.written.iter().map(|(there, _)| there.clone()).collect();
    run.files.clone_from(&shipped.files);
    run.machine.waits = run.job.input != Input::None;
    // Settling takes time where idle time is not skipped, and somebody waits.
    if run.machine.waits {
        run.job.settle = Duration::ZERO;
    }
    let memory = guest::value(&arguments, "--memory").and_then(megabytes).unwrap_or(GUEST_MEMORY);
    run.machine.memory = run.machine.memory.max(shipped.host_memory(memory));
    if run.job.input == Input::Terminal {
        eprintln!("Ctrl-A x leaves");
        // A person may take all the time in the world, unless they said how much.
        run.timeout = if options.timeout_given { options.timeout } else { Duration::MAX };
    }
    // A guest may say nothing for as long as it likes. One that hangs is the runner's to find out.
    run.silence = run.timeout;
    let (status, files) = emulate(&run)?;
    shipped.keep(&files)?;
    Ok(status)
}

/// What a word of ours stands for.
fn fetch(
    cache: &Cache,
    options: &Options,
    toolchain: &Toolchain,
    option: &str,
    value: &str,
) -> Result<Option<PathBuf>> {
    Ok(match (option, value) {
        ("--kernel", armhf::NAME) => Some(armhf::from_debian(cache, options.refresh)?),
        ("--kernel", value) if value.starts_with("debian:") => {
            Some(kernel::obtain(cache, value, options.refresh)?.image)
        }
        ("--firmware", "debian") => Some(firmware::from_debian(cache, options.refresh)?),
        ("--initrd", "demo") => Some(demonstration(toolchain)?),
        _ => None,
    })
}

/// The initramfs of the demonstration.
fn demonstration(toolchain: &Toolchain) -> Result<PathBuf> {
    let mut archive = Initramfs::new()?;
    archive.file("init", 0o755, &fs::read(artifacts::init(toolchain)?)?)?;
    let place = artifacts::target().join("demo.cpio");
    // Another run may be reading it.
    let mut file = tempfile::NamedTempFile::new_in(artifacts::target())?;
    std::io::Write::write_all(&mut file, &archive.finish()?)?;
    file.persist(&place)?;
    Ok(place)
}

/// What the guest's console has for input: a person, a pipe or a file; or nothing, where that is standard input.
fn input() -> Input {
    if stdin().is_terminal() {
        return Input::Terminal;
    }
    match fstat(stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Fifo | FileType::RegularFile | FileType::Socket) => Input::Pipe,
        _ => Input::None,
    }
}

/// Megabytes of the guest's --memory; `None`: the runner will complain itself.
fn megabytes(size: &str) -> Option<u32> {
    u32::try_from(bytes(size, 1)?.div_ceil(1 << 20)).ok()
}
