//! The commands that run `vtick`: everything built, fetched and checked, then run natively or in the emulated host.

mod bisect;
mod boot;
mod check;
mod explore;
mod guest;
mod mutate;
mod programs;
mod run;
mod survive;
mod view;

use std::process::Command;

use anyhow::{Context, Result, bail};
use vtick_frame::{Exit, Input, Job};

pub(crate) use self::bisect::bisect;
pub(crate) use self::boot::boot;
pub(crate) use self::check::{bench, test};
pub(crate) use self::explore::explore;
pub(crate) use self::mutate::mutate;
pub(crate) use self::run::run;
pub(crate) use self::view::{export, selftest, view};
use crate::artifacts::{self, Programs};
use crate::cache::Cache;
use crate::cli::{Host, Options};
use crate::emulated::{Files, Run, SETTLE, Saving};
use crate::kernel::{self, Kernel};
use crate::process::{capture, run_in_view};
use crate::say::say;
use crate::toolchain::Toolchain;
use crate::{cli, coverage, native, qemu};

/// Status of a run that could not take place.
pub(crate) const CANNOT_RUN: i32 = 2;
/// Status of a run in which something that was looked for is wrong.
pub(crate) const WRONG: i32 = 1;
/// Status of a run that left nothing to say.
const NOTHING_SAID: i32 = 4;

/// The status of two runs together: that something is wrong counts most, then that a run could not take place; a run that
/// had nothing to say takes nothing from one that had.
pub(crate) fn together(one: i32, other: i32) -> i32 {
    let weight = |status: i32| match status {
        WRONG => i32::MAX,
        0 => 1,
        NOTHING_SAID => 0,
        other => other.saturating_abs(),
    };
    if weight(one) >= weight(other) { one } else { other }
}

/// The runner's commands that are commands here too.
pub(crate) const COMMANDS: [&str; 8] = ["test", "bench", "explore", "boot", "export", "selftest", "compare", "report"];

/// What the runner itself says of one of its commands: the arguments that are handed on.
pub(crate) fn help(command: &str) -> Result<i32> {
    say(format!("\nFurther arguments of {command}:\n\n"))?;
    let status = run_in_view(Command::new(artifacts::vtick_of_this_machine()?).args([command, "--help"]))?;
    Ok(status.code().unwrap_or(CANNOT_RUN))
}

/// Asks the runner, built for this machine, what it thinks of its arguments.
fn plan(command: &str, arguments: &[String]) -> Result<Option<i32>> {
    let vtick = artifacts::vtick_of_this_machine()?;
    let captured = capture(Command::new(vtick).args([command, "--plan"]).args(arguments), None)?;
    match captured.status.code() {
        Some(0) => Ok(None),
        // It has answered: --list, --explain and the like need no host.
        Some(3) => {
            say(&captured.stdout)?;
            Ok(Some(0))
        }
        _ => {
            let said = captured.said.join("\n");
            eprintln!("{said}");
            let unknown = arguments.iter().find(|argument| said.contains(&format!("unexpected argument '{argument}'")));
            if let Some(name) = unknown.and_then(|argument| cli::near(command, argument)) {
                eprintln!("tip: `cargo xtask {command}` has an option {name}");
            }
            Ok(Some(CANNOT_RUN))
        }
    }
}

/// Refuses what chooses a kernel or a machine other than the one that is there.
fn check_target(options: &Options) -> Result<()> {
    if !options.kernels.is_empty() || options.host != Host::Auto || options.machine != qemu::Machine::default() {
        bail!("--target runs on the kernel and the machine that are there: options that choose others do not apply");
    }
    Ok(())
}

fn runs_natively(options: &Options) -> Result<bool> {
    let native = match options.host {
        Host::Native => true,
        Host::Emulated => false,
        Host::Auto => native::possible() && options.kernels.is_empty() && options.machine == qemu::Machine::default(),
    };
    if native {
        native::check()?;
        if !options.kernels.is_empty() || options.machine != qemu::Machine::default() {
            bail!(
                "--host native runs on the kernel and the machine that are here: options that choose others do not apply"
            );
        }
    }
    Ok(native)
}

