//! What the rules stand on: tolerances, and the way through conditions.

use vtick_abi::litmus::{REGISTERS, kind};

use super::super::flow::trace;
use super::*;
use vtick_core::{Host, Unit};

#[test]
fn silicon_is_given_time_and_an_emulator_that_counts_instructions_is_not() {
    let host =
        |unit| Host { cntfrq: 1_000_000_000, deterministic: unit == Unit::Instructions, unit, ..Host::default() };
    let (exact, silicon) = (Tolerance::of(&host(Unit::Instructions)), Tolerance::of(&host(Unit::Nanoseconds)));
    assert!(exact.sleeps_are_exact && !silicon.sleeps_are_exact);
    assert!(silicon.notice >= 100 * exact.notice && silicon.kick >= 100 * exact.kick, "{exact:?}, {silicon:?}");
    let late = 100_000_000;
    assert!(exact.wake < late && silicon.wake < late, "a tenth of a second is too late anywhere");
}

#[test]
fn a_condition_is_followed_by_the_register_it_looks_at() {
    const { assert!(REGISTERS > 1) };
    for (value, runs) in [(5, true), (4, false)] {
        let mut p = Program::new(1_000_000);
        let set = p.note(value);
        p.into_register(set, 1);
        p.when(1, 5, |p| p.note(1));
        let last = p.note(2);
        let (header, ops) = p.encode();
        let record = |op, value| GuestRecord { vcpu: 0, op, kind: kind::OP, before: 0, after: 0, value };
        let first = header.entry[0];
        let mut records = vec![record(first, value), record(first + 1, value)];
        if runs {
            records.push(record(first + 2, 1));
        }
        records.push(record(last.op(&p.block_starts()), 2));
        let traced = trace(&ops, first, &records.iter().collect::<Vec<_>>(), |_| 0);
        assert!(traced.iter().all(|traced| traced.expected), "with {value}");
    }
}
