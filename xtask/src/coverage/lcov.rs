//! Coverage by lines in the format of lcov's trace files (geninfo(1), "FILES"), which genhtml and others read.

use std::fmt::Write;
use std::path::Path;

use super::lines::Sources;

/// The trace file; paths are within `tree`, if there is one.
pub(crate) fn write(sources: &Sources, tree: Option<&Path>) -> String {
    let mut text = String::from("TN:\n");
    for (path, source) in sources {
        let path = tree.map_or_else(|| path.clone(), |tree| tree.join(path).display().to_string());
        let mut line = |line: String| writeln!(text, "{line}").expect("a string takes everything");
        line(format!("SF:{path}"));
        source.functions.iter().for_each(|(at, name, _)| line(format!("FN:{at},{name}")));
        source.functions.iter().for_each(|(_, name, ran)| line(format!("FNDA:{},{name}", u8::from(*ran))));
        line(format!("FNF:{}", source.functions.len()));
        line(format!("FNH:{}", source.functions.iter().filter(|(_, _, ran)| *ran).count()));
        source.lines.iter().for_each(|(number, ran)| line(format!("DA:{number},{}", u8::from(*ran))));
        line(format!("LF:{}", source.lines.len()));
        line(format!("LH:{}", source.lines.values().filter(|ran| **ran).count()));
        line("end_of_record".to_owned());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::lines::Source;
    use super::*;

    #[test]
    fn a_trace_file_has_a_record_for_each_source() {
        let source = Source { lines: [(3, true), (4, false)].into(), functions: vec![(3, "f".into(), true)] };
        let text = write(&[("arch/a.c".to_owned(), source)].into(), Some(Path::new("/linux")));
        let due =
            "TN:\nSF:/linux/arch/a.c\nFN:3,f\nFNDA:1,f\nFNF:1\nFNH:1\nDA:3,1\nDA:4,0\nLF:2\nLH:1\nend_of_record\n";
        assert_eq!(text, due);
    }
}
