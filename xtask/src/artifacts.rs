//! What is built: the guest, the static runner with the guest inside, and the agent of the emulated host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_binutils::Tool;
use vtick_shell::check_writable;

use crate::process::{capture, failure_in_full, run};
use crate::progress::{self, Step};
use crate::say::say;
use crate::scan;
use crate::toolchain::{GUEST, Toolchain, cargo};

/// The guest and the runner are measured, and built with the profile of that name.
const PROFILE: &str = "measured";

/// Programs for arm64 Linux.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The runner: one static file.
    pub(crate) vtick: PathBuf,
    /// The first process of the emulated host.
    pub(crate) agent: PathBuf,
}

/// The workspace, wherever the command was given.
pub(crate) fn workspace() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    own.and_then(|own| own.parent().map(Path::to_owned)).unwrap_or_else(|| PathBuf::from("."))
}

/// Where cargo puts what it builds for this machine.
pub(crate) fn target() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let chosen = chosen.unwrap_or_else(|| workspace().join("target"));
    std::path::absolute(&chosen).unwrap_or(chosen)
}

/// A folder of its own, because another compiler writes there.
fn cross() -> PathBuf {
    target().join("cross")
}

/// Builds the guest, and checks that KVM will be able to emulate its MMIO.
pub(crate) fn guest(toolchain: &Toolchain) -> Result<PathBuf> {
    build(toolchain, "Building the guest", GUEST, |cargo| cargo.args(["--package", "vtick-guest"]))?;
    let guest = cross().join(GUEST).join(PROFILE).join("vtick-guest");
    inspect(toolchain, &guest)?;
    Ok(guest)
}

/// Builds the programs, around a guest that is built first.
pub(crate) fn programs(toolchain: &Toolchain) -> Result<Programs> {
    let guest = guest(toolchain)?;
    build(toolchain, "Building the runner", toolchain.runner(), |cargo| {
        cargo.args(["--package", "vtick", "--bin", "vtick", "--package", "vtick-agent", "--bin", "vtick-agent"]);
        cargo.env("VTICK_GUEST", &guest)
    })?;
    let folder = cross().join(toolchain.runner()).join(PROFILE);
    Ok(Programs { vtick: folder.join("vtick"), agent: folder.join("vtick-agent") })
}

/// The programs in a folder, where somebody has built them before.
pub(crate) fn programs_in(folder: &Path) -> Result<Programs> {
    let program = |name: &str| {
        let path = folder.join(name);
        if path.is_file() { Ok(path) } else { bail!("--programs {}: there is no {name}", folder.display()) }
    };
    Ok(Programs { vtick: program("vtick")?, agent: program("vtick-agent")? })
}

/// Builds the first process of the demonstration's guest.
pub(crate) fn init(toolchain: &Toolchain) -> Result<PathBuf> {
    build(toolchain, "Building the guest's first process", toolchain.runner(), |cargo| {
        cargo.args(["--package", "vtick-demo"])
    })?;
    Ok(cross().join(toolchain.runner()).join(PROFILE).join("vtick-demo"))
}

/// Lints what only the cross compiler sees: the guest, and the code for arm64 Linux. What it finds it prints; whether
/// all was well.
pub(crate) fn lint(toolchain: &Toolchain) -> Result<bool> {
    let guest = guest(toolchain)?;
    let linux = [
        "vtick",
        "vtick-agent",
        "vtick-contract",
        "vtick-core",
        "vtick-demo",
        "vtick-explore",
        "vtick-frame",
        "vtick-gic",
        "vtick-kernel-image",
        "vtick-latency",
        "vtick-machine",
        "vtick-report",
        "vtick-shell",
        "vtick-trace",
    ];
    let mut clean = true;
    for (target, packages) in [(GUEST, &["vtick-guest", "vtick-abi"][..]), (toolchain.runner(), &linux)] {
        let mut clippy = toolchain.clippy();
        clippy.args(["--quiet", "--target", target, "--profile", PROFILE, "--target-dir"]).arg(cross());
        clippy.args(packages.iter().flat_map(|package| ["--package", package]));
        clippy.current_dir(workspace()).env("VTICK_GUEST", &guest);
        let captured = capture(&mut clippy, Some(&Step::new(format!("Linting for {target}"))))?;
        if !captured.status.success() {
            eprintln!("{}", captured.said.join("\n"));
            clean = false;
        }
    }
    Ok(clean)
}

