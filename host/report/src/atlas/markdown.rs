//! The faults of a matrix as Markdown: a table for a document.

use std::fmt::Write;

use super::Atlas;
use super::faults::faults;
use crate::verdicts::plain;

/// A line for each fault: the commit that repairs it, how many checks show it, and the kernels that have it.
pub fn markdown(atlas: &Atlas) -> String {
    let mut out = String::from("| fault | repaired by | checks | kernels |\n|---|---|---:|---|\n");
    for fault in faults(atlas) {
        let mut kernels: Vec<(String, Vec<&str>)> = Vec::new();
        for (host, ranges) in &fault.kernels {
            let ranges = ranges.join("; ");
            match kernels.iter_mut().find(|(same, _)| *same == ranges) {
                Some((_, hosts)) => hosts.push(host),
                None => kernels.push((ranges, vec![host])),
            }
        }
        let kernels: Vec<String> =
            kernels.iter().map(|(ranges, hosts)| format!("{} ({})", plain(ranges), plain(&hosts.join("; ")))).collect();
        let _infallible = writeln!(
            out,
            "| {} | {} | {} | {} |",
            plain(fault.what),
            fault.fixed_by.map_or_else(|| "-".to_owned(), plain),
            fault.checks.len(),
            kernels.join("<br>")
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::atlas;
    use super::*;

    #[test]
    fn each_fault_has_a_line_with_its_commit_and_its_kernels() {
        let table = markdown(&atlas());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[2], "| a fault | 0123 | 1 | 6.1 to 6.2&lt; (VHE, GICv3, 1 CPU) |");
        assert_eq!(lines[3], "| so it is | - | 1 | 6.1 to 6.3 (VHE, GICv3, 1 CPU) |");
        assert_eq!(lines.len(), 4, "{table}");
    }
}
