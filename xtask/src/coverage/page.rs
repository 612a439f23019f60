//! Coverage as a page: a table of the functions, and each function's code with what ran. One file that needs no other, and
//! no script.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::disassembly;
use super::lines::{Source, Sources};
use super::listed::Entry;
use super::report::{Coverage, KernelCoverage, Row, State, Sums};

/// Lines of source that are shown around those that have code.
const AROUND: u32 = 3;

const STYLE: &str = "
:root { color-scheme: light dark; --ran: light-dark(#e3f4e3, #16301a); --never: light-dark(#fde0dc, #4a1c18);
  --closed: light-dark(#eee, #2a2a2a); }
body { font: 16px/1.4 system-ui, sans-serif; margin: 1rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .1rem .6rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } .scroll { overflow-x: auto; }
pre { overflow-x: auto; font-size: 13px; line-height: 1.35; } pre span { display: block; }
.ran { background: var(--ran); } .never { background: var(--never); } .closed { background: var(--closed); }
summary { cursor: pointer; } h3 { margin-bottom: .2rem; }
";

/// The source of a kernel, where it is known.
pub(super) struct Lines<'a> {
    pub(super) sources: &'a Sources,
    pub(super) tree: &'a Path,
}

/// The page. Without `lines` it shows disassembly, by `objdump`.
pub(super) fn write(coverage: &Coverage, list: &[Entry], lines: Option<&Lines>, objdump: &Path) -> Result<String> {
    let kernels = coverage.kernels.iter().map(|kernel| section(kernel, list, lines, objdump));
    let kernels = kernels.collect::<Result<Vec<Markup>>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Coverage of the kernel's code" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Coverage of the kernel's code" }
                p {
                    span.ran { "ran" } " \u{b7} " span.never { "never ran" } " \u{b7} "
                    span.closed { "cannot be expected to run: switched off, an assertion of the kernel, or listed" }
                }
                @for kernel in &kernels { (kernel) }
            }
        }
    };
    Ok(page.into_string())
}

fn section(kernel: &KernelCoverage, list: &[Entry], lines: Option<&Lines>, objdump: &Path) -> Result<Markup> {
    let rows = kernel.rows(list);
    let code = match lines {
        Some(lines) => lines.sources.iter().map(|(path, source)| of_source(path, source, lines.tree)).collect(),
        None => rows.iter().map(|row| of_instructions(row, objdump)).collect::<Result<Vec<_>>>()?,
    };
    Ok(html! {
        h2 { (kernel.kernel) }
        p { "Hosts: " (kernel.hosts.join("; ")) }
        div.scroll {
            table {
                tr { th { "instructions" } @for name in ["all", "ran", "off", "WARN", "listed", "never", "ran"] { th { (name) } } }
                @for row in &rows { (figures(&row.function.name, &row.sums)) }
            }
        }
        @for code in &code { (code) }
    })
}

fn figures(name: &str, sums: &Sums) -> Markup {
    let Sums { all, ran, off, warns, listed, never } = sums;
    html! {
        tr {
            td { (name) }
            @for count in [all, ran, off, warns, listed, never] { td { (count) } }
            td { (format!("{:.1} %", sums.share())) }
        }
    }
}

/// Each instruction of a function.
fn of_instructions(row: &Row, objdump: &Path) -> Result<Markup> {
    let mut texts = BTreeMap::new();
    for part in &row.function.parts {
        texts.extend(disassembly::of(objdump, part)?);
    }
    let line = |address: &u64, base: u64| {
        let text = texts.get(address).map_or("", String::as_str);
        format!("{:>6}  {text}", format!("+{:#x}", address - base))
    };
    Ok(html! {
        details {
            summary { (row.function.name) " (" (format!("{:.1} %", row.sums.share())) ")" }
            pre {
                @for (part, address, state) in &row.states {
                    @if part.start == *address { span { (part.symbol) ":" } }
                    span class=(class(*state)) { (line(address, part.start)) }
                }
            }
        }
    })
}

fn class(state: State) -> &'static str {
    match state {
        State::Ran => "ran",
        State::Never => "never",
        State::Off | State::Warns | State::Listed => "closed",
    }
}

/// The lines of a file that have code, with some around them; only their numbers if the file is not in the tree.
fn of_source(path: &str, source: &Source, tree: &Path) -> Markup {
    let text = fs::read_to_string(tree.join(path)).unwrap_or_default();
    let near = |number: u32| source.lines.range(number.saturating_sub(AROUND)..=number + AROUND).next().is_some();
    let of_file = (1..).zip(text.lines()).filter(|(number, _)| near(*number));
    let shown: Vec<(u32, &str)> = match text.is_empty() {
        true => source.lines.keys().map(|number| (*number, "")).collect(),
        false => of_file.collect(),
    };
    let ran = source.lines.values().filter(|ran| **ran).count();
    let class = |number| source.lines.get(&number).map(|ran| if *ran { "ran" } else { "never" });
    html! {
        details {
            summary { (path) " (" (ran) " of " (source.lines.len()) " lines ran)" }
            pre { @for (number, text) in shown { span class=[class(number)] { (format!("{number:>6}  {text}")) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_code_are_shown_with_those_around_them_and_nothing_gets_out_of_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (1..=20).map(|number| format!("line {number} <b>\n")).collect();
        fs::write(folder.path().join("a.c"), text).unwrap();
        let source = Source { lines: [(5, true), (6, false)].into(), functions: Vec::new() };
        let page = of_source("a.c", &source, folder.path()).into_string();
        assert!(page.contains("a.c (1 of 2 lines ran)"), "{page}");
        assert!(page.contains("<span class=\"ran\">     5  line 5 &lt;b&gt;</span>"), "{page}");
        assert!(page.contains("<span class=\"never\">     6  "), "{page}");
        assert!(page.contains("<span>     2  ") && page.contains("<span>     9  "), "{page}");
        assert!(!page.contains("line 1 ") && !page.contains("line 10"), "{page}");
        let absent = of_source("b.c", &source, folder.path()).into_string();
        assert!(absent.contains("<span class=\"ran\">     5  </span>"), "{absent}");
    }
}
