use super::super::checks;
use super::super::program::parse;
use super::*;

fn of_check(name: &str) -> Result<String, String> {
    write(&Case::Check(checks::all().find(|check| check.name == name).expect("there is such a check")))
}

#[test]
fn each_check_is_written_or_refused_with_a_reason_and_most_are_written() {
    let mut lengths = Vec::new();
    for check in checks::all() {
        match write(&Case::Check(check)) {
            Ok(text) => {
                lengths.push(text.lines().count());
                assert!(text.contains(check.name), "{}", check.name);
                assert!(!text.contains("//if") && !text.contains("//end") && !text.contains('@'), "{}", check.name);
            }
            Err(why) => assert!(!why.is_empty() && !why.contains('\n'), "{}: {why}", check.name),
        }
    }
    lengths.sort_unstable();
    assert!(lengths.len() > 100, "{lengths:?}");
    assert!(lengths[lengths.len() / 2] <= 155 && lengths[lengths.len() - 1] <= 260, "they are to be read: {lengths:?}");
}

#[test]
fn checks_of_the_gic_are_refused_because_of_it() {
    let why = of_check("edge-held-over-eoi-comes-once").unwrap_err();
    assert!(why.contains("vtick's GICv2"), "{why}");
    assert_eq!(offer("edge-held-over-eoi-comes-once"), None);
    assert_eq!(offer("no-such-check"), None);
}

#[test]
fn a_sleep_is_written_with_its_deadline_its_line_and_its_bound() {
    let text = of_check("wfi-wakes-on-the-vtimer-with-interrupts-masked").unwrap();
    for part in [
        "mov x28, #3; dsb sy; wfi; isb; mrs x5, cntvct_el0\\n\" /* slept: WFI */",
        "from_now 3000;",
        "must(set_line(KVM_ARM_IRQ_CPU_IRQ, up = !up))",
        "expect(X(5) - X(4) < us(80000),",
        "ualarm(999999, 200000);",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(!text.contains("pthread_create"), "one thread is enough:\n{text}");
}

#[test]
fn a_line_of_code_has_at_most_a_hundred_columns() {
    for check in checks::all() {
        let Ok(text) = write(&Case::Check(check)) else { continue };
        for line in text.lines() {
            let columns = line.chars().fold(0, |column, c| if c == '\t' { column / 8 * 8 + 8 } else { column + 1 });
            // A text that is printed stands on one line, for those who search for it.
            assert!(
                columns <= 100 || line.contains("printf(") || line.ends_with("\");"),
                "{}: {columns} columns: {line}",
                check.name
            );
        }
    }
}

#[test]
fn only_the_parts_that_a_program_uses_are_written() {
    let masked = of_check("masked-timer-makes-no-exit").unwrap();
    for part in ["exit_of(", "us(n)", "set_line(", "string.h", "pthread.h", "KVM_ARM_VCPU_PSCI_0_2", "irq0", "X(27)"] {
        assert!(!masked.contains(part), "{part}:\n{masked}");
    }
    let later = of_check("wfi-wakes-on-a-line-raised-by-another-thread").unwrap();
    assert!(later.contains("later(run->mmio.data[0])") && !later.contains("struct vcpu"), "{later}");
}

#[test]
fn more_results_than_the_guest_has_registers_for_are_refused() {
    let steps: String = (0..22).map(|n| format!("    step{n}: note {n}\n")).collect();
    let expectations: String = (0..22).map(|n| format!("expect step{n} gives {n}\n")).collect();
    let program = parse(&format!("vCPU 0:\n{steps}{expectations}"), FAST, 1).unwrap().program;
    let why = Notes::of(&program, &program.encode().1).unwrap_err();
    assert!(why.contains("needs more than 21 results"), "{why}");
}

#[test]
fn what_doubles_with_the_counter_is_a_length_of_time_and_nothing_else_is() {
    assert_eq!(number(300_000, 150_000), Number::Micros(300));
    assert_eq!(number((-300_000i64) as u64, (-150_000i64) as u64), Number::Micros(-300));
    assert_eq!(number(5, 5), Number::Is(5));
    assert_eq!(number(0, 0), Number::Is(0));
    assert_eq!(number(3, 1), Number::Is(3));
}

#[test]
fn a_span_that_ends_in_a_loop_is_refused() {
    let text = "vCPU 0:\n    r0 = note 3\n    again: MMIO read\n    loop r0 to again\nexpect no return from start of again to \
                end of again\n";
    let program = parse(text, FAST, 1).unwrap().program;
    let why = Notes::of(&program, &program.encode().1).unwrap_err();
    assert!(why.contains("first time round of a loop"), "{why}");
}
