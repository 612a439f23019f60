//! `vtick report`.

use std::path::PathBuf;

use super::{Done, read_record};
use crate::report::{html, latency, terminal};

#[derive(clap::Args)]
pub(super) struct ReportArgs {
    /// Records that `vtick bench --output` wrote; several are shown side by side.
    #[arg(value_name = "RECORD", required = true)]
    records: Vec<PathBuf>,
    /// Show several records' medians side by side, and nothing else.
    #[arg(long, conflicts_with = "html")]
    side_by_side: bool,
    /// Write a page with plots to this file: self-contained, no scripts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<Done> {
    let records = args.records.iter().map(|path| read_record(path)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(path) = &args.html {
        std::fs::write(path, html::page(&records)).map_err(|e| anyhow::anyhow!("--html {}: {e}", path.display()))?;
        return Ok(Done::Said);
    }
    for record in records.iter().filter(|_| !args.side_by_side) {
        terminal::host(&record.host);
        record.latency.iter().for_each(|outcome| latency::outcome(&record.host, outcome));
        latency::over_the_floor(&record.host, &record.latency);
    }
    latency::side_by_side(&records);
    Ok(Done::Said)
}
