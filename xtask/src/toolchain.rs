//! A compiler for the guest and for the static runner.
//!
//! Where the user's own toolchain has both targets (rustup brings them: rust-toolchain.toml), that is used. Otherwise
//! Debian's archive has a compiler with its standard library for arm64, a linker and the C library's start files. They
//! are unpacked into the cache; `core` for the guest is compiled once and put beside them, so that from then on this is
//! a toolchain like any other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail};
use cargo_binutils::Tool;

use crate::apt::Apt;
use crate::cache::{Cache, State};
use crate::deb;
use crate::process::{Interrupted, capture, failure_in_full, run};
use crate::progress::{self, Step};

/// What the guest is compiled for: no SIMD registers, which the compiler would copy through. Their first use after each
/// entry traps to the hypervisor, and stores of them to a device cannot be emulated.
pub(crate) const GUEST: &str = "aarch64-unknown-none-softfloat";
/// What the runner is compiled for by a toolchain from rustup, which brings a C library for it.
const RUNNER_MUSL: &str = "aarch64-unknown-linux-musl";
/// What it is compiled for by Debian's.
const RUNNER_GNU: &str = "aarch64-unknown-linux-gnu";

/// Where the name of the toolchain is kept that was made last.
const CURRENT: &str = "toolchain/aarch64-unknown-none-softfloat.current";

/// A static program at a fixed address: it needs nothing of the machine it is copied to, and runs the same
/// instructions there every time.
const STATIC: &str = "-Ctarget-feature=+crt-static,-outline-atomics -Crelocation-model=static";

/// Whether the runner's target is this machine's own.
const ON_ARM64_LINUX: bool = cfg!(all(target_arch = "aarch64", target_os = "linux"));

/// What is taken of LLVM's programs; `ld.lld` is a link to `lld`.
const USED: [&str; 7] = ["lld", "ld.lld", "llvm-objdump", "llvm-objcopy", "llvm-nm", "llvm-size", "llvm-readobj"];

/// A compiler that has both targets.
#[derive(Clone, Debug)]
pub(crate) enum Toolchain {
    /// The one that runs this program.
    OfUser,
    /// Debian's, unpacked in this folder.
    Unpacked(PathBuf),
}

impl Toolchain {
    /// Finds or makes one.
    pub(crate) fn obtain(cache: &Cache, refresh: bool) -> Result<Self> {
        match Self::there(cache)? {
            Some(Self::OfUser) => return Ok(Self::OfUser),
            Some(unpacked) if !refresh => return Ok(unpacked),
            _ => {}
        }
        let entry = from_debian(cache, refresh).map_err(|error| {
            if error.is::<Interrupted>() {
                return error;
            }
            error.context(format!(
                "this toolchain lacks a cross target (`rustup target add {GUEST} {RUNNER_MUSL}` brings both), and Debian's archive could not help out"
            ))
        })?;
        cache.write(CURRENT, &entry)?;
        Ok(Self::Unpacked(cache.path(&entry)))
    }

    /// The one that is there: the user's own, or the one that was made last, so that a second run does not ask the
    /// network.
    pub(crate) fn there(cache: &Cache) -> Result<Option<Self>> {
        if user_has(GUEST)? && user_has(RUNNER_MUSL)? {
            return Ok(Some(Self::OfUser));
        }
        let Ok(entry) = fs::read_to_string(cache.path(CURRENT)) else { return Ok(None) };
        let intact = cache.state(&entry)? == State::Intact;
        Ok(intact.then(|| Self::Unpacked(cache.path(&entry))))
    }

