//! What is printed reads back as what it was, and what makes no sense is refused with its place.

use proptest::prelude::*;
use vtick_abi::litmus::{FLAGS, sysreg};

use super::{Litmus, parse};
use crate::checks;
use crate::program::{Action, Expectation, Program, Step, TimerRegister, Value};
use vtick_core::lines::{Levels, Line, Routing};

const CNTFRQ: u64 = 1_000_000_000;

/// That a program reads back from its text as what it was, and that this text is what is printed again.
fn reads_back(program: Program, what: &str) {
    let text = program.to_string();
    let cntfrq = program.cntfrq;
    let read = parse(&text, cntfrq, program.scale).unwrap_or_else(|error| panic!("{what}: {error}\n{text}"));
    assert_eq!(read.program, program, "{what}:\n{text}");
    assert_eq!(read.program.to_string(), text, "{what}");
}

#[test]
fn the_program_of_every_check_reads_back_as_what_it_was() {
    for check in checks::all() {
        for cntfrq in [CNTFRQ, 19_200_000, 54_000_000] {
            reads_back(check.build(cntfrq).0, check.name);
            reads_back(check.build_paced(cntfrq, 3).0, check.name);
        }
    }
}

#[test]
fn a_program_that_differs_in_one_operation_action_or_expectation_is_another() {
    let program = |text: &str| parse(text, CNTFRQ, 1).unwrap().program;
    let base = "before: KVM_CHECK_EXTENSION(144)\nvCPU 0:\n    a: CNTV_CTL := 1\n    host: raise IRQ of vCPU 0\nexpect a gives 1\n";
    assert_eq!(program(base), program(&base.replace("a:", "other:").replace("expect a", "expect other")), "names");
    for (from, to) in
        [("144", "145"), ("CTL := 1", "CTL := 3"), ("raise", "lower"), ("gives 1", "gives 2"), ("before", "require")]
    {
        assert_ne!(program(base), program(&base.replace(from, to)), "{to}");
    }
    assert_ne!(program(base), program(&format!("VM: PMU\n{base}")));
    assert_ne!(program(base), program(&format!("{base}beside:\nvCPU 0:\n    WFI\n")));
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::Is),
        (0..100_000u64).prop_map(Value::Is),
        any::<u64>().prop_map(Value::Now),
        (0..9_000_000u64).prop_map(Value::Now),
        any::<u64>().prop_map(Value::NowPhysical),
        (0..8u16, any::<u64>()).prop_map(|(register, add)| Value::Register(register, add)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let line = prop_oneof![Just(Line::Irq), Just(Line::Fiq)];
    let register = prop_oneof![
        Just(TimerRegister::CntvCtl),
        Just(TimerRegister::CntvCval),
        Just(TimerRegister::Cntvct),
        Just(TimerRegister::CntpCtl),
        Just(TimerRegister::CntpCval),
        Just(TimerRegister::Cntpct),
    ];
    let number = value().prop_filter("not of the host's", |value| !matches!(value, Value::Register(..)));
    (0..27u8, 0..2_000_000_000u64, 0..2usize, line, any::<bool>(), register, number).prop_map(
        |(kind, ticks, vcpu, line, level, register, value)| match kind {
            0 => Action::Line { vcpu, line, level },
            1 => Action::LineAfter { ticks, vcpu, line, level },
            2 => Action::SignalAfter { ticks, vcpu },
            3 => Action::ImmediateExit { after: ticks },
            4 => Action::Stay { ticks },
            5 => Action::Meet,
            6 => Action::CheckExtension { capability: ticks as u32 },
            7 => Action::CheckSystemExtension { capability: ticks as u32 },
            8 => Action::RawLine { irq: ticks as u32, level },
            9 => Action::Get(register),
            10 => Action::Set(register, value),
            11 => Action::Spi { intid: 32 + (ticks % 900) as u32, level },
            12 => Action::SpiAfter { ticks, intid: 32 + (ticks % 900) as u32, level },
            13 => Action::MoveToFreshVm,
            14 => Action::Reinit { restore_timers: level },
            15 => Action::Migrate,
            16 => Action::SyncFlags(ticks),
            17 => Action::CreateVcpu(ticks),
            18 => Action::CounterOffset(ticks),
            19 => Action::ForbiddenInitSequence,
            20 => Action::ImmediateExit { after: 0 },
            21 => Action::HasTimerInterrupt { attribute: ticks },
            22 => Action::GetTimerInterrupt { attribute: ticks },
            23 => Action::SetTimerInterrupt { attribute: ticks, intid: ticks as u32 },
            24 => Action::Suspend,
            25 => Action::CpuTime,
            _ => Action::Stay { ticks: 0 },
        },
    )
}

