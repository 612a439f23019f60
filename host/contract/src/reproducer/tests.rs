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
    assert!(lengths[lengths.len() / 2] <= 230 && lengths[lengths.len() - 1] <= 340, "they are to be read: {lengths:?}");
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
        "/* 3: slept: WFI */",
        "ticks x10, 3000",
        "must(set_line(KVM_ARM_IRQ_CPU_IRQ, up = !up))",
        "expect(note[1] - note[0] < us(80000),",
        // Without these GCC finds the end of the guest where it begins.
        ".globl guest0, guest0_end",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(!text.contains("pthread_create"), "one thread is enough:\n{text}");
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