    /// What the runner is compiled for.
    pub(crate) fn runner(&self) -> &'static str {
        match self {
            Self::OfUser => RUNNER_MUSL,
            Self::Unpacked(_) => RUNNER_GNU,
        }
    }

    /// The user's cargo, set up to compile for both targets. Settings are the same in every run: a changed one would
    /// compile everything anew.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = cargo();
        for inherited in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(inherited);
        }
        match self {
            Self::OfUser => {
                // The target brings its C library and start files, so the linker that comes with rustc is enough.
                cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld");
                cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", self.runner_flags().join(" "));
            }
            Self::Unpacked(folder) => {
                cargo.env("RUSTC", folder.join("bin/rustc"));
                cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER", folder.join("bin/ld.lld"));
                if ON_ARM64_LINUX {
                    // The flags are a list: a path may have a space in it.
                    let flags = serde_json::Value::from(self.runner_flags());
                    cargo.args(["--config", &format!("target.{RUNNER_GNU}.rustflags={flags}")]);
                } else {
                    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", linker_in(folder));
                    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", self.runner_flags().join(" "));
                }
            }
        }
        cargo
    }

    /// The same cargo for what is given away: in what it compiles for `target`, `places` of this machine have other names.
    pub(crate) fn cargo_for_release(&self, target: &str, places: &[(PathBuf, String)]) -> Command {
        let mut flags = if target == self.runner() { self.runner_flags() } else { Vec::new() };
        let named = |(place, name): &(PathBuf, String)| format!("--remap-path-prefix={}={name}", place.display());
        flags.extend(places.iter().map(named));
        let mut cargo = self.cargo();
        // These count instead of all others: no setting of this machine gets in.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        cargo
    }

    /// How the runner is compiled and linked.
    fn runner_flags(&self) -> Vec<String> {
        let mut flags: Vec<_> = STATIC.split(' ').map(str::to_owned).collect();
        match self {
            Self::OfUser => flags.push("-Clink-self-contained=yes".to_owned()),
            // Here the runner's target is this machine's own. A linker that is set for the target would be that of build
            // scripts and macros, too, which are no static programs; flags are not.
            Self::Unpacked(folder) if ON_ARM64_LINUX => flags.push(format!("-Clinker={}", linker_in(folder).display())),
            Self::Unpacked(_) => {}
        }
        flags
    }

    /// The compiler, to be asked about itself.
    pub(crate) fn rustc(&self) -> PathBuf {
        match self {
            Self::OfUser => rustc(),
            Self::Unpacked(folder) => folder.join("bin/rustc"),
        }
    }

    /// The C library that is linked into the runner, where it is not one that came with the compiler.
    pub(crate) fn c_library(&self) -> Option<PathBuf> {
        match self {
            Self::OfUser => None,
            Self::Unpacked(folder) => Some(folder.join("usr/lib/aarch64-linux-gnu/libc.a")),
        }
    }

    /// The same cargo as a linter; the arguments for what to look at are still to be added.
    pub(crate) fn clippy(&self) -> Command {
        let mut cargo = self.cargo();
        match self {
            Self::OfUser => {
                cargo.arg("clippy").env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
            }
            Self::Unpacked(folder) => {
                // What `cargo clippy` does, which belongs to another compiler here.
                cargo.arg("check").env("RUSTC_WORKSPACE_WRAPPER", folder.join("bin/clippy-driver"));
                cargo.env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
            }
        }
        cargo
    }

    /// One of LLVM's tools: the unpacked toolchain's, rustup's llvm-tools, or one that is installed.
    pub(crate) fn tool(&self, tool: Tool) -> Result<PathBuf> {
        let unpacked = match self {
            Self::OfUser => None,
            Self::Unpacked(folder) => Some(folder.join("bin").join(tool.exe())),
        };
        let candidates = [unpacked, tool.path().ok()];
        if let Some(found) = candidates.into_iter().flatten().find(|path| path.exists()) {
            return Ok(found);
        }
        let installed = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&installed).map(|folder| folder.join(tool.exe())).find(|path| path.exists());
        found.with_context(|| format!("{} is missing: `rustup component add llvm-tools` brings it", tool.exe()))
    }
}

