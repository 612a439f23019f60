//! Coverage by lines of source: DWARF's line tables (gimli, addr2line) say which line an instruction is of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use addr2line::Context as Dwarf;
use addr2line::gimli::{self, EndianSlice, LittleEndian};
use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, ObjectSymbol};

use super::report::KernelCoverage;

/// A file of source, with what is known of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// Lines that have code among the functions that are looked at, each with whether any of it ran.
    pub(crate) lines: BTreeMap<u32, bool>,
    /// Functions: where they begin, their names, and whether any of their code ran.
    pub(crate) functions: Vec<(u32, String, bool)>,
}

/// Files of source, by their path within the kernel's tree.
pub(crate) type Sources = BTreeMap<String, Source>;

type Reader<'a> = EndianSlice<'a, LittleEndian>;

/// What ran of each line. An instruction belongs to the innermost of the functions inlined there.
pub(crate) fn of(vmlinux: &Path, coverage: &KernelCoverage) -> Result<Sources> {
    let name = || vmlinux.display().to_string();
    let file =
        vtick_shell::read_regular("--debug-info", vmlinux, vtick_shell::MOST_OF_KERNEL).map_err(anyhow::Error::msg)?;
    let elf = object::File::parse(&*file).with_context(|| format!("--debug-info {} is no ELF file", name()))?;
    check(&elf, coverage).with_context(|| format!("--debug-info {}", name()))?;
    let sections = |id: gimli::SectionId| -> Result<Cow<'_, [u8]>> {
        Ok(match elf.section_by_name(id.name()) {
            Some(section) => section.uncompressed_data()?,
            None => Cow::Borrowed(&[]),
        })
    };
    let sections = gimli::DwarfSections::load(sections).with_context(name)?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let dwarf = Dwarf::from_dwarf(dwarf).with_context(name)?;

    let mut places: BTreeMap<PathBuf, Source> = BTreeMap::new();
    for part in coverage.functions.iter().flat_map(|function| &function.parts) {
        for ((address, _), &ran) in part.instructions().zip(&part.ran) {
            if let Some((file, line)) = innermost(&dwarf, address)? {
                *places.entry(file).or_default().lines.entry(line).or_default() |= ran;
            }
        }
        if let Some((file, line)) = outermost(&dwarf, part.start)? {
            let ran = part.ran.contains(&true);
            places.entry(file).or_default().functions.push((line, part.symbol.clone(), ran));
        }
    }
    ensure!(!places.is_empty(), "--debug-info {}: it has no line for any of the functions", name());
    Ok(within_tree(places))
}

/// Whether it is of the same kernel: its functions lie where the running kernel had them.
fn check(elf: &object::File, coverage: &KernelCoverage) -> Result<()> {
    let parts = coverage.functions.iter().flat_map(|function| &function.parts);
    let there = parts.filter(|part| {
        let mut symbols = elf.symbols();
        symbols.any(|symbol| symbol.address() == part.start && symbol.name() == Ok(part.symbol.as_str()))
    });
    ensure!(there.count() > 0, "it is of another kernel than {}, or has no symbols", coverage.kernel);
    Ok(())
}

fn frames(dwarf: &Dwarf<Reader>, address: u64) -> Result<Vec<(PathBuf, u32)>> {
    let mut frames = dwarf.find_frames(address).skip_all_loads()?;
    let mut places = Vec::new();
    while let Some(frame) = frames.next()? {
        if let Some((Some(file), Some(line))) = frame.location.map(|location| (location.file, location.line)) {
            places.push((normal(Path::new(file)), line));
        }
    }
    Ok(places)
}

fn innermost(dwarf: &Dwarf<Reader>, address: u64) -> Result<Option<(PathBuf, u32)>> {
    Ok(frames(dwarf, address)?.into_iter().next())
}

fn outermost(dwarf: &Dwarf<Reader>, address: u64) -> Result<Option<(PathBuf, u32)>> {
    Ok(frames(dwarf, address)?.pop())
}

/// Without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            component => normal.push(component),
        }
    }
    normal
}

/// Paths as they are in the kernel's tree: without the folder that all have in common, where it was built.
fn within_tree(places: BTreeMap<PathBuf, Source>) -> Sources {
    let mut root: Option<PathBuf> = None;
    for folder in places.keys().filter_map(|path| path.parent()) {
        root = Some(match root {
            None => folder.to_owned(),
            Some(root) => {
                let common = root.components().zip(folder.components()).take_while(|(a, b)| a == b);
                common.map(|(component, _)| component).collect()
            }
        });
    }
    let mut root = root.unwrap_or_default();
    // Where all are of one part of the tree, that part is no place where something was built.
    if let Some(top) = root.ancestors().find(|folder| TOP.iter().any(|top| folder.ends_with(top))) {
        root = top.parent().unwrap_or(Path::new("")).to_owned();
    }
    let name = |path: &Path| path.strip_prefix(&root).unwrap_or(path).display().to_string();
    places.into_iter().map(|(path, source)| (name(&path), source)).collect()
}

/// Folders at the top of a kernel's tree that have code of KVM.
const TOP: [&str; 5] = ["arch", "virt", "include", "kernel", "drivers"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_kernels_tree_wherever_it_was_built() {
        let names = |paths: &[&str]| {
            let places = paths.iter().map(|path| (normal(Path::new(path)), Source::default())).collect();
            within_tree(places).into_keys().collect::<Vec<_>>()
        };
        let built = ["/b/linux/x/../arch/arm64/kvm/arm.c", "/b/linux/virt/kvm/kvm_main.c"];
        assert_eq!(names(&built), ["arch/arm64/kvm/arm.c", "virt/kvm/kvm_main.c"]);
        assert_eq!(names(&["/b/linux/arch/arm64/kvm/arm.c"]), ["arch/arm64/kvm/arm.c"]);
    }
}
