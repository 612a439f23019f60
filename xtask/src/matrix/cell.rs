//! One combination of kernel and host.

/// The emulated host of a cell, in the words of this program's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) mode: String,
    pub(super) gic: String,
    pub(super) cpus: String,
}

/// One combination of kernel and host, and its place in the whole matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) place: usize,
    pub(super) kernel: String,
    pub(super) host: Host,
}

impl Cell {
    /// The options that choose this cell.
    pub(super) fn options(&self) -> Vec<String> {
        let Host { mode, gic, cpus } = &self.host;
        ["--kernel", &self.kernel, "--mode", mode, "--host-gic", gic, "--host-cpus", cpus].map(str::to_owned).into()
    }

    /// A name that can be a file's.
    pub(super) fn file_name(&self) -> String {
        let Host { mode, gic, cpus } = &self.host;
        let plain = |c: char| if c.is_ascii_alphanumeric() || ".-+".contains(c) { c } else { '_' };
        let kernel: String = self.kernel.trim_start_matches("debian:").chars().map(plain).collect();
        format!("{kernel}_{mode}_gic-{gic}_{cpus}-cpus")
    }
}

/// What a cell runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The checks.
    Checks,
    /// The plainest measurements.
    Latency,
}

impl What {
    /// The command of this program with the arguments for the runner.
    pub(super) fn command(self) -> &'static [&'static str] {
        match self {
            What::Checks => &["test"],
            What::Latency => &["bench", "vtimer-spin", "vtimer-wfi"],
        }
    }

    /// Name of its record.
    pub(super) fn record(self) -> &'static str {
        match self {
            What::Checks => "checks.json",
            What::Latency => "latency.json",
        }
    }
}
