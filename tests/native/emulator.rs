//! Runs programs of an arm64 userland on an amd64 machine: QEMU's user emulation does, but for the compiler and the linker.
//!
//! Debian has the same compiler for amd64. Where its tree is at `/amd64/root`, that runs in the place of the arm64 one and
//! writes the same arm64 code some ten times as fast. A procedural macro is code that the compiler itself loads: it is
//! compiled for both machines, and the amd64 one is found below `amd64` beside where cargo wanted the arm64 one.
//!
//! The kernel starts this program for each arm64 program (binfmt_misc, flags PF): arguments are the path of the arm64
//! program, the name it was called by, and its own arguments.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// QEMU's user emulation, a static program.
const QEMU: &str = "/amd64/qemu";
/// Debian's packages for amd64, unpacked.
const TREE: &str = "/amd64/root";
/// What the arm64 compiler compiles for when no target is named.
const OWN: &str = "aarch64-unknown-linux-gnu";

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(program), Some(called)) = (arguments.next(), arguments.next()) else {
        eprintln!("emulator: the kernel starts this program, by binfmt_misc");
        exit(127);
    };
    let program = PathBuf::from(program);
    let arguments: Vec<String> = match arguments.map(|one| one.into_string()).collect::<Result<_, _>>() {
        Ok(arguments) => arguments,
        Err(_) => return, // no program here has such arguments
    };
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let linker = Path::new(TREE).join("usr/bin").join(&name);
    let error = if name == "rustc" && Path::new(TREE).exists() && Compilation::is_one(&arguments) {
        Compilation::new(&program, arguments).run()
    } else if name == "aarch64-linux-gnu-ld.bfd" && linker.exists() {
        Command::new(linker).arg0(called).args(without_plugin(&arguments)).exec()
    } else {
        Command::new(QEMU).arg("-0").arg(called).arg(&program).args(arguments).exec()
    };
    eprintln!("emulator: {}: {error}", program.display());
    exit(127);
}

/// The arguments of a linker without gcc's plugin for link-time optimisation, which is arm64 code. No object needs it.
fn without_plugin(arguments: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-plugin" => drop(arguments.next()),
            argument if argument.starts_with("-plugin-opt=") => {}
            argument => kept.push(argument.to_owned()),
        }
    }
    kept
}

/// One call of the compiler.
struct Compilation {
    /// Where the compiler of that call has its libraries.
    sysroot: PathBuf,
    arguments: Vec<String>,
}

impl Compilation {
    /// Whether code is to be compiled. Questions about the compiler are answered by the arm64 one.
    fn is_one(arguments: &[String]) -> bool {
        arguments.iter().any(|one| one == "--crate-name") && !arguments.iter().any(|one| one.starts_with("--print"))
    }

    fn new(program: &Path, arguments: Vec<String>) -> Self {
        let sysroot = program.parent().and_then(Path::parent).unwrap_or(Path::new("/usr")).to_owned();
        Self { sysroot, arguments }
    }

    /// The values of an option that is written as `name value`.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.arguments.windows(2).filter(move |pair| pair[0] == name).map(|pair| pair[1].as_str())
    }

    fn run(self) -> std::io::Error {
        let for_own = !self.arguments.iter().any(|one| one.starts_with("--target"));
        let out = self.values("--out-dir").next().map(PathBuf::from);
        if for_own && let Some(out) = &out {
            if let Err(error) = self.note(out) {
                return error;
            }
            // Macros are needed by whatever comes next.
            if self.values("--crate-type").any(|kind| kind == "proc-macro") && !compile_for_amd64(out, &self.stem()) {
                exit(1);
            }
        }
        let mut command = compiler();
        command.arg("--sysroot").arg(&self.sysroot);
        let of_cargo = self.values("-C").any(|one| one.starts_with("metadata="));
        if for_own {
            command.args(["--target", OWN]);
        }
        // What is compiled for the userland is to be read by the arm64 tools, too, which want the arm64 macros.
        let both = for_own && of_cargo;
        if both {
            command.arg("-Zdual-proc-macros").env("RUSTC_BOOTSTRAP", "1");
        }
        for argument in &self.arguments {
            let macros = macros(argument);
            if macros.is_none() || both {
                command.arg(argument);
            }
            match macros {
                Some((name, library)) if both => drop(command.arg("--extern").arg(extern_amd64(name, library))),
                Some((name, library)) => drop(command.arg(extern_amd64(name, library))),
                None => {}
            }
        }
        // Macros that a crate's own dependencies need.
        for folder in self.values("-L").filter_map(|one| one.strip_prefix("dependency=")) {
            command.arg("-L").arg(format!("dependency={folder}/amd64"));
        }
        command.exec()
    }

    /// What cargo calls the files of this crate.
    fn stem(&self) -> String {
        let name = self.values("--crate-name").next().unwrap_or_default();
        let suffix = self.values("-C").find_map(|one| one.strip_prefix("extra-filename=")).unwrap_or_default();
        format!("{name}{suffix}")
    }

    /// Writes down how this crate is compiled: whether a macro will want it for amd64 is not known yet.
    fn note(&self, out: &Path) -> std::io::Result<()> {
        let mut text = Vec::new();
        let mut add = |bytes: &[u8]| text.extend([bytes, b"\0"].concat());
        add(std::env::current_dir()?.as_os_str().as_bytes());
        add(self.arguments.len().to_string().as_bytes());
        self.arguments.iter().for_each(|one| add(one.as_bytes()));
        for (name, value) in std::env::vars_os() {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        fs::create_dir_all(out.join("amd64"))?;
        fs::write(out.join("amd64").join(self.stem()), text)
    }
}