/// Writes one operation, chosen by numbers.
fn write(p: &mut Program, kind: u8, value: Value, number: u64, action: Action, earlier: Option<Step>) -> Step {
    let both = [sysreg::CNTV_CTL, sysreg::CNTV_CVAL, sysreg::CNTP_TVAL, sysreg::ICC_PMR];
    let one_way = if kind == 1 { sysreg::READ_ONLY } else { sysreg::WRITE_ONLY };
    let registers = [&both, one_way].concat();
    let register = registers[number as usize % registers.len()];
    let flag = (number % FLAGS as u64) as u16;
    match kind {
        0 => p.note(value),
        1 => p.read(register),
        2 => p.write(register, value),
        3 => p.mask(),
        4 => p.unmask(),
        5 => p.wfi(),
        6 => p.wfe(),
        7 => p.signal(flag),
        8 => p.signal_of(flag, value),
        9 => p.doze(flag, number),
        10 => p.field(value, number % 32, 1 + (number % 31) as u16),
        11 => p.when((number % 8) as u16, value, |p| p.note(number)),
        12 => p.wait_for(flag, number, value),
        13 => p.spin_until(value),
        14 => p.take(number, value),
        15 => p.load(1 << (number % 4), number),
        16 => p.store(1 << (number % 4), number, value),
        17 => p.mmio_read(),
        18 => p.mmio_write(),
        19 => p.hvc(number, number / 3),
        20 => p.cpu_on(1),
        21 => match earlier {
            Some(earlier) => p.loop_to((number % 8) as u16, earlier),
            None => p.spin(number),
        },
        22 => {
            let step = p.note(value);
            p.into_register(step, (number % 8) as u16);
            step
        }
        _ => p.ask(action).0,
    }
}

type Written = Vec<(u8, Value, u64, Action)>;

fn written() -> impl Strategy<Value = Written> {
    proptest::collection::vec((0..25u8, value(), any::<u64>(), action()), 0..12)
}

fn random_program(blocks: &[Written], before: &[Action], setup: (bool, bool, u64)) -> Program {
    let mut p = Program::new(CNTFRQ);
    let (pmu, wired, limit) = setup;
    if pmu {
        p.with_pmu();
        p.stop_after(limit);
        p.starts_off(1);
    }
    if wired {
        p.route(Routing::Wire);
        p.notes_pc();
        p.powers_off();
        p.vcpu_ids([1, 0], &[1, 0]);
    }
    for action in before.iter().filter(|action| **action != Action::MoveToFreshVm) {
        p.before(*action);
    }
    let fill = |p: &mut Program, block: &Written| {
        let mut steps: Vec<Step> = Vec::new();
        for (kind, value, number, action) in block {
            let earlier = steps.get(*number as usize % steps.len().max(1)).copied();
            steps.push(write(p, *kind, *value, *number, *action, earlier));
        }
        steps
    };
    let steps = fill(&mut p, &blocks[0]);
    p.on_irq(|p| fill(p, &blocks[1]));
    p.on_vcpu(1, |p| {
        fill(p, &blocks[2]);
        p.on_fiq(|p| fill(p, &blocks[3]));
    });
    if let [first, .., last] = steps[..] {
        p.expect(Expectation::SomeReturn(Levels::VTIMER, first.start().to(last.end())));
        p.expect(Expectation::Gives { step: last, due: 5, mask: 7 });
        p.expect(Expectation::EndsWithin(first, limit));
    }
    p
}

