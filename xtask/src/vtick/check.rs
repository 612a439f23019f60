//! `test` and `bench`: the same command on every kernel that is asked for, and the records it leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use vtick_shell::check_writable;

use super::survive::{RECORD, survive};
use super::view::saved;
use super::{CANNOT_RUN, check_target, plan, programs, runs_natively, together, wanted, watch};
use crate::cache::Cache;
use crate::cli::Options;
use crate::emulated::Files;
use crate::process::{Interrupted, run_in_view};
use crate::say::say;
use crate::target::{Target, Work};
use crate::toolchain::{Toolchain, cargo};
use crate::{artifacts, kernel, native};

/// Where it writes it on another machine: in the folder in which it runs.
const RECORD_THERE: &str = "record.json";

/// What `git bisect run` takes for "nothing can be said of this one, try another" (git-bisect(1)).
const SKIP: i32 = 125;

/// `cargo xtask test`.
pub(crate) fn test(cache: &Cache, options: &Options) -> Result<i32> {
    match &options.kernels[..] {
        [tree] if kernel::is_tree(tree) => of_tree(test_any(cache, options)),
        _ => test_any(cache, options),
    }
}

/// The status for a kernel's build tree, which is there to be bisected: 0 good, 1 bad, and one that blames no commit
/// whenever there is no verdict.
fn of_tree(done: Result<i32>) -> Result<i32> {
    match done {
        Ok(status @ (0 | 1)) => Ok(status),
        Ok(_) => Ok(SKIP),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            eprintln!("error: {error:#}");
            Ok(SKIP)
        }
    }
}

fn test_any(cache: &Cache, options: &Options) -> Result<i32> {
    if let Some(status) = refused("test", options)? {
        return Ok(status);
    }
    if !options.select() && options.programs.is_none() {
        let status = run_in_view(cargo().args(["test", "--workspace"]).current_dir(artifacts::workspace()))?;
        if !status.success() {
            return Ok(1);
        }
    }
    check("test", cache, options)
}

/// `cargo xtask bench`.
pub(crate) fn bench(cache: &Cache, options: &Options) -> Result<i32> {
    let mut options = options.clone();
    if let Some(name) = &options.save {
        if options.output.is_some() {
            bail!("--save and --output both say where the record goes: give one of them");
        }
        let place = saved(cache, name);
        fs::create_dir_all(place.parent().unwrap_or(Path::new(".")))?;
        options.output = Some(place);
    }
    match refused("bench", &options)? {
        Some(status) => Ok(status),
        None => check("bench", cache, &options),
    }
}

/// Whatever can be known to be wrong is said before the long work. `Some` is the status to end with.
fn refused(command: &str, options: &Options) -> Result<Option<i32>> {
    if command == "test" && options.save.is_some() {
        bail!("--save keeps measurements: it belongs to `cargo xtask bench`");
    }
    if !options.with.is_empty() || !options.fetch.is_empty() {
        bail!("--with and --fetch belong to `cargo xtask run`");
    }
    for output in outputs(options)? {
        check_writable("--output", &output).map_err(anyhow::Error::msg)?;
    }
    // Who names the programs has had the arguments looked at, or sees in the host what is wrong with them.
    if options.programs.is_some() { Ok(None) } else { plan(command, &options.forwarded) }
}