/// The compiler for amd64.
fn compiler() -> Command {
    let mut command = Command::new(format!("{TREE}/usr/bin/rustc"));
    command.env("LD_LIBRARY_PATH", format!("{TREE}/usr/lib/x86_64-linux-gnu"));
    command
}

/// An argument that names a macro's library: `NAME=....so`.
fn macros(argument: &str) -> Option<(&str, &str)> {
    argument.split_once('=').filter(|(name, library)| library.ends_with(".so") && !name.starts_with('-'))
}

/// The same library for amd64.
fn extern_amd64(name: &str, library: &str) -> String {
    let path = Path::new(library);
    format!("{name}={}", path.with_file_name("amd64").join(path.file_name().unwrap_or_default()).display())
}

/// Compiles for amd64 what was noted of this crate, and what it needs first. Whether it is there now.
fn compile_for_amd64(out: &Path, stem: &str) -> bool {
    let folder = out.join("amd64");
    // Two macros may want the same crate at once.
    let lock = File::create(folder.join(".lock"));
    let locked = lock.and_then(|file| file.lock().map(|()| file));
    locked.is_ok() && compile_locked(out, stem, &mut BTreeSet::new())
}

fn compile_locked(out: &Path, stem: &str, done: &mut BTreeSet<String>) -> bool {
    let folder = out.join("amd64");
    let there = |ending: &str| folder.join(format!("lib{stem}.{ending}")).exists();
    if !done.insert(stem.to_owned()) || there("rlib") || there("so") {
        return true;
    }
    let Ok(noted) = fs::read(folder.join(stem)) else {
        eprintln!("emulator: nothing is noted of {stem}");
        return false;
    };
    let mut words = noted.split(|byte| *byte == 0).map(|word| std::ffi::OsString::from_vec(word.to_vec()));
    let mut word = || words.next().unwrap_or_default();
    let directory = word();
    let count = word().to_string_lossy().parse().unwrap_or(0);
    let arguments: Vec<String> = (0..count).map(|_| word().to_string_lossy().into_owned()).collect();
    let mut command = compiler();
    command.current_dir(directory).env_clear();
    loop {
        let (name, value) = (word(), word());
        if name.is_empty() {
            break;
        }
        command.env(name, value);
    }
    command.env("LD_LIBRARY_PATH", format!("{TREE}/usr/lib/x86_64-linux-gnu"));
    // gcc takes the first linker and assembler that it finds there.
    command.env("PATH", format!("{TREE}/usr/bin"));
    command.args(["--sysroot", &format!("{TREE}/usr"), "-C", &format!("linker={TREE}/usr/bin/gcc")]);
    let mut is_folder = false;
    for argument in arguments {
        let needs = argument.split_once('=').filter(|(name, file)| {
            !name.starts_with('-') && [".rlib", ".rmeta", ".so"].iter().any(|ending| file.ends_with(ending))
        });
        let argument = match (needs, &argument) {
            (Some((name, file)), _) => {
                let file = Path::new(file);
                let stem = file.file_stem().unwrap_or_default().to_string_lossy().trim_start_matches("lib").to_owned();
                if !compile_locked(out, &stem, done) {
                    return false;
                }
                let ending = if file.extension().is_some_and(|ending| ending == "so") { "so" } else { "rlib" };
                format!("{name}={}", folder.join(format!("lib{stem}.{ending}")).display())
            }
            (None, argument) if argument.starts_with("dependency=") => format!("dependency={}", folder.display()),
            (None, _) if is_folder => folder.display().to_string(),
            (None, argument) if argument.starts_with("--json") || argument.starts_with("--error-format") => continue,
            (None, argument) => argument.clone(),
        };
        is_folder = argument == "--out-dir";
        command.arg(argument);
    }
    command.status().is_ok_and(|status| status.success())
}