/// Builds the runner for this machine, which knows the command line and can check it anywhere.
pub(crate) fn vtick_of_this_machine() -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo
        .args(["build", "--package", "vtick", "--bin", "vtick", "--target-dir"])
        .arg(target())
        .current_dir(workspace());
    compile(&mut cargo, "Building vtick for this machine")?;
    Ok(target().join("debug/vtick"))
}

/// Builds the runner as it is given away: what it says of source files is the same wherever it is built. `into`: a folder
/// for what is compiled; `places`: what this machine's folders are called in it.
pub(crate) fn release(toolchain: &Toolchain, into: &Path, places: &[(PathBuf, String)]) -> Result<PathBuf> {
    let build = |what: &str, target: &str, package: &str, guest: Option<&Path>| {
        let mut cargo = toolchain.cargo_for_release(target, places);
        cargo.args([
            "build",
            "--locked",
            "--profile",
            PROFILE,
            "--target",
            target,
            "--package",
            package,
            "--bin",
            package,
        ]);
        cargo.arg("--target-dir").arg(into).current_dir(workspace());
        cargo.envs(guest.map(|guest| ("VTICK_GUEST", guest)));
        compile(&mut cargo, what).map(|()| into.join(target).join(PROFILE).join(package))
    };
    let guest = build("Building the guest for release", GUEST, "vtick-guest", None)?;
    inspect(toolchain, &guest)?;
    build("Building the runner for release", toolchain.runner(), "vtick", Some(&guest))
}

fn build(
    toolchain: &Toolchain,
    what: &str,
    target: &str,
    which: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<()> {
    let mut cargo = toolchain.cargo();
    cargo
        .args(["build", "--profile", PROFILE, "--target", target, "--target-dir"])
        .arg(cross())
        .current_dir(workspace());
    which(&mut cargo);
    compile(&mut cargo, what)
}

fn compile(cargo: &mut Command, what: &str) -> Result<()> {
    let captured = capture(cargo, Some(&Step::new(what)))?;
    if !captured.status.success() {
        bail!(failure_in_full(cargo, &captured));
    }
    Ok(())
}

fn inspect(toolchain: &Toolchain, guest: &Path) -> Result<()> {
    let disassembly = run(
        Command::new(toolchain.tool(Tool::Objdump)?).args(["-d", "--no-show-raw-insn", "--demangle"]).arg(guest),
        None,
    )?;
    let findings = scan::scan(&disassembly).map_err(anyhow::Error::msg)?;
    if let Some(first) = findings.first() {
        let others = if findings.len() > 1 { format!(" (and {} more)", findings.len() - 1) } else { String::new() };
        bail!("the guest's {first}{others}");
    }
    if progress::verbose() {
        let size = run(Command::new(toolchain.tool(Tool::Size)?).arg(guest), None)?;
        eprint!("{size}");
    }
    Ok(())
}

/// Shows the guest to a person, with one of LLVM's tools.
pub(crate) fn show_guest(toolchain: &Toolchain, tool: &str, arguments: &[String]) -> Result<i32> {
    let (tool, usual) = match tool {
        "objdump" => (Tool::Objdump, &["-d", "--demangle"][..]),
        "size" => (Tool::Size, &["-A"][..]),
        "nm" => (Tool::Nm, &["--demangle", "--numeric-sort"][..]),
        other => bail!("`cargo xtask guest {other}`: the tools are objdump, size and nm"),
    };
    let guest = guest(toolchain)?;
    let mut command = Command::new(toolchain.tool(tool)?);
    if arguments.is_empty() {
        command.args(usual);
    }
    let status = crate::process::run_in_view(command.args(arguments).arg(&guest))?;
    Ok(status.code().unwrap_or(1))
}

/// Copies the runner to where it was asked for, or says where it is.
pub(crate) fn deliver(programs: &Programs, to: Option<&Path>) -> Result<()> {
    let Some(to) = to else {
        return say(format!("{}\n", programs.vtick.display()));
    };
    check_writable("--output", to).map_err(anyhow::Error::msg)?;
    fs::copy(&programs.vtick, to).with_context(|| format!("cannot copy the runner to {}", to.display()))?;
    Ok(())
}
