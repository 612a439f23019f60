//! What ran of one kernel's functions, merged over the hosts it ran on: as a file, and as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::code::{self, Code, FunctionCode};
use super::listed::{self, Entry};
use super::reach::{self, Closed};
use super::symbols::Symbols;

/// The version of the file's format.
const VERSION: u32 = 1;

/// A file of coverage: of one kernel or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Coverage {
    version: u32,
    /// Each kernel once.
    pub(crate) kernels: Vec<KernelCoverage>,
}

/// What ran of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelCoverage {
    /// The kernel's name, as it was asked for.
    pub(crate) kernel: String,
    /// Tells its Image from others.
    pub(crate) image: String,
    /// The hosts that it ran on.
    pub(crate) hosts: Vec<String>,
    /// Names of functions at the addresses that matter: those of calls that do not return.
    pub(crate) symbols: BTreeMap<u64, String>,
    /// The functions.
    pub(crate) functions: Vec<FunctionCode>,
}

impl Coverage {
    /// Of these kernels; one that is there several times is merged.
    pub(crate) fn new(kernels: impl IntoIterator<Item = KernelCoverage>) -> Coverage {
        let mut merged: Vec<KernelCoverage> = Vec::new();
        for kernel in kernels {
            match merged.iter_mut().find(|known| known.image == kernel.image) {
                Some(known) => {
                    code::merge(&mut known.functions, &kernel.functions);
                    known.hosts.extend(kernel.hosts);
                    known.hosts.dedup();
                }
                None => merged.push(kernel),
            }
        }
        Coverage { version: VERSION, kernels: merged }
    }

    /// Reads files that [`Coverage::write`] wrote, and merges them.
    pub(crate) fn read(files: &[impl AsRef<Path>]) -> Result<Coverage> {
        let mut kernels = Vec::new();
        for file in files.iter().map(AsRef::as_ref) {
            let json = vtick_shell::read_text("coverage", file).map_err(anyhow::Error::msg)?;
            let coverage: Coverage =
                serde_json::from_str(&json).with_context(|| format!("{} is no coverage", file.display()))?;
            ensure!(coverage.version == VERSION, "{}: coverage of another version", file.display());
            kernels.extend(coverage.kernels);
        }
        Ok(Coverage::new(kernels))
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let json = serde_json::to_string(self)?;
        fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Instructions by what is known of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) all: usize,
    pub(crate) ran: usize,
    pub(crate) off: usize,
    pub(crate) warns: usize,
    pub(crate) listed: usize,
    pub(crate) never: usize,
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.all += other.all;
        self.ran += other.ran;
        self.off += other.off;
        self.warns += other.warns;
        self.listed += other.listed;
        self.never += other.never;
    }

    /// Hundredths of the instructions that can run which did.
    pub(crate) fn share(&self) -> f64 {
        percent(self.ran, self.ran + self.never)
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// What is known of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ran,
    /// Switched off in the running kernel.
    Off,
    /// Of one of the kernel's own assertions.
    Warns,
    /// Listed as out of reach.
    Listed,
    /// It never ran, though it could.
    Never,
}

/// A function's instructions with what is known of each, and their sums.
pub(crate) struct Row<'a> {
    pub(crate) function: &'a FunctionCode,
    pub(crate) sums: Sums,
    pub(crate) states: Vec<(&'a Code, u64, State)>,
    /// Instructions that ran although the list has them as out of reach.
    pub(crate) contradicted: Vec<(&'a Code, u64)>,
}

impl<'a> Row<'a> {
    /// The instructions that never ran though they could.
    fn never(&self) -> Vec<(&'a Code, u64)> {
        let never = self.states.iter().filter(|(.., state)| *state == State::Never);
        never.map(|(part, address, _)| (*part, *address)).collect()
    }
}

impl KernelCoverage {
    /// A row for each function that this kernel has.
    pub(crate) fn rows(&self, list: &[Entry]) -> Vec<Row<'_>> {
        let symbols = Symbols::of(&self.symbols);
        let there = self.functions.iter().filter(|function| !function.parts.is_empty());
        there.map(|function| row(function, list, &symbols)).collect()
    }

    /// The table.
    pub(crate) fn table(&self, list: &[Entry], places: bool) -> String {
        let mut text = String::new();
        let mut line = |line: String| writeln!(text, "{line}").expect("a string takes everything");
        line(format!("{}; hosts: {}", self.kernel, self.hosts.join("; ")));
        line(format!(
            "{:<44} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7}",
            "instructions", "all", "ran", "off", "WARN", "listed", "never", "ran"
        ));
        let figures = |name: &str, sums: &Sums| {
            let Sums { all, ran, off, warns, listed, never } = sums;
            let share = sums.share();
            format!("{name:<44} {all:>6} {ran:>6} {off:>6} {warns:>6} {listed:>6} {never:>6} {share:>5.1} %")
        };
        let (mut total, mut title) = (Sums::default(), "");
        let mut contradicted = Vec::new();
        for row in self.rows(list) {
            if row.function.title != title {
                title = &row.function.title;
                line(title.to_owned());
            }
            line(figures(&format!("  {}", row.function.name), &row.sums));
            total.add(&row.sums);
            if places {
                ranges(&row.never()).into_iter().for_each(|place| line(format!("      never: {place}")));
            }
            contradicted.extend(ranges(&row.contradicted));
        }
        line(figures("all of them", &total));
        line(format!("{:.1} % of all instructions ran", percent(total.ran, total.all)));
        line(format!(
            "{:.1} % of those that can be expected to: not those that are switched off (off), belong to the kernel's own \
             assertions (WARN), or are listed as out of reach",
            total.share()
        ));
        let missing: Vec<_> = self.functions.iter().filter(|f| f.parts.is_empty()).map(|f| f.name.as_str()).collect();
        if !missing.is_empty() {
            line(format!("not in this kernel, or inlined into the others: {}", missing.join(", ")));
        }
        if !contradicted.is_empty() {
            line(format!("listed as out of reach, but ran: {}", contradicted.join(", ")));
        }
        text
    }
}