/// Runs `vtick COMMAND` with the forwarded arguments on every kernel that is asked for. Of several statuses see
/// [`together`].
fn check(command: &str, cache: &Cache, options: &Options) -> Result<i32> {
    if let Some(target) = &options.target {
        return check_there(target, command, cache, options);
    }
    let arguments = [&[command.to_owned()], &options.forwarded[..]].concat();
    if runs_natively(options)? {
        let programs = artifacts::programs(&Toolchain::obtain(cache, options.refresh)?)?;
        let output = options.output.iter().flat_map(|path| ["--output".to_owned(), path.display().to_string()]);
        return native::run(&programs.vtick, &arguments.iter().cloned().chain(output).collect::<Vec<_>>());
    }
    let (mut argv, carried) = arguments_in_host(command, options)?;
    let wanted = wanted(options);
    let several = wanted.len() > 1;
    // A kernel that cannot be had costs its own column, where there are others.
    let mut absent = Vec::new();
    let mut kernels = Vec::new();
    for name in &wanted {
        match kernel::obtain(cache, name, options.refresh) {
            Ok(kernel) => kernels.push((name, Some(kernel))),
            Err(error) if several && !error.is::<Interrupted>() => {
                kernels.push((name, None));
                absent.push(Absent::because(name, &error));
            }
            Err(error) => return Err(error),
        }
    }
    if kernels.iter().all(|(_, kernel)| kernel.is_none()) {
        bail!("none of the kernels can be had");
    }
    let programs = programs(cache, options)?;
    let scratch = tempfile::tempdir()?;
    let mut outputs = outputs(options)?;
    // What several runs come to is said by the runner once more, of all their records; where its words are for another
    // program, then alone.
    let form = form(&arguments);
    let in_one_piece = several && form == Some(KTAP);
    if several && outputs.is_empty() {
        outputs = (0..kernels.len()).map(|index| scratch.path().join(format!("{index}.json"))).collect();
    }
    if !outputs.is_empty() {
        argv.extend(["--output".to_owned(), RECORD.to_owned()]);
    }
    let mut worst = if absent.is_empty() { None } else { Some(CANNOT_RUN) };
    let mut records = Vec::new();
    for (index, (name, kernel)) in kernels.iter().enumerate() {
        let Some(kernel) = kernel else { continue };
        if several && form.is_none() {
            say(format!("== {}\n", kernel.name))?;
        }
        let watched = watch(cache, options, &programs, kernel);
        match watched.and_then(|()| survive(options, &programs, kernel, (&argv, &carried), in_one_piece)) {
            Ok((status, files)) => {
                worst = Some(worst.map_or(status, |worst| together(worst, status)));
                if let Some(output) = outputs.get(index)
                    && keep(&files, output, status)?
                {
                    if options.output.is_some() {
                        eprintln!("the record is in {}", output.display());
                    }
                    records.push(output);
                }
            }
            // The other kernels are still worth their answer; this one was none.
            Err(error) if !error.is::<Interrupted>() && several => {
                absent.push(Absent::because(name, &error));
                worst = Some(worst.map_or(CANNOT_RUN, |worst| together(worst, CANNOT_RUN)));
            }
            Err(error) => return Err(error),
        }
    }
    if several && !records.is_empty() && (form.is_none() || in_one_piece) {
        let mut report = Command::new(artifacts::vtick_of_this_machine()?);
        match in_one_piece {
            true => report.args(["report", "--as", KTAP]),
            false => report.args(["report", "--side-by-side"]).args(absent.iter().map(Absent::option)),
        };
        run_in_view(report.args(&records))?;
    }
    Ok(worst.unwrap_or(CANNOT_RUN))
}

/// The form that is told in one piece: of several kernels, too.
const KTAP: &str = "ktap";

/// In whose words the runner is to speak, if not in those for people.
fn form(arguments: &[String]) -> Option<&str> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.split_once('=') {
            Some(("--as", form)) => return Some(form),
            _ if argument == "--as" => return arguments.next().map(String::as_str),
            _ => {}
        }
    }
    None
}

/// The same on another machine.
fn check_there(target: &Target, command: &str, cache: &Cache, options: &Options) -> Result<i32> {
    check_target(options)?;
    if !programs::ship(&options.forwarded)?.1.is_empty() {
        bail!("--target carries no files of --program: copy them, and run vtick there");
    }
    let runner = artifacts::programs(&Toolchain::obtain(cache, options.refresh)?)?.vtick;
    let mut argv = vec!["vtick".to_owned(), command.to_owned()];
    argv.extend_from_slice(&options.forwarded);
    let fetch: Vec<_> = options.output.iter().map(|_| RECORD_THERE.to_owned()).collect();
    argv.extend(fetch.iter().flat_map(|record| ["--output".to_owned(), record.clone()]));
    let work = Work { programs: vec![runner], argv, fetch, limit: options.timeout };
    let (status, mut files) = target.run(work)?;
    if let (Some(output), Some((_, record))) = (&options.output, files.pop().filter(|(_, record)| !record.is_empty())) {
        fs::write(output, record).with_context(|| format!("cannot write {}", output.display()))?;
        eprintln!("the record is in {}", output.display());
    }
    Ok(status)
}