proptest! {
    #[test]
    fn any_program_reads_back_as_what_it_was(
        blocks in proptest::collection::vec(written(), 5),
        before in proptest::collection::vec(action(), 0..3),
        setup in (any::<bool>(), any::<bool>(), 0..600_000_000_000u64),
        neighbour in any::<bool>(),
    ) {
        let mut program = random_program(&blocks, &before, setup);
        if neighbour {
            program.beside(|p| *p = random_program(&blocks[1..], &[], setup));
        }
        reads_back(program, "random");
    }
}

/// Deterministic changes of a text: bytes, words and lines lost, doubled or replaced.
#[test]
fn ten_thousand_damaged_texts_are_read_or_refused_and_never_a_panic() {
    let texts: Vec<String> = checks::all().map(|check| check.build(CNTFRQ).0.to_string()).collect();
    let pool: Vec<String> = texts.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound.max(1) as u64) as usize
    };
    let (mut read, mut refused) = (0, 0);
    for round in 0..10_000 {
        let mut lines: Vec<String> = texts[round % texts.len()].lines().map(str::to_owned).collect();
        for _ in 0..1 + next(3) {
            let line = next(lines.len());
            let mut words: Vec<String> = lines[line].split(' ').map(str::to_owned).collect();
            let word = next(words.len());
            match next(7) {
                0 => drop(words.remove(word)),
                1 => words.insert(word, pool[next(pool.len())].clone()),
                2 => words[word] = pool[next(pool.len())].clone(),
                3 => words[word].push(['z', '\u{e9}', '9', '"', '{', '-', '\t'][next(7)]),
                4 => words[word] = ["18446744073709551616", "0xffffffffffffffff", "r8", "0x"][next(4)].to_owned(),
                5 => words = words.into_iter().take(word).collect(),
                _ => lines.insert(next(lines.len()), pool[next(pool.len())].clone()),
            }
            let line = line.min(lines.len() - 1);
            lines[line] = words.join(" ");
        }
        let text = lines.join("\n");
        match parse(&text, CNTFRQ, 1) {
            Ok(Litmus { program, .. }) => {
                program.encode();
                let again = program.to_string();
                assert_eq!(
                    parse(&again, CNTFRQ, 1).unwrap_or_else(|e| panic!("{e}\n{again}")).program,
                    program,
                    "{text}"
                );
                read += 1;
            }
            Err(error) => {
                assert!(error.line >= 1 && error.line <= lines.len().max(1), "{error}");
                refused += 1;
            }
        }
    }
    assert!(read > 500 && refused > 5_000, "{read} read, {refused} refused");
}