fn row<'a>(function: &'a FunctionCode, list: &[Entry], symbols: &Symbols) -> Row<'a> {
    let closed = reach::closed(function, symbols);
    let mut row = Row { function, sums: Sums::default(), states: Vec::new(), contradicted: Vec::new() };
    for part in &function.parts {
        for ((address, _), ran) in part.instructions().zip(&part.ran) {
            let listed = listed::find(list, part, address).is_some();
            let (state, sum) = match (ran, closed.get(&address)) {
                (true, _) => (State::Ran, &mut row.sums.ran),
                (false, Some(Closed::Off)) => (State::Off, &mut row.sums.off),
                (false, Some(Closed::Warns)) => (State::Warns, &mut row.sums.warns),
                (false, None) if listed => (State::Listed, &mut row.sums.listed),
                (false, None) => (State::Never, &mut row.sums.never),
            };
            *sum += 1;
            row.sums.all += 1;
            row.states.push((part, address, state));
            if *ran && listed {
                row.contradicted.push((part, address));
            }
        }
    }
    row
}

/// Neighbouring instructions in one: `SYMBOL FINGERPRINT +0xFROM..+0xTO`, as the list of what is out of reach has them.
pub(crate) fn ranges(places: &[(&Code, u64)]) -> Vec<String> {
    let mut ranges: Vec<(&Code, u64, u64)> = Vec::new();
    for (part, address) in places {
        match ranges.last_mut() {
            Some((last, _, to)) if last.start == part.start && *to == *address => *to += 4,
            _ => ranges.push((part, *address, address + 4)),
        }
    }
    let text = |(part, from, to): &(&Code, u64, u64)| {
        format!("{} {} +{:#x}..+{:#x}", part.symbol, part.fingerprint, from - part.start, to - part.start)
    };
    ranges.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(host: &str, ran: [bool; 4]) -> KernelCoverage {
        let part = Code {
            symbol: "f".into(),
            start: 0x1000,
            fingerprint: "0badcafe".into(),
            words: vec![0xb400_0040, 0xaa1e_03e9, 0xaa1e_03e9, 0xd65f_03c0],
            ran: ran.to_vec(),
        };
        let function = |name: &str, parts| FunctionCode { name: name.into(), title: "timers".into(), parts };
        KernelCoverage {
            kernel: "k".into(),
            image: "i".into(),
            hosts: vec![host.into()],
            symbols: BTreeMap::new(),
            functions: vec![function("f", vec![part]), function("g", Vec::new())],
        }
    }

    #[test]
    fn a_kernel_is_merged_over_its_hosts_and_survives_its_file() {
        let coverage =
            Coverage::new([kernel("a", [true, false, false, true]), kernel("b", [true, false, true, false])]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.json");
        coverage.write(&file).unwrap();
        let coverage = Coverage::read(&[file]).unwrap();
        assert_eq!(coverage.kernels.len(), 1);
        let table = coverage.kernels[0].table(&[], true);
        assert!(table.contains("k; hosts: a; b\n"), "{table}");
        assert!(table.contains("never: f 0badcafe +0x4..+0x8\n"), "{table}");
        assert!(table.contains("75.0 % of all instructions ran\n"), "{table}");
        assert!(table.contains("inlined into the others: g\n"), "{table}");
    }

    #[test]
    fn the_list_closes_what_never_ran_and_is_contradicted_by_what_did() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        fs::write(&file, "f 0badcafe +0x0..+0x8 why\n").unwrap();
        let list = listed::read(&file).unwrap();
        let kernel = kernel("a", [true, false, true, true]);
        let rows = kernel.rows(&list);
        assert_eq!((rows[0].sums.listed, rows[0].sums.never, rows[0].contradicted.len()), (1, 0, 1));
        assert!(kernel.table(&list, false).contains("but ran: f 0badcafe +0x0..+0x4\n"));
    }
}
