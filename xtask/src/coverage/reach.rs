//! Which instructions that never ran could not have run, as the code itself shows.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{Code, FunctionCode};
use super::symbols::Symbols;
use crate::a64::{self, Flow};

/// Why an instruction can't be expected to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// No way leads there in the code as it stands: a static key or a CPU feature is off (tracing, for the most part), or
    /// it is the fixup of a failed access to memory.
    Off,
    /// It belongs to a WARN or BUG of the kernel, or comes behind one: the kernel holds the case impossible.
    Warns,
}

/// Functions that do not return: whoever calls them has found the kernel broken.
pub(super) const NO_RETURN: [&str; 4] =
    ["__stack_chk_fail", "panic", "__fortify_panic", "__ubsan_handle_out_of_bounds"];

/// Of a function's instructions, by address: those that no run can be expected to reach.
pub(crate) fn closed(function: &FunctionCode, symbols: &Symbols) -> BTreeMap<u64, Closed> {
    let code: BTreeMap<u64, u32> = function.parts.iter().flat_map(Code::instructions).collect();
    let ran: BTreeSet<u64> = function
        .parts
        .iter()
        .flat_map(|part| part.instructions().zip(&part.ran).filter(|(_, ran)| **ran).map(|((address, _), _)| address))
        .collect();
    let entries = function.parts.iter().filter(|part| !part.symbol.contains(".cold")).map(|part| part.start);
    let roots: BTreeSet<u64> = entries.chain(ran.iter().copied()).collect();
    let gives_up = |address: u64| symbols.at(address).is_some_and(|name| NO_RETURN.contains(&name));

    let reachable = reach(&code, &roots, &BTreeSet::new());
    // Where a register says where to go on, and not to the caller, no more can be said.
    let jumps = code.values().any(|word| word & 0xffff_fc1f == 0xd61f_0000);
    let failing = failing(&code, &ran, &gives_up);
    let unfailing = reach(&code, &roots, &failing);
    let mut closed = BTreeMap::new();
    for &address in code.keys().filter(|address| !ran.contains(address)) {
        if !reachable.contains(&address) {
            if !jumps {
                closed.insert(address, Closed::Off);
            }
        } else if !unfailing.contains(&address) {
            closed.insert(address, Closed::Warns);
        }
    }
    closed
}

/// Where execution may go on within the code.
fn successors(code: &BTreeMap<u64, u32>, address: u64) -> Vec<u64> {
    let next = address + 4;
    let all = match a64::flow(code[&address], address) {
        // A WARN's handler goes on behind it.
        Flow::Next | Flow::Call(_) | Flow::CallRegister | Flow::Trap => vec![next],
        Flow::Branch(target) => vec![next, target],
        Flow::Jump(target) => vec![target],
        Flow::Register => Vec::new(),
    };
    all.into_iter().filter(|address| code.contains_key(address)).collect()
}

/// What can be reached from `roots` without coming through `barrier`.
fn reach(code: &BTreeMap<u64, u32>, roots: &BTreeSet<u64>, barrier: &BTreeSet<u64>) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<u64> = roots.iter().copied().filter(|root| code.contains_key(root)).collect();
    while let Some(address) = open.pop() {
        if !barrier.contains(&address) && seen.insert(address) {
            open.extend(successors(code, address));
        }
    }
    seen
}

/// Instructions from which every way leads to a trap, or to a call that does not return, and which never ran.
fn failing(code: &BTreeMap<u64, u32>, ran: &BTreeSet<u64>, gives_up: &dyn Fn(u64) -> bool) -> BTreeSet<u64> {
    let ends = |(&address, &word): (&u64, &u32)| match a64::flow(word, address) {
        Flow::Trap => true,
        Flow::Call(target) | Flow::Jump(target) => gives_up(target),
        _ => false,
    };
    let mut failing: BTreeSet<u64> = code.iter().filter(|entry| ends(*entry)).map(|(&address, _)| address).collect();
    failing.retain(|address| !ran.contains(address));
    loop {
        let more: Vec<u64> = code
            .keys()
            .copied()
            .filter(|address| !failing.contains(address) && !ran.contains(address))
            .filter(|&address| {
                let next = successors(code, address);
                !next.is_empty() && next.iter().all(|next| failing.contains(next))
            })
            .collect();
        if more.is_empty() {
            return failing;
        }
        failing.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_nop_leaves_out_is_off_what_leads_to_a_brk_warns_and_the_rest_is_open() {
        let words = [
            0xb400_0060, // +00 cbz x0, +0c
            a64::NOP,    // +04 a static key: off
            0x1400_0004, // +08 b +18
            0x5280_0000, // +0c mov w0, #0
            0xd421_0000, // +10 brk #0x800
            0x1400_0003, // +14 b +20: behind the WARN
            0xd65f_03c0, // +18 ret
            0x1400_0000, // +1c b .: what the static key would lead to
            0xd65f_03c0, // +20 ret
        ];
        let ran = [true, true, true, false, false, false, true, false, false];
        let part = Code {
            symbol: "f".into(),
            start: 0x1000,
            fingerprint: String::new(),
            words: words.to_vec(),
            ran: ran.to_vec(),
        };
        let function = FunctionCode { name: "f".into(), title: String::new(), parts: vec![part] };
        let symbols = Symbols::parse("0000000000000800 T _text\n").unwrap();
        let due = [
            (0x100c, Closed::Warns),
            (0x1010, Closed::Warns),
            (0x1014, Closed::Warns),
            (0x101c, Closed::Off),
            (0x1020, Closed::Warns),
        ];
        assert_eq!(closed(&function, &symbols), BTreeMap::from(due));
        let mut open = function.clone();
        open.parts[0].words[4] = 0xd503_201f;
        assert_eq!(closed(&open, &symbols), BTreeMap::from([(0x101c, Closed::Off)]));
    }
}