#[test]
fn what_is_wrong_is_named_with_line_column_and_what_was_expected() {
    for (text, due) in [
        ("vCPU 0:\n    CNTV_CTLL := 1\n", "line 2, column 5: expected "),
        (
            "vCPU 0:\n    read CNTV_CTLL\n",
            "line 2, column 10: expected a system register; found `CNTV_CTLL` (is `CNTV_CTL` meant?)",
        ),
        ("vCPU 0:\n    spin until\n", "line 2, column 15: expected "),
        ("vCPU 0:\n    WFI now\n", "line 2, column 9: expected the end of the line; found `now`"),
        ("vCPU 0:\n    r8 = note 1\n", "line 2, column 5: expected a general register (r0 to r7); found `r8`"),
        ("vCPU 9:\n", "line 1, column 6: expected a vCPU from 0 to 7; found `9`"),
        ("vCPU 1:\n    WFI\nvCPU 1:\n", "line 3, column 1: vCPU 1 has a block already"),
        ("vCPU 0:\n    WFI\nvCPU 2:\n    WFI\n", "line 4, column 1: vCPU 1 has no block, and there is a vCPU 2"),
        ("    WFI\n", "line 1, column 5: expected `claim:`, "),
        ("vCPU 0:\n    loop r0 to again\n", "line 2, column 16: expected the name of a step above; found `again`"),
        ("vCPU 0:\n    if r0 is 1 {\n    WFI\n", "line 3, column 1: the condition of line 2 is not ended by }"),
        ("vCPU 0:\n    }\n", "line 2, column 5: no condition is open that this could end"),
        ("vCPU 0:\n    a: WFI\n    a: WFI\n", "line 3, column 5: there is a step called `a` already"),
        ("vCPU 0:\n    if: WFI\n", "line 2, column 5: `if` has a meaning of its own: no step can have it for a name"),
        ("vCPU 0:\n    WFI\nVM: PMU\n", "line 3, column 1: what a VM is like is said before its first vCPU's block"),
        ("vCPU 0:\n    host: raise IRQ of vCPU 3\n", "line 2, column 1: there is no vCPU 3; the program is for 1"),
        (
            "vCPU 0:\n    host: KVM_SET_ONE_REG CNTV_CTL := r0\n",
            "line 2, column 5: the guest's general registers are not the host's",
        ),
        (
            "vCPU 0:\n    spin 99999999999999 s\n",
            "line 2, column 10: expected less than 2^64 ticks or `until`; found `99999999999999`",
        ),
        ("vCPU 0:\n    note 18446744073709551616\n", "line 2, column 10: expected a number below 2^64"),
        ("vCPU 0:\n    a: WFI\nexpect b never to end\n", "line 3, column 8: expected "),
        (
            "vCPU 0:\n    a: WFI\nexpect a to end at the deadline of a\n",
            "line 3, column 1: a deadline is set or read by a step",
        ),
        ("vCPU 0:\n    \u{e9}\n", "line 2, column 5: '\u{e9}' has no meaning here"),
        ("before: save the machine, and go on in a fresh VM\n", "line 1, column 1: only vCPUs that run"),
        ("VM: ends within 700 s\n", "line 1, column 1: a program may take 600 s at most"),
        ("VM: vCPUs are created with ids 0 to 9999\n", "line 1, column 37: expected a vCPU's id from 0 to 4095"),
    ] {
        let error = parse(text, CNTFRQ, 1).expect_err(text).to_string();
        assert!(error.starts_with(due), "{text}\n got {error}\n due {due}");
    }
}

#[test]
fn a_microsecond_is_of_the_counter_that_the_program_is_for() {
    let spun = |cntfrq| parse("vCPU 0:\n    spin 300 us\n", cntfrq, 1).unwrap().program.encode().1[0].value;
    assert_eq!((spun(CNTFRQ), spun(19_200_000), spun(54_000_000)), (300_000, 5760, 16_200));
}

#[test]
fn the_files_of_the_repository_and_the_example_of_the_reference_can_be_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/programs");
    let mut files = 0;
    let of_folder = |folder: &str| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = of_folder(folder).chain(of_folder(&format!("{folder}/findings")));
    for path in all.filter(|path| path.is_file()) {
        let file = crate::File::read(&path).unwrap();
        assert!(file.litmus.claim.ends_with('.'), "{}: a claim is a sentence", file.name);
        assert!(!file.litmus.program.expectations().is_empty(), "{}", file.name);
        reads_back(file.litmus.program, &file.name);
        files += 1;
    }
    assert!(files >= 20);
    let reference = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/litmus.md")).unwrap();
    let example = reference.split("```").nth(1).unwrap();
    assert_eq!(parse(example, CNTFRQ, 1).unwrap().program.expectations().len(), 2);
}

#[test]
fn a_register_that_the_guest_cannot_read_or_write_is_refused_where_it_stands() {
    let refused = |line: &str| parse(&format!("vCPU 0:\n    {line}\n"), 1_000_000_000, 1).unwrap_err().to_string();
    assert_eq!(refused("read PMSWINC"), "line 2, column 5: this register can only be written");
    assert_eq!(refused("CNTVCT := 1"), "line 2, column 5: this register can only be read");
    for known in ["read ICC_PMR_EL1", "ICC_PMR_EL1 := 1", "read ICC_IGRPEN1_EL1"] {
        assert!(parse(&format!("vCPU 0:\n    {known}\n"), 1_000_000_000, 1).is_ok(), "{known}");
    }
}
