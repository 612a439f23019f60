//! The two commands as a user runs them, on real kernels in the emulated host. Ignored by default: together they take
//! a minute, and Debian's archive the first time.

use vtick_tests::{Ran, xtask};

/// The verdicts of a run: (verdict, check).
fn verdicts(ran: &Ran) -> Vec<(&str, &str)> {
    let words = ["held", "violated", "not exercised"];
    ran.stdout
        .lines()
        .filter_map(|line| {
            let verdict = words.into_iter().find(|word| line.starts_with(word))?;
            Some((verdict, line.split_whitespace().last()?))
        })
        .collect()
}

fn violated<'a>(verdicts: &[(&str, &'a str)]) -> Vec<&'a str> {
    verdicts.iter().filter(|(verdict, _)| *verdict == "violated").map(|(_, check)| *check).collect()
}

#[test]
#[ignore = "boots an emulated host"]
fn the_kernel_on_which_every_wfi_hangs_is_found_out_with_a_diagnosis() {
    let ran = xtask(&["test", "--kernel", "debian:6.1.0-47"]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    let verdicts = verdicts(&ran);
    let violated = violated(&verdicts);
    assert!(violated.contains(&"wfi-wakes-on-the-vtimer-with-interrupts-masked"), "{violated:?}");
    assert!(violated.iter().all(|check| check.starts_with("wfi-")), "{violated:?}");
    assert!(verdicts.len() >= 10 && verdicts.len() > 2 * violated.len(), "the others still run: {verdicts:?}");
    for part in ["guest asleep in WFI at PC 0x", "virtual timer expired", "level never reported", "4ce98bf0865c"] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
}

#[test]
#[ignore = "boots emulated hosts"]
fn repaired_kernels_hold_every_check() {
    for kernel in ["debian:6.1.0-50", "debian:6.12"] {
        let ran = xtask(&["test", "--kernel", kernel]);
        assert_eq!(ran.status, Some(0), "{kernel}\n{}", ran.all());
        let verdicts = verdicts(&ran);
        assert!(verdicts.len() >= 10, "{kernel}: {verdicts:?}");
        assert_eq!(violated(&verdicts), [""; 0], "{kernel}");
    }
}

#[test]
#[ignore = "boots emulated hosts"]
fn two_measurements_print_the_same_digits_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str| {
        let path = folder.path().join(name).display().to_string();
        let ran = xtask(&["bench", "--interrupts", "500", "--output", &path]);
        assert_eq!(ran.status, Some(0), "{}", ran.all());
        assert!(ran.stdout.contains("500 ended, 0 lost, 0 spurious"), "{}", ran.stdout);
        (ran.stdout, std::fs::read_to_string(path).unwrap())
    };
    let (first, second) = (record("a.json"), record("b.json"));
    assert!(first.1.contains("\"deterministic\": true"), "{}", first.1);
    assert_eq!(first, second);
}

#[test]
#[ignore = "boots an emulated host"]
fn the_static_binary_alone_is_enough_on_an_arm64_host() {
    let ran = xtask(&["run", "--", "vtick", "test"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    assert!(verdicts(&ran).len() >= 10, "{}", ran.stdout);
    let ran = xtask(&["run", "--", "vtick", "bench", "--interrupts", "100"]);
    assert!(ran.stdout.contains("100 expected, 100 delivered, 100 acknowledged"), "{}", ran.all());
}

#[test]
#[ignore = "asks Debian's archive"]
fn an_unknown_kernel_is_answered_with_the_ones_there_are() {
    let ran = xtask(&["test", "--kernel", "debian:6.1.0-999"]);
    let line = ran.error_line();
    assert!(line.contains("there is no such kernel") && line.contains("6.1.0-47"), "{line}");
}
