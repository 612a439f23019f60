//! A run whose host may die under it: it goes on in a fresh one, behind what took the host down.
//!
//! The runner tells on marked lines what it is about to do and what came of it. These are kept, and given back to the
//! runner in the next host; nothing here knows what is in them. Where no host lives any more, the runner of this machine
//! sums up what there is.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{CANNOT_RUN, WRONG, emulate, plain, together};
use crate::artifacts::{self, Programs};
use crate::cli::Options;
use crate::emulated::{By, Died, Files};
use crate::kernel::Kernel;
use crate::process::run_in_view;

/// Where the runner writes its record in the emulated host.
pub(super) const RECORD: &str = "/run/record.json";
/// Where the runner finds the journal of the runs before it.
const JOURNAL: &str = "/journal";
/// What stands in front of its notes for that journal.
pub(super) const NOTE: char = '@';
/// More notes than any run has: each boot adds some, so this bounds them.
const MOST_NOTES: usize = 10_000;
/// Hosts that die one after the other before their runner has said anything.
const MOST_BARREN: u32 = 3;

/// The runs so far.
#[derive(Debug, Default)]
struct Course {
    journal: Vec<String>,
    barren: u32,
    /// A host has died of itself: whatever the runner makes of it, something is wrong.
    wrong: bool,
}

/// What is to be done after a host's death.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Another run, in a fresh host.
    Again,
    /// No more runs: what there is, is summed up.
    Conclude,
    /// There is nothing: the death is the whole answer.
    Nothing,
}

impl Course {
    fn after(&mut self, died: &mut Died) -> Next {
        let notes = std::mem::take(&mut died.notes);
        self.barren = if notes.is_empty() { self.barren + 1 } else { 0 };
        self.journal.extend(notes);
        if self.journal.is_empty() && died.by != By::Others {
            // Most likely no host can be booted at all.
            return Next::Nothing;
        }
        self.wrong |= died.by == By::Itself;
        let last = died.last_line.as_ref().map(|line| format!("; the last line of its kernel log: {line}"));
        let last = last.unwrap_or_default();
        match died.by {
            // A run that has said nothing begins anew.
            _ if self.journal.is_empty() => {}
            By::Us | By::Command => {}
            By::Itself => self.journal.push(format!("{NOTE}died {}{last}", died.how)),
            By::Others => self.journal.push(format!("{NOTE}lost {}", died.how)),
        }
        if died.by != By::Us && self.barren < MOST_BARREN && self.journal.len() <= MOST_NOTES {
            Next::Again
        } else if self.journal.is_empty() {
            Next::Nothing
        } else {
            Next::Conclude
        }
    }

    /// The journal as the runner reads it.
    fn text(&self) -> String {
        self.journal.join("\n") + "\n"
    }

    /// The status of a run that ended like this.
    fn status(&self, ended: i32) -> i32 {
        if self.wrong { together(WRONG, ended) } else { ended }
    }
}

/// Runs `argv`, with the files that it names, in fresh hosts until it has come to its end, or no host lives any more.
pub(super) fn survive(
    options: &Options,
    programs: &Programs,
    kernel: &Kernel,
    (argv, carried): (&[String], &Files),
    mute: bool,
) -> Result<(i32, Files)> {
    let mut course = Course::default();
    loop {
        let mut run = plain(options, programs, kernel, argv.to_vec());
        run.notes = Some(NOTE);
        run.mute = mute;
        run.job.collect = vec![RECORD.to_owned()];
        run.files.clone_from(carried);
        if !course.journal.is_empty() {
            run.job.argv.extend(["--resume".to_owned(), JOURNAL.to_owned()]);
            run.files.push((JOURNAL.to_owned(), course.text().into_bytes()));
        }
        let error = match emulate(&run) {
            Ok((ended, files)) => return Ok((course.status(ended), files)),
            Err(error) => error,
        };
        let mut died = error.downcast::<Died>()?;
        match course.after(&mut died) {
            Next::Again if course.journal.is_empty() => eprintln!("{died}\nbeginning anew in a fresh host"),
            Next::Again if died.by == By::Command => eprintln!("going on in a fresh host"),
            Next::Again => eprintln!("{died}\ngoing on in a fresh host"),
            Next::Nothing => return Err(died.into()),
            Next::Conclude => {
                eprintln!("{died}");
                let (ended, files) = conclude(&course, (argv, carried), &died.how, mute)?;
                return Ok((course.status(ended), files));
            }
        }
    }
}

