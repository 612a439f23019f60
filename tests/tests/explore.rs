//! `cargo xtask explore` as a user runs it. Ignored by default: each boots an emulated host.

use vtick_tests::xtask;

/// The number in front of `what` in a line of the output.
fn number(output: &str, what: &str) -> u64 {
    let line = output.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what:?} in\n{output}"));
    let (before, _) = line.split_once(what).unwrap();
    let digits: String = before.split([' ', ':', ';']).rfind(|word| !word.is_empty()).unwrap().replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("no number before {what:?} in {line:?}"))
}

#[test]
#[ignore = "boots an emulated host"]
fn short_programs_find_nothing_on_a_sound_kernel_and_a_fresh_vm_agrees() {
    let ran = xtask(&["explore", "--ops", "1", "--repeat", "5"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    assert!(number(&ran.stdout, " programs, up to position") > 50, "{}", ran.all());
    assert_eq!(number(&ran.stdout, " findings"), 0, "{}", ran.all());
    assert_eq!(number(&ran.stdout, " did something else there"), 0, "{}", ran.all());
    assert!(ran.stdout.contains(" programs a second of wall time"), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_kernel_whose_wfi_never_wakes_is_found_out_with_at_most_three_operations_and_kept() {
    let ran = xtask(&["explore", "--ops", "2", "--inject", "wfi-never-wakes", "--repeat", "0"]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    let found = ran.stdout.lines().find(|line| line.starts_with("found C11 (overslept)"));
    let found = found.unwrap_or_else(|| panic!("{}", ran.all()));
    assert!([1, 2, 3].iter().any(|least| found.contains(&format!(", {least} operation"))), "{found}");
    let kept = ran.stderr.lines().find_map(|line| line.strip_prefix("kept as ").filter(|path| path.contains("c11-")));
    let text = std::fs::read_to_string(kept.unwrap_or_else(|| panic!("{}", ran.all()))).unwrap();
    assert!(text.contains("WFI") || text.contains("wfi"), "{text}");
}

#[test]
#[ignore = "boots an emulated host"]
fn a_sweep_covers_a_moment_of_its_own_with_almost_every_step() {
    let ran = xtask(&["explore", "--sweep", "level-spinning", "--ticks", "2000..3000"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    assert!(number(&ran.stdout, " distinct moments") > 900, "{}", ran.all());
}
