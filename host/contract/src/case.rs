//! What is run and judged under a name: a check, or a program that somebody wrote in a file.

use std::path::Path;

use super::check::{Check, Judge, judge};
use super::expect::Expected;
use super::program::{Litmus, Program, parse};
use super::{Clause, expect};
use vtick_core::Host;

/// Something with a program and a judge.
pub enum Case {
    /// A check.
    Check(&'static Check),
    /// A program of a file.
    File(Box<File>),
}

/// More bytes than any program has: it has two thousand operations at most.
const MOST: u64 = 1 << 20;

/// A program of a file.
pub struct File {
    /// The file's name without its folder and its ending.
    pub name: String,
    /// The clause that it names.
    pub clause: Clause,
    /// What stands in it, for a machine whose counter runs at 1 GHz.
    pub litmus: Litmus,
    text: String,
}

/// No counter is faster, and no host so slow that spans are stretched more.
const FASTEST: u64 = 1_000_000_000;
const MOST_STRETCHED: u64 = 1 << 10;

impl File {
    /// Reads what was written to `path`. The error is one line.
    pub fn read(path: &Path) -> Result<File, String> {
        let shown = path.display();
        let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or(format!("{shown}: the file has no name"))?;
        let bytes = vtick_shell::read_regular("--program", path, MOST)?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{shown}: it is no text"))?;
        let read = |scale| parse(&text, FASTEST, scale).map_err(|error| format!("{shown}: {error}"));
        let litmus = read(1)?;
        // What can be said of the fastest and slowest machine can be said of all.
        read(MOST_STRETCHED)?;
        let clause = litmus.clause.as_deref().ok_or_else(|| {
            format!("{shown}: a line such as `clause: C11` has to name the clause that the program is about")
        })?;
        let clause = clause.parse().map_err(|error| format!("{shown}: {error}"))?;
        Ok(File { name: name.to_owned(), clause, litmus, text })
    }
}

impl Case {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Case::Check(check) => check.name,
            Case::File(file) => &file.name,
        }
    }

    /// The clause that it exercises.
    pub fn clause(&self) -> Clause {
        match self {
            Case::Check(check) => check.clause,
            Case::File(file) => file.clause,
        }
    }

    /// The claim as a sentence.
    pub fn claim(&self) -> &str {
        match self {
            Case::Check(check) => check.claim,
            Case::File(file) => &file.litmus.claim,
        }
    }

    /// The program for a machine whose counter runs at `cntfrq` Hz, and its judge, all spans `scale` times as long.
    pub fn build_paced(&self, cntfrq: u64, scale: u64) -> (Program, Judge) {
        match self {
            Case::Check(check) => check.build_paced(cntfrq, scale),
            Case::File(file) => {
                let program = parse(&file.text, cntfrq, scale).expect("it was read for the fastest machine").program;
                let judged_by = program.clone();
                (program, judge(move |transcript| expect::judge(&judged_by, transcript)))
            }
        }
    }

    /// Whether it takes a kernel that offers the mode.
    pub fn needs_the_mode(&self, host: &Host) -> bool {
        self.build_paced(host.cntfrq, 1).0.setup.needs_guest
    }

    /// Whether it may take this host down with it. Where KVM on a VHE CPU has no vGIC, the handler of the timers'
    /// interrupts masks only the virtual timer's, and a guest's physical timer interrupts for ever.
    pub fn endangers(&self, host: &Host) -> bool {
        host.kvm_mode == "VHE" && host.gic.contains("no vGIC") && self.build_paced(host.cntfrq, 1).0.uses_ptimer()
    }
}

/// The judge of a check whose program says all that its transcript must show: to be called when the program is written.
pub(super) fn as_expected(program: &Program, evidence: &'static str) -> Judge {
    let expected = Expected::of(program);
    judge(move |transcript| expected.judge(transcript, evidence))
}
