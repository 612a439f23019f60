//! `explore`: a long run whose journal is on disk as it goes, so that nothing is lost however it ends.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{CANNOT_RUN, WRONG, emulate, plain, plan, prepare, runs_natively, together};
use crate::artifacts::{self, Programs};
use crate::cache::Cache;
use crate::cli::Options;
use crate::emulated::{Died, Files, Follower};
use crate::kernel::Kernel;
use crate::native;
use crate::process::{Interrupted, quote_word};
use crate::toolchain::Toolchain;

/// What stands in front of the runner's notes.
const NOTE: char = '@';
/// `@at JSON`: how far it has come; `@keep NAME JSON`: a text that is to be a file of this name.
const AT: &str = "@at ";
const KEEP: &str = "@keep ";
/// Where the runner finds the journal of the runs before it.
const JOURNAL: &str = "/journal";
/// Where nobody sees a spinner, it is told so often how far the run has come.
const TELL: Duration = Duration::from_secs(10);
/// Hosts that may die in one exploration.
const MOST_DEATHS: usize = 50;

/// `cargo xtask explore`.
pub(crate) fn explore(cache: &Cache, options: &Options) -> Result<i32> {
    if options.output.is_some() || options.save.is_some() || !options.with.is_empty() || !options.fetch.is_empty() {
        bail!(
            "--output, --save, --with and --fetch do not apply: `cargo xtask explore` says where it leaves its files"
        );
    }
    let (forwarded, texts) = with_files(&options.forwarded)?;
    if let Some(status) = plan("explore", &options.forwarded)? {
        return Ok(status);
    }
    let resume = match &options.resume {
        Some(path) => Some(vtick_shell::read_text("--resume", path).map_err(anyhow::Error::msg)?),
        None => None,
    };
    if runs_natively(options)? {
        let programs = artifacts::programs(&Toolchain::obtain(cache, options.refresh)?)?;
        let mut arguments = [&["explore".to_owned()], &options.forwarded[..]].concat();
        arguments.extend(options.time.map(|time| format!("--time={}s", time.as_secs())));
        arguments.extend(options.resume.as_ref().map(|path| format!("--resume={}", path.display())));
        return native::run(&programs.vtick, &arguments);
    }
    let (kernels, programs) = prepare(cache, options)?;
    if kernels.len() > 1 && resume.is_some() {
        bail!("--resume goes on with one kernel: name the one whose journal it is");
    }
    let mut status = None;
    for kernel in &kernels {
        if kernels.len() > 1 {
            println!("== {}", kernel.name);
        }
        let journal: Vec<String> = resume.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        let one = explore_on(options, &programs, kernel, &forwarded, &texts, journal)?;
        status = Some(status.map_or(one, |status| together(status, one)));
    }
    Ok(status.unwrap_or(CANNOT_RUN))
}

