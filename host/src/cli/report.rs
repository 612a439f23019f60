//! `vtick report`.

use std::path::{Path, PathBuf};

use super::{Done, measured, read_text};
use vtick_report::atlas::{self, Atlas};
use vtick_report::verdicts::{self, Absent, Verdicts};
use vtick_report::{Measured, html, latency, rates, terminal};
use vtick_shell::say::print;

#[derive(clap::Args)]
pub(super) struct ReportArgs {
    /// Files that `vtick test --output` or `vtick bench --output` wrote; several of a kind are shown side by side.
    #[arg(value_name = "RECORD", required = true)]
    records: Vec<PathBuf>,
    /// Show only the comparison of several records: medians, or the verdict of each check.
    #[arg(long, conflicts_with = "html")]
    side_by_side: bool,
    /// A kernel that has no record, and the reason: the table gets a column for this kernel, too.
    #[arg(long, value_name = "KERNEL=WHY", requires = "side_by_side", value_parser = absent, hide = true)]
    absent: Vec<Absent>,
    /// (measurements, and the index of a matrix) Write a page to this file: one self-contained file without scripts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the records in the format of another tool.
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["html", "side_by_side"])]
    r#as: Option<Format>,
    /// (--as kcidb) The name of the CI system that reports.
    #[arg(long, value_name = "NAME", default_value = "vtick", requires = "as")]
    kcidb_origin: String,
    /// (--as kcidb) The id of the tested build in KCIDB.
    #[arg(long, value_name = "ORIGIN:NAME", default_value = "vtick:unknown", requires = "as")]
    kcidb_build: String,
}

/// The words of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// The kernel's test protocol, version 1.
    Ktap,
    /// The Test Anything Protocol, version 13, without nesting.
    Tap,
    /// JUnit XML.
    Junit,
    /// A report for KCIDB, schema 5.3.
    Kcidb,
    /// Markdown for the summary of a CI job; of a matrix: its faults, and the kernels that have them.
    Markdown,
    /// LAVA's test case signals; of measurements too.
    Lava,
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<Done> {
    if let [path] = &args.records[..] {
        let json = read_text(path)?;
        if Atlas::is_index(&json) {
            return matrix(args, path, &json);
        }
    }
    let mut checked = Vec::new();
    let mut timed = Vec::new();
    for path in &args.records {
        let json = read_text(path)?;
        let of_path = |e| anyhow::anyhow!("{}: {e}", path.display());
        let run = Verdicts::from_json(&json).map_err(of_path)?;
        if run.checks.is_empty() {
            timed.push(measured(path, &json)?);
        } else {
            checked.push(run);
        }
    }
    match (&checked[..], &timed[..]) {
        (runs, []) => {
            anyhow::ensure!(
                args.html.is_none(),
                "--html takes records of `bench`, or the index of a matrix; these are records of `test`"
            );
            checks(args, runs)
        }
        ([], records) => measurements(args, records),
        _ => anyhow::bail!("records of `test` and of `bench` cannot be shown together: give records of one kind"),
    }
}

/// A matrix of runs, by its index: a table, and a page if one is asked for.
fn matrix(args: &ReportArgs, path: &Path, json: &str) -> anyhow::Result<Done> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let read = |file: &str| read_text(&folder.join(file)).map_err(|e| e.to_string());
    let atlas = Atlas::from_json(json, read).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    match args.r#as {
        None => print!("{}", atlas::table(&atlas)),
        Some(Format::Markdown) => print!("{}", atlas::markdown(&atlas)),
        Some(_) => anyhow::bail!("--as: only `--as markdown` takes the index of a matrix; --html shows it, too"),
    }
    if let Some(path) = &args.html {
        write("--html", path, atlas::page(&atlas))?;
    }
    Ok(Done::Said)
}

fn checks(args: &ReportArgs, runs: &[Verdicts]) -> anyhow::Result<Done> {
    if let Some(format) = args.r#as {
        print!("{}", formatted(args, format, runs)?);
        return Ok(Done::Said);
    }
    print!("{}", verdicts::matrix(runs, &args.absent));
    Ok(Done::Said)
}

fn formatted(args: &ReportArgs, format: Format, runs: &[Verdicts]) -> anyhow::Result<String> {
    Ok(match format {
        Format::Ktap => verdicts::ktap(runs),
        Format::Tap => verdicts::tap(runs),
        Format::Junit => verdicts::junit(runs),
        Format::Kcidb => {
            let place = verdicts::Place { origin: &args.kcidb_origin, build: &args.kcidb_build };
            place.check().map_err(anyhow::Error::msg)?;
            verdicts::kcidb(runs, &place)
        }
        Format::Markdown => verdicts::markdown(runs),
        Format::Lava => verdicts::lava_checks(runs),
    })
}

fn measurements(args: &ReportArgs, records: &[Measured]) -> anyhow::Result<Done> {
    match args.r#as {
        None => {}
        Some(Format::Lava) => {
            print!("{}", verdicts::lava_measurements(records));
            return Ok(Done::Said);
        }
        Some(_) => {
            anyhow::bail!("--as: only `--as lava` takes records of `bench`; --html and --side-by-side show them, too")
        }
    }
    if let Some(path) = &args.html {
        write("--html", path, html::page(records))?;
        return Ok(Done::Said);
    }
    anyhow::ensure!(
        !args.side_by_side || records.len() > 1 || !args.absent.is_empty(),
        "--side-by-side takes two records or more; without it, the report shows one record"
    );
    for record in records.iter().filter(|_| !args.side_by_side) {
        terminal::host(&record.host);
        terminal::settings(&record.host);
        record.latency.iter().for_each(|outcome| latency::outcome(&record.host, outcome));
        latency::over_the_floor(&record.host, &record.latency);
        rates::rates(&record.host, &record.latency);
    }
    latency::side_by_side(records);
    print!("{}", verdicts::reasons(&args.absent));
    Ok(Done::Said)
}

fn absent(text: &str) -> Result<Absent, String> {
    let (kernel, why) = text.split_once('=').ok_or("KERNEL=WHY is needed")?;
    Ok(Absent { kernel: kernel.to_owned(), why: why.to_owned() })
}

fn write(option: &str, path: &Path, text: String) -> anyhow::Result<()> {
    vtick_shell::check_writable(option, path).map_err(anyhow::Error::msg)?;
    std::fs::write(path, text).map_err(|e| anyhow::anyhow!("{option} {}: {e}", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ReportArgs,
    }

    #[test]
    fn one_record_has_nothing_at_its_side() {
        let shown = |line: &str| {
            let line = <Line as clap::Parser>::try_parse_from(line.split(' ')).expect("it is a command line");
            measurements(&line.args, &[Measured { host: vtick_core::Host::default(), latency: Vec::new() }])
        };
        let error = shown("report --side-by-side A").err().expect("it is refused").to_string();
        assert!(error.starts_with("--side-by-side takes two records or more"), "{error}");
        assert!(
            shown("report --side-by-side --absent 6.1=gone A").is_ok(),
            "the other column is a kernel without a record"
        );
    }
}