/// Has the runner of this machine sum up the runs so far, which ended for the reason `why`.
fn conclude(course: &Course, (argv, carried): (&[String], &Files), why: &str, mute: bool) -> Result<(i32, Files)> {
    let scratch = tempfile::tempdir()?;
    let (journal, record) = (scratch.path().join("journal"), scratch.path().join("record.json"));
    fs::write(&journal, course.text())?;
    let mut vtick = Command::new(artifacts::vtick_of_this_machine()?);
    for argument in argv.iter().skip(1).filter(|argument| *argument != "--journal") {
        match carried.iter().find(|(path, _)| argument.ends_with(path.as_str())) {
            _ if argument == RECORD => vtick.arg(&record),
            None => vtick.arg(argument),
            Some((path, contents)) => {
                // By its name there: what is in it is reported by that.
                let here = scratch.path().join(Path::new(path).file_name().unwrap_or_default());
                fs::write(&here, contents)?;
                vtick.arg(argument.replace(path.as_str(), &here.display().to_string()))
            }
        };
    }
    vtick.arg("--resume").arg(&journal).args(["--conclude", why]);
    if mute {
        vtick.stdout(Stdio::null());
    }
    let status = run_in_view(&mut vtick)?.code().unwrap_or(CANNOT_RUN);
    let files = match fs::read(&record) {
        Ok(contents) => vec![(RECORD.to_owned(), contents)],
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Files::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", record.display())),
    };
    Ok((status, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died(by: By, notes: &[&str]) -> Died {
        let notes = notes.iter().map(|note| (*note).to_owned()).collect();
        let (too_long, stopped) = (by == By::Us, by == By::Us);
        Died { how: "it ended".to_owned(), by, too_long, stopped, last_line: None, last_words: String::new(), notes }
    }

    #[test]
    fn a_host_that_died_under_a_check_is_followed_by_a_fresh_one_that_is_told() {
        let mut course = Course::default();
        assert_eq!(course.after(&mut died(By::Itself, &["@check a"])), Next::Again);
        assert_eq!(course.text(), "@check a\n@died it ended\n");
        assert_eq!(course.status(0), WRONG);
    }

    #[test]
    fn one_that_was_killed_is_nobodys_fault_and_changes_no_status() {
        let mut course = Course::default();
        assert_eq!(course.after(&mut died(By::Others, &["@check a"])), Next::Again);
        assert_eq!(course.text(), "@check a\n@lost it ended\n");
        assert_eq!((course.status(0), course.status(1), course.status(4)), (0, 1, 4));
    }

    #[test]
    fn hosts_that_die_between_checks_or_in_booting_are_replaced_but_not_for_ever() {
        let mut course = Course::default();
        assert_eq!(course.after(&mut died(By::Itself, &["@check a", "@verdict {}"])), Next::Again);
        assert_eq!(course.after(&mut died(By::Itself, &[])), Next::Again);
        assert_eq!(course.after(&mut died(By::Others, &[])), Next::Again);
        assert_eq!(course.after(&mut died(By::Itself, &[])), Next::Conclude);
    }

    #[test]
    fn a_host_that_never_booted_is_the_whole_answer_and_a_killed_one_is_tried_again() {
        assert_eq!(Course::default().after(&mut died(By::Itself, &[])), Next::Nothing);
        assert_eq!(Course::default().after(&mut died(By::Us, &[])), Next::Nothing);
        let mut course = Course::default();
        for due in [Next::Again, Next::Again, Next::Nothing] {
            assert_eq!(course.after(&mut died(By::Others, &[])), due);
        }
    }

    #[test]
    fn a_command_that_wants_a_fresh_host_gets_one_and_nothing_is_wrong() {
        let mut course = Course::default();
        assert_eq!(course.after(&mut died(By::Command, &["@check a", "@fresh"])), Next::Again);
        assert_eq!((course.text().as_str(), course.status(0)), ("@check a\n@fresh\n", 0));
    }

    #[test]
    fn a_limit_that_was_given_ends_the_run_and_what_there_is_is_summed_up() {
        let mut course = Course::default();
        assert_eq!(course.after(&mut died(By::Us, &["@check a", "@verdict {}", "@check b"])), Next::Conclude);
        assert!(!course.text().contains("@died"), "nobody is blamed: {}", course.text());
    }
}