/// The arguments as the emulated host has them, and the files that they name: what stands behind `--sweep` and is a file
/// here is one there.
fn with_files(arguments: &[String]) -> Result<(Vec<String>, Files)> {
    let (mut there, mut files) = (Vec::new(), Vec::new());
    let mut sweep = false;
    for argument in arguments {
        let (front, value) = match argument.strip_prefix("--sweep=") {
            Some(value) => ("--sweep=", value),
            None if sweep && !argument.starts_with('-') => ("", argument.as_str()),
            None => {
                sweep = argument == "--sweep";
                there.push(argument.clone());
                continue;
            }
        };
        sweep = false;
        let path = Path::new(value);
        if !path.is_file() {
            there.push(argument.clone());
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let place = format!("/programs/{name}");
        there.push(format!("{front}{place}"));
        files.push((place, vtick_shell::read_text("--sweep", path).map_err(anyhow::Error::msg)?.into_bytes()));
    }
    Ok((there, files))
}

/// Explores on one kernel, in a fresh host as often as a program takes the host down with it.
fn explore_on(
    options: &Options,
    programs: &Programs,
    kernel: &Kernel,
    arguments: &[String],
    files: &Files,
    mut journal: Vec<String>,
) -> Result<i32> {
    let argv = [&["/bin/vtick".to_owned(), "explore".to_owned()], arguments, &["--journal".to_owned()]].concat();
    let plain_name: String =
        kernel.name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-+".contains(c) { c } else { '_' }).collect();
    let place = artifacts::target().join("explore").join(plain_name);
    let started = Instant::now();
    let mut status = None;
    for _ in 0..MOST_DEATHS {
        let mut run = plain(options, programs, kernel, argv.clone());
        run.notes = Some(NOTE);
        run.files.clone_from(files);
        run.timeout = Duration::from_secs(86_400);
        if let Some(time) = options.time {
            (run.timeout, run.timeout_option) = (time.saturating_sub(started.elapsed()), "--time");
        }
        if !journal.is_empty() {
            run.job.argv.extend(["--resume".to_owned(), JOURNAL.to_owned()]);
            run.files.push((JOURNAL.to_owned(), (journal.join("\n") + "\n").into_bytes()));
        }
        let (notes, told) = channel();
        run.follower = Some(Follower { notes, progress });
        let follow = Follow::begin(&place, &journal)?;
        let following = std::thread::spawn(move || follow.follow(&told));
        let ended = emulate(&run);
        drop(run);
        let follow = following.join().map_err(|_| anyhow::anyhow!("the thread that keeps the journal failed"))??;
        let error = match ended {
            Ok((one, _)) => {
                follow.summary(None);
                return Ok(status.map_or(one, |status| together(status, one)));
            }
            Err(error) if error.is::<Interrupted>() => {
                follow.summary(Some("interrupted"));
                return Err(error);
            }
            Err(error) => error,
        };
        let died = error.downcast::<Died>()?;
        if died.too_long && options.time.is_some() {
            follow.summary(Some("its time is up"));
            return Ok(if follow.kept > 0 { WRONG } else { status.unwrap_or(0) });
        }
        if died.notes.is_empty() {
            return Err(died.into());
        }
        eprintln!("{died}\ngoing on in a fresh host");
        journal.extend(died.notes.iter().filter(|note| !note.starts_with(KEEP)).cloned());
        let last = died.last_line.map(|line| format!("; the last line of its kernel log: {line}")).unwrap_or_default();
        journal.push(format!("{NOTE}died {}{last}", died.how));
        status = Some(WRONG);
    }
    bail!("{MOST_DEATHS} emulated hosts died: no further one is booted")
}

/// What a note says of how far the run has come.
fn progress(note: &str) -> Option<String> {
    let at: serde_json::Value = serde_json::from_str(note.strip_prefix(AT)?).ok()?;
    let number = |name: &str| at.get(name).and_then(serde_json::Value::as_u64);
    let (programs, position, of) = (number("programs")?, number("position")?, number("of")?);
    let share = if of == u64::MAX { String::new() } else { format!(", position {position} of {of}") };
    Some(format!("{programs} programs{share}"))
}

/// Keeps what a run says.
struct Follow {
    place: PathBuf,
    journal: File,
    /// When it said for the first time how far it had come, and for the last.
    first: Option<(Instant, u64)>,
    last: Option<(Instant, u64)>,
    told: Instant,
    /// Files that it had kept.
    kept: usize,
}

impl Follow {
    /// Starts the journal, in a fresh file, with what earlier runs left.
    fn begin(place: &Path, earlier: &[String]) -> Result<Follow> {
        fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
        let path = place.join("journal");
        let mut journal = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        for line in earlier {
            writeln!(journal, "{line}")?;
        }
        Ok(Follow { place: place.to_owned(), journal, first: None, last: None, told: Instant::now(), kept: 0 })
    }

    fn follow(mut self, notes: &Receiver<String>) -> Result<Follow> {
        for note in notes {
            self.take(&note).with_context(|| format!("cannot keep what was found in {}", self.place.display()))?;
        }
        Ok(self)
    }

    fn take(&mut self, note: &str) -> Result<()> {
        if let Some((name, text)) = note.strip_prefix(KEEP).and_then(|rest| rest.split_once(' ')) {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !name.starts_with('.');
            if let (true, Ok(text)) = (plain, serde_json::from_str::<String>(text)) {
                let path = self.place.join(name);
                fs::write(&path, text)?;
                eprintln!("kept as {}", path.display());
                self.kept += 1;
            }
            return Ok(());
        }
        writeln!(self.journal, "{note}")?;
        if let Some(at) = note.strip_prefix(AT)
            && let Ok(at) = serde_json::from_str::<serde_json::Value>(at)
            && let Some(programs) = at.get("programs").and_then(serde_json::Value::as_u64)
        {
            let now = (Instant::now(), programs);
            self.first.get_or_insert(now);
            self.last = Some(now);
            if self.told.elapsed() > TELL && !crate::progress::watched() {
                self.told = Instant::now();
                eprintln!("{}", progress(note).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// How fast it was, and how to go on if it was stopped.
    fn summary(&self, stopped: Option<&str>) {
        if let (Some((from, before)), Some((to, after))) = (self.first, self.last) {
            let (seconds, programs) = ((to - from).as_secs_f64(), after - before);
            if programs > 0 && seconds > 0.0 {
                println!("{:.0} programs a second of wall time, for {seconds:.1} s", programs as f64 / seconds);
            }
        }
        let journal = self.place.join("journal");
        if let Some(why) = stopped {
            eprintln!("stopped: {why}; the same command with --resume {} goes on", quote_word(journal.as_os_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_progress_is_a_line_for_a_person() {
        let note = r#"@at {"position":7,"of":90,"programs":5,"cost":1}"#;
        assert_eq!(progress(note).as_deref(), Some("5 programs, position 7 of 90"));
        let note = format!(r#"@at {{"position":7,"of":{},"programs":5,"cost":1}}"#, u64::MAX);
        assert_eq!(progress(&note).as_deref(), Some("5 programs"));
        assert_eq!(progress("@finding {}"), None);
    }

    #[test]
    fn a_file_behind_sweep_goes_into_the_host_and_a_name_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wfi.litmus");
        fs::write(&path, "WFI").unwrap();
        let path = path.display().to_string();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (there, files) = with_files(&words(&format!("--sweep {path} --ticks 1..2"))).unwrap();
        assert_eq!(there, words("--sweep /programs/wfi.litmus --ticks 1..2"));
        assert_eq!(files, [("/programs/wfi.litmus".to_owned(), b"WFI".to_vec())]);
        assert_eq!(with_files(&words(&format!("--sweep={path}"))).unwrap().0, words("--sweep=/programs/wfi.litmus"));
        let (there, files) = with_files(&words("--sweep wfi --ops 2")).unwrap();
        assert_eq!((there, files.len()), (words("--sweep wfi --ops 2"), 0));
    }

    #[test]
    fn what_is_told_is_kept_and_a_name_that_is_a_path_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut follow = Follow::begin(folder.path(), &["@finding {}".to_owned()]).unwrap();
        follow.take(r#"@keep c11-wakes.litmus "vCPU 0:\n    WFI\n""#).unwrap();
        follow.take(r#"@keep ../evil "x""#).unwrap();
        follow.take(r#"@at {"position":1,"of":2,"programs":3,"cost":4}"#).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("c11-wakes.litmus")).unwrap(), "vCPU 0:\n    WFI\n");
        assert_eq!((follow.kept, follow.last.map(|(_, programs)| programs)), (1, Some(3)));
        let journal = fs::read_to_string(folder.path().join("journal")).unwrap();
        assert_eq!(journal, "@finding {}\n@at {\"position\":1,\"of\":2,\"programs\":3,\"cost\":4}\n");
    }
}
