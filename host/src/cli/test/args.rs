//! The options of `vtick test`.

use std::path::PathBuf;

use super::rehearsal::Seeds;
use crate::cli::{Live, RunArgs};
use vtick_contract::Clauses;
use vtick_report::terminal::Timelines;

#[derive(clap::Args)]
pub(in crate::cli) struct TestArgs {
    /// Run the check with this name, or every check whose name contains this; without a CHECK, run all.
    #[arg(value_name = "CHECK")]
    pub(super) names: Vec<String>,
    /// Run only the checks of this clause (C1 to C14, G1 to G7) or of a group of clauses (C: KVM's; G: our GIC's); can be
    /// repeated.
    #[arg(long, value_name = "CLAUSE")]
    pub(super) clause: Vec<Clauses>,
    /// Run the program of this file instead of checks (docs/litmus.md); can be repeated, and several can follow.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["names", "clause", "skip", "list", "explain"])]
    pub(super) program: Vec<PathBuf>,
    /// List the checks and run nothing.
    #[arg(long, conflicts_with = "explain")]
    pub(super) list: bool,
    /// Explain a check: its claim, its clause, the faults that it catches, its program. Or explain a clause (C11), and name
    /// its checks. Runs nothing.
    #[arg(long, value_name = "CHECK|CLAUSE")]
    pub(super) explain: Option<String>,
    /// Show the timeline (every exit and guest operation) of held checks too: at most 60 lines, or with `full` all lines.
    #[arg(long, value_name = "full", num_args = 0..=1, default_missing_value = "")]
    pub(super) timeline: Option<String>,
    /// Print the run in the format of another program.
    #[arg(long, value_name = "FORMAT")]
    pub(super) r#as: Option<Live>,
    /// Disturb the programs at instants and for durations drawn from this seed: threads take the host's CPUs away, signals
    /// arrive, vCPUs move. A verdict may change only to disturbed. FIRST-LAST: run all checks with each of these seeds.
    #[arg(long, value_name = "SEED")]
    pub(super) disturb: Option<Seeds>,
    /// Exit with status 1 also if a check was not exercised or was disturbed, if vtick itself failed, or if a check held
    /// although its violation is listed as expected.
    #[arg(long)]
    pub(super) strict: bool,
    /// Do not ask the model of the contract for a second opinion of every transcript.
    #[arg(long)]
    pub(super) no_model: bool,
    /// Stop at the first check that is violated unexpectedly or cannot be run.
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Do not run the check with exactly this name; can be repeated.
    #[arg(long, value_name = "CHECK")]
    pub(super) skip: Vec<String>,
    /// Print the progress on lines that start with @, so that another run can resume if this one takes its host down.
    #[arg(long, hide = true)]
    pub(super) journal: bool,
    /// Resume from this journal.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) resume: Option<PathBuf>,
    /// Run nothing more: sum up the journal of a run that ended for this reason.
    #[arg(long, value_name = "WHY", hide = true, requires = "resume")]
    pub(super) conclude: Option<String>,
    /// Run on a kernel with this fault, which a layer in front of KVM plays: the exit status is 1 if a check finds the fault.
    /// `list`: list the faults. `all`: play each fault, and see that the checks that must catch it do.
    #[arg(long, value_name = "FAULT")]
    pub(super) inject: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) run: RunArgs,
}

impl TestArgs {
    /// Which checks are asked for. A name right behind `--timeline` is one, too.
    pub(super) fn names(&self) -> Vec<String> {
        let behind_timeline = self.timeline.iter().filter(|word| !matches!(word.as_str(), "" | "full"));
        self.names.iter().chain(behind_timeline).cloned().collect()
    }

    pub(super) fn timelines(&self) -> Timelines {
        match self.timeline.as_deref() {
            None => Timelines::OfViolations,
            Some("full") => Timelines::Full,
            Some(_) => Timelines::OfAll,
        }
    }
}
