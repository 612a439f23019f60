//! The kernel's count of its interrupts: /proc/interrupts.
//!
//! ```text
//!            CPU0       CPU1
//!  11:        589        412     GICv2  27 Level     arch_timer
//! IPI0:        62         71       Rescheduling interrupts
//! Err:          0
//! ```

use std::collections::BTreeMap;

/// Where they are.
#[cfg(target_os = "linux")]
pub(crate) const INTERRUPTS: &str = "/proc/interrupts";

/// The counts of one row, CPU by CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// What stands in front of the colon: a number of Linux's own, or a name.
    pub(crate) label: String,
    /// The counts.
    pub(crate) counts: Vec<u64>,
    /// What stands behind them.
    pub(crate) what: String,
}

impl Row {
    /// A timer of the CPU's own.
    pub(crate) fn is_timer(&self) -> bool {
        self.what.ends_with("arch_timer")
    }

    /// The real-time clock's alarm.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_rtc(&self) -> bool {
        self.what.ends_with("rtc-pl031")
    }

    /// The overflow of a performance counter.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_pmu(&self) -> bool {
        self.what.ends_with("arm-pmu")
    }

    /// An interrupt from one CPU to another.
    pub(crate) fn is_ipi(&self) -> bool {
        self.label.starts_with("IPI")
    }

    /// The GIC's number of it, where the row says it; an IPI's is that of an SGI.
    pub(crate) fn intid(&self) -> Option<u32> {
        if let Some(ipi) = self.label.strip_prefix("IPI") {
            return ipi.parse().ok();
        }
        let mut words = self.what.split_whitespace();
        words.next()?.starts_with("GIC").then(|| words.next()?.parse().ok())?
    }
}

/// The kernel's rows, as they are now.
#[cfg(target_os = "linux")]
pub(crate) fn rows() -> std::io::Result<Vec<Row>> {
    Ok(parse(&std::fs::read_to_string(INTERRUPTS)?))
}

/// All rows. One that has not a count for every CPU is about no CPU and left out.
pub(crate) fn parse(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let cpus = lines.next().unwrap_or_default().split_whitespace().count();
    let row = |line: &str| {
        let (label, rest) = line.split_once(':')?;
        let words: Vec<_> = rest.split_whitespace().collect();
        let counts = words.get(..cpus)?.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
        Some(Row { label: label.trim().to_owned(), counts, what: words[cpus..].join(" ") })
    };
    lines.filter_map(row).collect()
}

/// How often each CPU has taken an interrupt of the rows that `which` chooses.
pub(crate) fn sum(rows: &[Row], which: fn(&Row) -> bool) -> Vec<u64> {
    let mut sums = Vec::new();
    for row in rows.iter().filter(|row| which(row)) {
        sums.resize(row.counts.len().max(sums.len()), 0);
        sums.iter_mut().zip(&row.counts).for_each(|(sum, count)| *sum += count);
    }
    sums
}

/// The counts by INTID.
pub(crate) fn by_intid(rows: &[Row]) -> BTreeMap<u32, Vec<u64>> {
    rows.iter().filter_map(|row| Some((row.intid()?, row.counts.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_CPUS: &str = "           CPU0       CPU1       
 11:        589        412     GICv2  27 Level     arch_timer
 13:         17          0     GICv2  33 Level     uart-pl011
IPI0:        62         71       Rescheduling interrupts
IPI1:         5          6       Function call interrupts
Err:          0
";

    #[test]
    fn rows_have_counts_for_each_cpu_and_what_they_are() {
        let rows = parse(TWO_CPUS);
        assert_eq!(rows.len(), 4, "the last has one count for all");
        let timer = Row { label: "11".into(), counts: vec![589, 412], what: "GICv2 27 Level arch_timer".into() };
        assert_eq!(rows[0], timer);
        assert_eq!(sum(&rows, Row::is_timer), [589, 412]);
        assert_eq!(sum(&rows, Row::is_ipi), [67, 77]);
        assert_eq!(sum(&rows[..1], Row::is_ipi), [0; 0]);
    }

    #[test]
    fn rows_are_known_by_the_gics_number() {
        let intids: Vec<_> = by_intid(&parse(TWO_CPUS)).into_keys().collect();
        assert_eq!(intids, [0, 1, 27, 33]);
    }
}