/// The runner's command line in the emulated host, and the files that it names.
pub(super) fn arguments_in_host(command: &str, options: &Options) -> Result<(Vec<String>, Files)> {
    let mut argv = ["/bin/vtick".to_owned(), command.to_owned()].to_vec();
    let (shipped, files) = programs::ship(&options.forwarded)?;
    argv.extend(shipped);
    if command == "test" {
        argv.push("--journal".to_owned());
    }
    Ok((argv, files))
}

/// A kernel of several that gave no answer.
struct Absent {
    kernel: String,
    why: String,
}

impl Absent {
    /// Says so, too: the table comes when all is over.
    fn because(kernel: &str, error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        let why = text.lines().next().unwrap_or_default();
        let about = format!("--kernel {kernel}: ");
        let why = why.strip_prefix(&about).unwrap_or(why).to_owned();
        eprintln!("error: {about}{}", text.strip_prefix(&about).unwrap_or(&text));
        Self { kernel: kernel.to_owned(), why }
    }

    fn option(&self) -> String {
        format!("--absent={}={}", self.kernel, self.why)
    }
}

/// Writes the record there, and says whether there was one. A run that was refused or killed has said so, and left none.
fn keep(files: &Files, output: &Path, status: i32) -> Result<bool> {
    // `vtick` makes the file before it starts, so that a bad path costs nothing: an empty one is none.
    match files.iter().find(|(path, record)| path == RECORD && !record.is_empty()) {
        Some((_, record)) => {
            fs::write(output, record).with_context(|| format!("cannot write {}", output.display()))?;
            Ok(true)
        }
        None if status >= CANNOT_RUN => Ok(false),
        None => bail!("the run left no record to write to {}", output.display()),
    }
}

/// One file for one kernel; for several, the file's name with each kernel's in it.
fn outputs(options: &Options) -> Result<Vec<PathBuf>> {
    let Some(output) = &options.output else { return Ok(Vec::new()) };
    let file_name = output.file_name().with_context(|| format!("--output {} names no file", output.display()))?;
    if options.kernels.len() < 2 {
        return Ok(vec![output.clone()]);
    }
    let stem = Path::new(file_name).file_stem().unwrap_or_default().to_string_lossy();
    let extension = Path::new(file_name).extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    let name = |kernel: &String| kernel.trim_start_matches("debian:").replace('/', "_");
    Ok(options
        .kernels
        .iter()
        .map(|kernel| output.with_file_name(format!("{stem}-{}{extension}", name(kernel))))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::parse("test", line.split_whitespace().map(str::to_owned)).unwrap()
    }

    #[test]
    fn the_words_of_another_program_are_asked_for_in_either_way_of_an_option() {
        let form = |line: &str| form(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).map(str::to_owned);
        assert_eq!(form("test --as ktap wfi").as_deref(), Some("ktap"));
        assert_eq!(form("test --as=json-lines").as_deref(), Some("json-lines"));
        assert_eq!(form("test wfi"), None);
    }

    #[test]
    fn several_kernels_have_a_record_each() {
        let one = outputs(&options("--output a/r.json --kernel debian:6.1")).unwrap();
        assert_eq!(one, [PathBuf::from("a/r.json")]);
        let two = outputs(&options("--output a/r.json --kernel debian:6.1 --kernel /k/Image")).unwrap();
        assert_eq!(two, [PathBuf::from("a/r-6.1.json"), PathBuf::from("a/r-_k_Image.json")]);
    }

    #[test]
    fn a_build_tree_is_good_or_bad_or_blamed_for_nothing() {
        assert_eq!(
            [0, 1, CANNOT_RUN, 4, 128 + 11].map(|status| of_tree(Ok(status)).unwrap()),
            [0, 1, SKIP, SKIP, SKIP]
        );
        assert_eq!(of_tree(Err(anyhow::anyhow!("not built"))).unwrap(), SKIP);
        assert!(of_tree(Err(Interrupted::BY_CTRL_C.into())).is_err(), "a person has ended it");
    }

    #[test]
    fn a_record_is_missed_only_where_the_run_came_to_its_end() {
        let output = Path::new("/nowhere/r.json");
        for none in [Files::new(), vec![(RECORD.to_owned(), Vec::new())]] {
            assert!(!keep(&none, output, 128 + 11).unwrap(), "killed");
            assert!(!keep(&none, output, CANNOT_RUN).unwrap(), "refused");
            let error = keep(&none, output, 1).unwrap_err().to_string();
            assert_eq!(error, "the run left no record to write to /nowhere/r.json");
        }
    }
}
