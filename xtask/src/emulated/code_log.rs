//! The log of the code that QEMU translates (`-d in_asm`).

use std::ops::Range;
use std::path::PathBuf;

/// The log of one run: of which code, and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct CodeLog {
    /// Addresses of the code.
    pub(crate) ranges: Vec<Range<u64>>,
    /// The file.
    pub(crate) file: PathBuf,
}

impl CodeLog {
    /// What QEMU is told.
    pub(crate) fn arguments(&self) -> [String; 6] {
        let ranges: Vec<_> =
            self.ranges.iter().map(|range| format!("{:#x}..{:#x}", range.start, range.end - 1)).collect();
        let file = self.file.display().to_string();
        ["-d".into(), "in_asm".into(), "-dfilter".into(), ranges.join(","), "-D".into(), file]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_is_told_each_range_with_its_last_byte() {
        let log = CodeLog { ranges: vec![0x1000..0x1010, 0x2000..0x2004], file: "/l".into() };
        assert_eq!(log.arguments().join(" "), "-d in_asm -dfilter 0x1000..0x100f,0x2000..0x2003 -D /l");
    }
}