/// The kernels and the programs. First what can be refused, then what takes long.
fn prepare(cache: &Cache, options: &Options) -> Result<(Vec<Kernel>, Programs)> {
    let kernels = wanted(options).into_iter().map(|wanted| kernel::obtain(cache, &wanted, options.refresh));
    let kernels = kernels.collect::<Result<Vec<_>>>()?;
    let programs = programs(cache, options)?;
    kernels.iter().try_for_each(|kernel| watch(cache, options, &programs, kernel))?;
    Ok((kernels, programs))
}

/// The kernels that are asked for.
fn wanted(options: &Options) -> Vec<String> {
    if options.kernels.is_empty() { vec![kernel::DEFAULT.to_owned()] } else { options.kernels.clone() }
}

/// What runs in an emulated host, built or in the folder that was named; and QEMU.
fn programs(cache: &Cache, options: &Options) -> Result<Programs> {
    qemu::ensure_installed()?;
    qemu::check_cpu(&options.machine)?;
    match &options.programs {
        None => artifacts::programs(&Toolchain::obtain(cache, options.refresh)?),
        Some(folder) => artifacts::programs_in(folder),
    }
}

/// Prepares for logging which code of the kernel runs, if that is wanted.
fn watch(cache: &Cache, options: &Options, programs: &Programs, kernel: &Kernel) -> Result<()> {
    coverage::watch(cache, kernel, || kallsyms(options, programs, kernel))
}

/// The symbols of a kernel, from a boot of it that does nothing else.
fn kallsyms(options: &Options, programs: &Programs, kernel: &Kernel) -> Result<Vec<u8>> {
    const KALLSYMS: &str = "/proc/kallsyms";
    let mut run = plain(options, programs, kernel, ["/bin/vtick", "--version"].map(str::to_owned).into());
    run.mute = true;
    run.job.collect = vec![KALLSYMS.to_owned()];
    let (_, files) = emulate(&run)?;
    let kallsyms = files.into_iter().find(|(path, _)| path == KALLSYMS);
    Ok(kallsyms.with_context(|| format!("{} has no {KALLSYMS}: it needs CONFIG_KALLSYMS=y", kernel.name))?.1)
}

/// A run of `argv` in the emulated host, with nothing besides; callers add what it needs.
fn plain<'a>(options: &Options, programs: &Programs, kernel: &'a Kernel, argv: Vec<String>) -> Run<'a> {
    // The same environment everywhere: what a shell here happens to export would move the stack of what is measured.
    let env = [("PATH", "/bin"), ("HOME", "/tmp"), ("TERM", "dumb")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-+".contains(c) { c } else { '_' };
    let name: String = kernel.name.chars().map(plain).collect();
    Run {
        kernel,
        machine: options.machine.clone(),
        agent: programs.agent.clone(),
        programs: vec![programs.vtick.clone()],
        job: Job { argv, env, collect: Vec::new(), input: Input::None, settle: SETTLE },
        notes: None,
        follower: None,
        mute: false,
        hush: false,
        files: Vec::new(),
        silence: options.silence,
        silent_work: None,
        timeout: options.timeout,
        timeout_option: "--timeout",
        log: artifacts::target().join("kernel-log").join(format!("{name}.log")),
        code_log: coverage::log_of(kernel, &options.machine),
        saving: Saving { kept: !options.fresh, required: false },
        patches: Vec::new(),
    }
}

/// Does it: the status of the command as a shell has it, and the files it left.
fn emulate(run: &Run) -> Result<(i32, Files)> {
    let outcome = run.run()?;
    let status = match outcome.exit {
        Exit::Code(code) => code.into(),
        Exit::Signal(signal) => {
            eprintln!("error: in the emulated host, {} was {}", run.job.argv.join(" "), outcome.exit);
            128 + i32::from(signal)
        }
    };
    Ok((status, outcome.files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_statuses_that_something_is_wrong_counts_most_and_that_nothing_was_said_least() {
        for (one, other, due) in
            [(0, 1, 1), (1, 2, 1), (1, 139, 1), (0, 2, 2), (4, 2, 2), (4, 0, 0), (4, 4, 4), (0, 0, 0)]
        {
            assert_eq!((together(one, other), together(other, one)), (due, due), "{one} and {other}");
        }
    }
}