/// What links the runner, in an unpacked toolchain.
fn linker_in(folder: &Path) -> PathBuf {
    folder.join("bin/aarch64-linux-gnu-ld")
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` has set this for the program it runs, which is none of the compiler's business.
    cargo.env_remove("LD_LIBRARY_PATH");
    cargo
}

/// The compiler of that cargo.
pub(crate) fn rustc() -> PathBuf {
    let beside = std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
    let chosen = std::env::var_os("RUSTC").map(PathBuf::from);
    chosen.or(beside.filter(|path| path.exists())).unwrap_or_else(|| "rustc".into())
}

fn user_has(target: &str) -> Result<bool> {
    let captured = capture(Command::new(rustc()).args(["--print", "target-libdir", "--target", target]), None)?;
    let Ok(files) = fs::read_dir(captured.stdout.trim()) else { return Ok(false) };
    Ok(files.filter_map(Result::ok).any(|file| file.file_name().to_string_lossy().starts_with("libcore-")))
}

/// Makes the toolchain from Debian's packages, and gives the name of its entry in the cache.
fn from_debian(cache: &Cache, refresh: bool) -> Result<String> {
    let apt = Apt::of_this_machine(cache)?;
    if refresh {
        apt.refresh()?;
    }
    apt.with_indexes(|apt| {
        let packages = Packages::resolve(apt)?;
        // It holds `core` for the guest's target, so that is part of what it is.
        let entry = format!("toolchain/{}-{GUEST}", packages.version);
        cache.entry(&entry, |folder| packages.unpack(apt, folder))?;
        Ok(entry)
    })
}

/// The packages to unpack, as `name[:architecture]=version`.
struct Packages {
    version: String,
    llvm: String,
    libgcc: String,
    all: Vec<String>,
}

impl Packages {
    /// Everything follows from the newest `rustc-web`: its library names the LLVM it was built with.
    fn resolve(apt: &Apt) -> Result<Self> {
        let version = apt.field("rustc-web", "Version")?;
        let one = |package: &str, prefix: &str| -> Result<String> {
            let dependencies = apt.dependencies(package)?;
            let found = dependencies.into_iter().find(|name| name.starts_with(prefix));
            found.with_context(|| format!("Debian's package {package} does not depend on {prefix}*"))
        };
        let library = one(&format!("libstd-rust-web-dev={version}"), "libstd-rust-web-")?;
        let libllvm = one(&format!("{library}={version}"), "libllvm")?;
        let llvm = libllvm.trim_start_matches("libllvm").to_owned();
        // The C library for arm64 in the version of this machine's release, with the compiler's own part of it, whose
        // name changes with that release.
        let libgcc = one("libgcc-s1:arm64", "gcc-")?.trim_start_matches("gcc-").trim_end_matches("-base").to_owned();

        let mut all: Vec<_> = ["rustc-web", "libstd-rust-web-dev", &library, "rust-web-clippy", "rust-web-src"]
            .map(|name| format!("{name}={version}"))
            .into();
        if crate::apt::native_architecture()? != "arm64" {
            all.push(format!("libstd-rust-web-dev:arm64={version}"));
        }
        all.extend(["libc6-dev:arm64".to_owned(), format!("libgcc-{libgcc}-dev:arm64")]);
        let tools = [libllvm, format!("llvm-{llvm}"), format!("lld-{llvm}")];
        // Shared libraries that LLVM needs and this machine lacks. Where that can't be found out they may well be there.
        let missing = match apt.with_missing_dependencies(&tools) {
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                eprintln!("warning: which libraries {} lacks here is not known: {error:#}", tools[1]);
                Vec::new()
            }
            Ok(missing) => missing,
        };
        let is_new = |package: &String| !tools.iter().any(|tool| package.starts_with(&format!("{tool}=")));
        all.extend(missing.into_iter().filter(is_new));
        all.extend(tools);
        Ok(Self { version, llvm, libgcc, all })
    }

    fn unpack(&self, apt: &Apt, folder: &Path) -> Result<()> {
        let step = Step::essential(format!("Fetching the cross toolchain {}", self.version));
        let downloads = folder.join("download");
        let packages = Mutex::new(apt.download(&self.all, &downloads, &step)?);
        drop(step);
        let step = Step::essential("Unpacking it");
        let tools = format!("usr/lib/llvm-{}/bin/", self.llvm);
        let wanted = |path: &str| match path.strip_prefix(&tools) {
            Some(tool) => USED.contains(&tool),
            None if path.starts_with("usr/src/") => path.split('/').nth(3) == Some("library"),
            None => !path.starts_with("usr/share/") && !path.starts_with("usr/include/"),
        };
        let unpack = || -> Result<()> {
            loop {
                let next = packages.lock().map_err(|_| anyhow!("another package failed"))?.pop();
                let Some(package) = next else { return Ok(()) };
                step.detail(&package.file_name().unwrap_or_default().to_string_lossy());
                deb::unpack(&package, folder, wanted)?;
            }
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(unpack);
            unpack()?;
            other.join().unwrap_or_else(|_| bail!("unpacking failed"))
        })?;
        fs::remove_dir_all(downloads)?;
        self.write_programs(folder)?;
        drop(step);
        build_core(folder)
    }

    /// Programs that find their libraries beside them, wherever the cache is.
    fn write_programs(&self, folder: &Path) -> Result<()> {
        let native = format!("{}-linux-gnu", std::env::consts::ARCH);
        let llvm = &self.llvm;
        let bin = folder.join("bin");
        fs::create_dir_all(&bin)?;
        let program = |name: &str, line: &str| -> Result<()> {
            let script = format!("#!/bin/sh\nroot=${{0%/*}}/..\nLD_LIBRARY_PATH=$root/usr/lib/{native} exec {line}\n");
            fs::write(bin.join(name), script)?;
            Ok(fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755))?)
        };
        program("rustc", "\"$root/usr/bin/rustc\" \"$@\"")?;
        program("clippy-driver", "\"$root/usr/bin/clippy-driver\" \"$@\"")?;
        let lld = format!("\"$root/usr/lib/llvm-{llvm}/bin/ld.lld\"");
        program("ld.lld", &format!("{lld} \"$@\""))?;
        for tool in [Tool::Objdump, Tool::Objcopy, Tool::Nm, Tool::Size, Tool::Readobj] {
            let name = tool.exe();
            program(&name, &format!("\"$root/usr/lib/llvm-{llvm}/bin/{name}\" \"$@\""))?;
        }
        // What a C compiler adds when it links a static program: start files around the objects, libraries behind them.
        // rustc tells by the name's ending that it speaks to a linker.
        let (lib, gcc) =
            ("$root/usr/lib/aarch64-linux-gnu", format!("$root/usr/lib/gcc/aarch64-linux-gnu/{}", self.libgcc));
        program(
            "aarch64-linux-gnu-ld",
            &format!(
                "{lld} \"{lib}/crt1.o\" \"{lib}/crti.o\" \"{gcc}/crtbeginT.o\" -L\"{lib}\" -L\"{gcc}\" \"$@\" \
                 --start-group -lgcc -lgcc_eh -lc --end-group \"{gcc}/crtend.o\" \"{lib}/crtn.o\""
            ),
        )
    }
}

/// Compiles `core` for the guest and puts it where the compiler looks for it.
fn build_core(folder: &Path) -> Result<()> {
    let step = Step::essential("Compiling core for the guest");
    let package = folder.join("core");
    fs::create_dir_all(package.join("src"))?;
    let manifest = "[package]\nname = \"core-of-guest\"\nedition = \"2024\"\n[workspace]\n[profile.release]\npanic = \"abort\"\ncodegen-units = 1\n";
    fs::write(package.join("Cargo.toml"), manifest)?;
    fs::write(package.join("src/lib.rs"), "#![no_std]\n")?;
    let mut cargo = Toolchain::Unpacked(folder.to_owned()).cargo();
    cargo.args(["build", "--release", "-Zbuild-std=core", "--target", GUEST, "--target-dir", "target"]);
    cargo.current_dir(&package).env("RUSTC_BOOTSTRAP", "1");
    // With bitcode in it, as in the libraries that rustup brings: the guest is optimised as a whole.
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_RUSTFLAGS", "-Cembed-bitcode=yes");
    let captured = capture(&mut cargo, Some(&step))?;
    if !captured.status.success() {
        bail!(failure_in_full(&cargo, &captured));
    }
    let sysroot =
        run(Command::new(folder.join("bin/rustc")).args(["--print", "target-libdir", "--target", GUEST]), None)?;
    let libraries = PathBuf::from(sysroot.trim());
    fs::create_dir_all(&libraries)?;
    for file in fs::read_dir(package.join("target").join(GUEST).join("release/deps"))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.contains("core_of_guest") {
            fs::copy(file.path(), libraries.join(name))?;
        }
    }
    fs::remove_dir_all(package)?;
    fs::remove_dir_all(folder.join("usr/src"))?;
    if progress::verbose() {
        eprintln!("core for {GUEST} is in {}", libraries.display());
    }
    Ok(())
}
